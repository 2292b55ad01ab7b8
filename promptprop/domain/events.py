"""The facts of a run, past tense. They carry ids and numbers; texts and outputs lie in the tables.

Two origins. *Decisions* are yielded by an optimizer: replay must yield the same ones in the same order, and compares
kind and body. *Lifecycle* events are written by the engine: starts, stops, and interventions (what a person did); they
are never compared, and replay meets an intervention at the same place among the decisions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Literal, get_args, get_type_hints

from promptprop.domain.models import Json

Verdict = Literal["better", "no proven gain", "worse", "unchanged", "untested"]
RaceOutcome = Literal["promoted", "dropped", "undecided"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` rows with its 95 % interval; scores and differences lie in [-1, 1]."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `kind` names the class in storage and on the wire."""

    kind: ClassVar[str] = ""
    lifecycle: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The run began: what it set out with; `sealed` identifies the rows of its test, by their contents."""

    kind: ClassVar[str] = "run_started"
    lifecycle: ClassVar[bool] = True
    name: str
    activity: str
    optimizer: str
    seed: int
    rows: Mapping[str, int]
    models: Mapping[str, str]
    budget: Mapping[str, Json]
    simulated: bool
    sealed: str = ""


@dataclass(frozen=True, slots=True)
class RunResumed(Event):
    """The run was taken up again: the record is replayed first."""

    kind: ClassVar[str] = "run_resumed"
    lifecycle: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class RunStopped(Event):
    """The run stopped before its end and can be resumed: interrupted, paused, cancelled, errors, budget, failed."""

    kind: ClassVar[str] = "run_stopped"
    lifecycle: ClassVar[bool] = True
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The run came to its normal end; `earlier_looks` are runs that had opened the same sealed rows before."""

    kind: ClassVar[str] = "run_finished"
    lifecycle: ClassVar[bool] = True
    stop_reason: str
    earlier_looks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CapRaised(Event):
    """Intervention: a person gave the run a larger budget."""

    kind: ClassVar[str] = "cap_raised"
    lifecycle: ClassVar[bool] = True
    caps: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ErrorsRetried(Event):
    """Intervention: a person asked that calls that had failed for good be made again."""

    kind: ClassVar[str] = "errors_retried"
    lifecycle: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class RewriteReviewed(Event):
    """Intervention: a person approved, edited or refused a rewrite. `prompts` are the edited texts by step."""

    kind: ClassVar[str] = "rewrite_reviewed"
    lifecycle: ClassVar[bool] = True
    candidate_id: str
    action: Literal["approve", "edit", "refuse"]
    prompts: Mapping[str, str]
    reason: str


@dataclass(frozen=True, slots=True)
class ScoreOverridden(Event):
    """Intervention: a person put another score in the place of a measured one."""

    kind: ClassVar[str] = "score_overridden"
    lifecycle: ClassVar[bool] = True
    candidate_id: str
    example_id: str
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class NoteLeft(Event):
    """Intervention: a person left a note that critic and rewriter read from here on."""

    kind: ClassVar[str] = "note_left"
    lifecycle: ClassVar[bool] = True
    text: str


@dataclass(frozen=True, slots=True)
class EndpointPaused(Event):
    """An endpoint fails every attempt: calls to it wait, and are probed one at a time until `seconds` from now.

    Where `retry_after` is more than 0, the provider asked to be left alone for so long, and `seconds` is what that is.
    """

    kind: ClassVar[str] = "endpoint_paused"
    lifecycle: ClassVar[bool] = True
    endpoint: str
    model: str
    error: str
    message: str
    seconds: float
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class EndpointRecovered(Event):
    """A paused endpoint has answered again, after `seconds`."""

    kind: ClassVar[str] = "endpoint_recovered"
    lifecycle: ClassVar[bool] = True
    endpoint: str
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RubricDrafted(Event):
    """The manager has written the criteria that the jury judges by; `features` are their ids."""

    kind: ClassVar[str] = "rubric_drafted"
    rubric_id: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeadroomMeasured(Event):
    """The seed was scored twice on a sample: is there anything to gain, and how noisy is the task?"""

    kind: ClassVar[str] = "headroom_measured"
    score: Estimate
    noise: float
    flipped: int
    failing: int
    finding: Literal["room", "perfect", "hopeless"]


@dataclass(frozen=True, slots=True)
class RoundStarted(Event):
    """A pass of the loop began from this parent."""

    kind: ClassVar[str] = "round_started"
    round: int
    parent_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class CritiquesWritten(Event):
    """Failures were clustered and criticised; `dropped` replies could not be read even after a repair."""

    kind: ClassVar[str] = "critiques_written"
    round: int
    failures: int
    clusters: int
    written: int
    dropped: int


