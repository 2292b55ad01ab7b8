"""The history of a run: the fold of its events. Progress, dashboard, tracking and report all read this one value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from promptprop.domain import events as facts
from promptprop.domain.budget import Spend
from promptprop.domain.events import Estimate, Event, StoredEvent
from promptprop.domain.models import Json


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """What a run has learned about one candidate. `state` is proposed, refused, archived, promoted or seed."""

    id: str
    round: int = 0
    parent_ids: tuple[str, ...] = ()
    hypothesis: str = "seed"
    summary: str = ""
    length: int = 0
    state: str = "proposed"
    screened: Estimate | None = None
    raced: Estimate | None = None
    confirmed: Estimate | None = None
    scores: Mapping[str, Estimate] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Screening:
    """Rows that so many children met in screens and races, and how many a full pass over select each would take."""

    children: int
    rows: int
    full_pass: int


@dataclass(frozen=True, slots=True)
class History:
    """A run as its events tell it, in the order of the events; `paused` names the endpoints that answer nothing now."""

    run_id: str = ""
    name: str = ""
    activity: str = ""
    optimizer: str = ""
    seed: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    budget: Mapping[str, Json] = field(default_factory=dict)
    simulated: bool = False
    status: str = "created"
    stop_reason: str = ""
    detail: str = ""
    resumed: int = 0
    round: int = 0
    headroom: facts.HeadroomMeasured | None = None
    rubric_id: str = ""
    candidates: Mapping[str, CandidateRecord] = field(default_factory=dict)
    seed_id: str = ""
    best_id: str = ""
    trajectory: tuple[facts.RoundEnded, ...] = ()
    refused: tuple[facts.ProposalDropped, ...] = ()
    unread: int = 0
    suspects: tuple[str, ...] = ()
    search_ended: str = ""
    test: facts.WinnerTested | None = None
    looks: tuple[facts.GateLooked, ...] = ()
    spend: Spend = field(default_factory=Spend)
    active_seconds: float = 0.0
    decisions: int = 0
    paused: tuple[str, ...] = ()
    reviews: tuple[facts.RewriteReviewed, ...] = ()
    overrides: tuple[facts.ScoreOverridden, ...] = ()
    notes: tuple[str, ...] = ()
    sealed: str = ""
    earlier_looks: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """True after a normal end."""
        return self.status == "finished"

    @property
    def stopped(self) -> bool:
        """True after an end that leaves the run to be resumed."""
        return self.status in ("stopped", "cancelled")

    def record(self, candidate_id: str) -> CandidateRecord:
        """What is known of this candidate; an empty record where nothing is."""
        return self.candidates.get(candidate_id, CandidateRecord(candidate_id, state="seed"))

    @property
    def seeds(self) -> list[CandidateRecord]:
        """The prompts that the search began with, drafts among them, in their order."""
        return [record for record in self.candidates.values() if record.round == 0]

    def origin(self, candidate_id: str) -> CandidateRecord:
        """The seed that a candidate descends from by its first parents; the candidate itself where that is unknown."""
        record = self.record(candidate_id)
        for _ in range(len(self.candidates)):
            parent = self.candidates.get(record.parent_ids[0]) if record.round and record.parent_ids else None
            if parent is None:
                break
            record = parent
        return record

    @property
    def screening(self) -> Screening:
        """What it took to screen and race the children of the search."""
        children = [record for record in self.candidates.values() if record.round and (record.screened or record.raced)]
        met = sum(one.n for record in children for one in (record.screened, record.raced) if one is not None)
        return Screening(len(children), met, len(children) * self.rows.get("select", 0))


def fold(stored: Iterable[StoredEvent], history: History | None = None) -> History:
    """The history after these events, from the beginning or from `history` on."""
    folded = history or History()
    run_id, decisions, meta = folded.run_id, folded.decisions, dict[str, Json]()
    for one in stored:
        folded = _FOLDS.get(type(one.event), _keep)(folded, one.event)
        run_id, decisions = one.run_id, decisions + (not one.event.lifecycle)
        meta.update((name, value) for name, value in one.meta.items() if value is not None)
    spend = meta.get("spend")
    return replace(
        folded,
        run_id=run_id,
        decisions=decisions,
        spend=Spend.from_json(spend) if spend is not None else folded.spend,
        active_seconds=meta.get("active_seconds", folded.active_seconds),
    )


def advance(history: History, stored: StoredEvent) -> History:
    """The history after one more event. Events of kinds that have no fold only count."""
    return fold((stored,), history)


def _keep(history: History, _event: Any) -> History:
    return history


def _with(history: History, candidate_id: str, **changes: Any) -> History:
    record = replace(history.record(candidate_id), **changes)
    return replace(history, candidates={**history.candidates, candidate_id: record})


def _started(history: History, event: facts.RunStarted) -> History:
    return replace(
        history,
        name=event.name,
        activity=event.activity,
        optimizer=event.optimizer,
        seed=event.seed,
        rows=event.rows,
        models=event.models,
        budget=event.budget,
        simulated=event.simulated,
        sealed=event.sealed,
        status="running",
    )


def _resumed(history: History, _event: facts.RunResumed) -> History:
    return replace(history, status="running", stop_reason="", detail="", resumed=history.resumed + 1, paused=())


def _stopped(history: History, event: facts.RunStopped) -> History:
    status = "cancelled" if event.reason == "cancelled" else "stopped"
    return replace(history, status=status, stop_reason=event.reason, detail=event.detail)


def _finished(history: History, event: facts.RunFinished) -> History:
    return replace(history, status="finished", stop_reason=event.stop_reason, earlier_looks=event.earlier_looks)


def _cap_raised(history: History, event: facts.CapRaised) -> History:
    return replace(history, budget={**history.budget, **event.caps})


def _reviewed(history: History, event: facts.RewriteReviewed) -> History:
    return replace(history, reviews=(*history.reviews, event))


def _overridden(history: History, event: facts.ScoreOverridden) -> History:
    return replace(history, overrides=(*history.overrides, event))


def _noted(history: History, event: facts.NoteLeft) -> History:
    return replace(history, notes=(*history.notes, event.text))


def _paused(history: History, event: facts.EndpointPaused) -> History:
    return replace(history, paused=tuple(dict.fromkeys((*history.paused, event.endpoint))))


def _recovered(history: History, event: facts.EndpointRecovered) -> History:
    return replace(history, paused=tuple(alias for alias in history.paused if alias != event.endpoint))


def _rubric(history: History, event: facts.RubricDrafted) -> History:
    return replace(history, rubric_id=event.rubric_id)


def _headroom(history: History, event: facts.HeadroomMeasured) -> History:
    return replace(history, headroom=event)


def _round_started(history: History, event: facts.RoundStarted) -> History:
    return replace(history, round=event.round)


def _critiques(history: History, event: facts.CritiquesWritten) -> History:
    return replace(history, unread=history.unread + event.dropped)


def _suspected(history: History, event: facts.LabelsSuspected) -> History:
    return replace(history, suspects=tuple(dict.fromkeys((*history.suspects, *event.example_ids))))


def _proposed(history: History, event: facts.CandidateProposed) -> History:
    record = CandidateRecord(
        event.candidate_id,
        round=event.round,
        parent_ids=event.parent_ids,
        hypothesis=event.hypothesis,
        summary=event.summary,
        length=event.length,
        state="seed" if event.hypothesis == "seed" else "proposed",
    )
    seed_id = history.seed_id or (event.candidate_id if event.hypothesis == "seed" else "")
    best_id = history.best_id or seed_id
    return replace(history, candidates={**history.candidates, record.id: record}, seed_id=seed_id, best_id=best_id)


def _dropped(history: History, event: facts.ProposalDropped) -> History:
    return replace(history, refused=(*history.refused, event))


def _screened(history: History, event: facts.CandidateScreened) -> History:
    state = "proposed" if event.kept else "refused"
    return _with(history, event.candidate_id, screened=event.delta, state=state)


def _raced(history: History, event: facts.CandidateRaced) -> History:
    state = {"promoted": "promoted", "dropped": "refused", "undecided": "archived"}[event.outcome]
    return _with(history, event.candidate_id, raced=event.delta, state=state)


def _scored(history: History, event: facts.CandidateScored) -> History:
    record = history.record(event.candidate_id)
    return _with(
        history,
        event.candidate_id,
        scores={**record.scores, event.split: event.score},
        missing={**record.missing, event.split: event.missing},
        metrics={**record.metrics, event.split: event.metrics},
    )


def _looked(history: History, event: facts.GateLooked) -> History:
    return replace(history, looks=(*history.looks, event))


def _round_ended(history: History, event: facts.RoundEnded) -> History:
    return replace(history, best_id=event.best_id, trajectory=(*history.trajectory, event))


def _search_ended(history: History, event: facts.SearchEnded) -> History:
    return replace(history, search_ended=event.reason)


def _confirmed(history: History, event: facts.CandidateConfirmed) -> History:
    return _with(history, event.candidate_id, confirmed=event.delta)


def _tested(history: History, event: facts.WinnerTested) -> History:
    tested = replace(history, test=event, best_id=event.winner_id)
    for candidate_id, score in ((event.seed_id, event.seed), (event.winner_id, event.winner)):
        record = tested.record(candidate_id)
        tested = _with(tested, candidate_id, scores={**record.scores, "test": score})
    return tested


_FOLDS: dict[type[Event], Callable[[History, Any], History]] = {
    facts.RunStarted: _started,
    facts.RunResumed: _resumed,
    facts.RunStopped: _stopped,
    facts.RunFinished: _finished,
    facts.CapRaised: _cap_raised,
    facts.RewriteReviewed: _reviewed,
    facts.ScoreOverridden: _overridden,
    facts.NoteLeft: _noted,
    facts.EndpointPaused: _paused,
    facts.EndpointRecovered: _recovered,
    facts.RubricDrafted: _rubric,
    facts.HeadroomMeasured: _headroom,
    facts.RoundStarted: _round_started,
    facts.CritiquesWritten: _critiques,
    facts.LabelsSuspected: _suspected,
    facts.CandidateProposed: _proposed,
    facts.ProposalDropped: _dropped,
    facts.CandidateScreened: _screened,
    facts.CandidateRaced: _raced,
    facts.CandidateScored: _scored,
    facts.GateLooked: _looked,
    facts.RoundEnded: _round_ended,
    facts.SearchEnded: _search_ended,
    facts.CandidateConfirmed: _confirmed,
    facts.WinnerTested: _tested,
}