@dataclass(frozen=True, slots=True)
class LabelsSuspected(Event):
    """Rows that every candidate so far has failed: their labels may be wrong; they are not learned from."""

    kind: ClassVar[str] = "labels_suspected"
    round: int
    example_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CandidateProposed(Event):
    """A child was written: one labelled hypothesis."""

    kind: ClassVar[str] = "candidate_proposed"
    round: int
    candidate_id: str
    parent_ids: tuple[str, ...]
    hypothesis: str
    summary: str
    length: int


@dataclass(frozen=True, slots=True)
class ProposalDropped(Event):
    """A child was refused before it cost a task call."""

    kind: ClassVar[str] = "proposal_dropped"
    round: int
    hypothesis: str
    reason: str


@dataclass(frozen=True, slots=True)
class CandidateScreened(Event):
    """A child met a few rows that its parent failed and a few that it passed."""

    kind: ClassVar[str] = "candidate_screened"
    round: int
    candidate_id: str
    delta: Estimate
    kept: bool


@dataclass(frozen=True, slots=True)
class CandidateRaced(Event):
    """A child met its parent on fresh select rows; `delta` is child minus parent on the same rows."""

    kind: ClassVar[str] = "candidate_raced"
    round: int
    candidate_id: str
    against_id: str
    delta: Estimate
    outcome: RaceOutcome


@dataclass(frozen=True, slots=True)
class CandidateScored(Event):
    """A candidate's mean on a split; `missing` rows have no score."""

    kind: ClassVar[str] = "candidate_scored"
    round: int
    candidate_id: str
    split: str
    score: Estimate
    missing: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateLooked(Event):
    """A gate looked; its verdict is final if `over`. `failed` are critical rows that did not pass."""

    kind: ClassVar[str] = "gate_looked"
    baseline_id: str
    candidate_id: str
    replicates: int
    verdict: str
    over: bool
    metrics: Mapping[str, Mapping[str, Json]]
    rows: int
    missing: int
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoundEnded(Event):
    """The archive after a round: its best candidate, and whether this round promoted one."""

    kind: ClassVar[str] = "round_ended"
    round: int
    best_id: str
    score: Estimate
    promoted: int


@dataclass(frozen=True, slots=True)
class SearchEnded(Event):
    """The loop is over; FINISH follows. `barrier` counts the workbench calls before it, so that a deadline replays."""

    kind: ClassVar[str] = "search_ended"
    reason: str
    round: int
    barrier: int


@dataclass(frozen=True, slots=True)
class CandidateConfirmed(Event):
    """A member of the shortlist met the seed on rows that the search never saw."""

    kind: ClassVar[str] = "candidate_confirmed"
    candidate_id: str
    delta: Estimate
    chosen: bool


@dataclass(frozen=True, slots=True)
class WinnerTested(Event):
    """Seed and winner met once on the sealed test. Only this event makes a claim."""

    kind: ClassVar[str] = "winner_tested"
    seed_id: str
    winner_id: str
    seed: Estimate
    winner: Estimate
    delta: Estimate
    p_value: float
    verdict: Verdict
    missing: int = 0
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


EVENTS: dict[str, type[Event]] = {
    event.kind: event
    for event in (
        RunStarted, RunResumed, RunStopped, RunFinished, CapRaised, ErrorsRetried, RewriteReviewed,
        ScoreOverridden, NoteLeft, EndpointPaused, EndpointRecovered,
        RubricDrafted, HeadroomMeasured, RoundStarted,
        CritiquesWritten, LabelsSuspected, CandidateProposed, ProposalDropped, CandidateScreened, CandidateRaced,
        CandidateScored, GateLooked, RoundEnded, SearchEnded, CandidateConfirmed, WinnerTested,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its envelope. `seq` counts from 1 within the run. `meta` holds what replay does not compare."""

    run_id: str
    seq: int
    at: datetime
    event: Event
    meta: Mapping[str, Json] = field(default_factory=dict)


def body_of(event: Event) -> dict[str, Json]:
    """The event's fields as plain JSON values."""
    return {name.name: _plain(getattr(event, name.name)) for name in dataclasses.fields(event)}


def event_of(kind: str, body: Mapping[str, Json]) -> Event:
    """The inverse of `body_of`. Raises KeyError for a kind that this version does not know."""
    event = EVENTS[kind]
    hints = _hints(kind)
    return event(**{name: _typed(hints[name], value) for name, value in body.items() if name in hints})


@cache
def _hints(kind: str) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(EVENTS[kind]).items() if name not in ("kind", "lifecycle")}


def _plain(value: Any) -> Json:
    if isinstance(value, Estimate):
        return {"mean": value.mean, "low": value.low, "high": value.high, "n": value.n}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _typed(hint: Any, value: Json) -> Any:
    if hint is Estimate:
        return Estimate(**value)
    if isinstance(value, list) and (getattr(hint, "__origin__", None) is tuple or get_args(hint)[-1:] == (Ellipsis,)):
        return tuple(value)
    return value
