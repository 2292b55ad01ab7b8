"""The jury: models that score each answer, alone or as a cascade, and what their votes come to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from promptprop.domain.errors import ConfigError
from promptprop.domain.judgements import judgement_id, mistakable
from promptprop.domain.models import Example, Json, Judgement, Message, digest, text_of
from promptprop.metrics.base import AskingMetric, MetricOptions, Seat, Setting, acceptable, judged
from promptprop.metrics.scoring import HARD_NEGATIVE_CAP, HARD_NEGATIVES
from promptprop.ports import Question, QuestionBound, Told
from promptprop.roles.juror import Juror, Vote
from promptprop.roles.registry import REPAIR, shipped_template

TRIES = 2  # a juror is asked, and where its reply cannot be read once more
FIXED_SIZE = 2000  # bytes of what a repair adds: the unreadable reply is bounded by max_tokens, and counted there
PREFIX = "juror."
AUTO = "auto"
RUBRIC_SIZE = 4000  # bytes of criteria that are still to be drafted, generously


class Feature(BaseModel):
    """One thing that a rubric looks at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=60, pattern=r"^[\w-]+$", description="Names the feature.")
    says: str = Field(min_length=1, max_length=600, description="What a good answer does, so that a juror can tell.")
    weight: float = Field(default=1.0, gt=0, description="Its weight in the score.")


class Cascade(BaseModel):
    """Who is asked when; without a cascade the whole panel is asked about every answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: str | None = Field(
        default=None, description="The id of a metric in code: where it gives 1, nobody is asked and the panel says 1."
    )
    first: str | None = Field(default=None, description="The juror who is asked first; the first one unless given.")
    line: float = Field(default=0.5, ge=0, le=1, description="The score that tells good answers from bad ones.")
    near: float = Field(
        default=0.2, ge=0, le=1, description="The others are asked where the first vote is no further from `line`."
    )


class JuryOptions(MetricOptions):
    """Who judges, by which criteria, and what the votes come to."""

    jurors: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Names of jurors; all of `models.jury` unless given."
    )
    warn_only: tuple[str, ...] = Field(
        default=(), description="Jurors who vote, and are shown in reports, but do not count: see `judge calibrate`."
    )
    aggregate: Literal["median", "mean"] = Field(
        default="median", description="What votes come to: their median, or their mean by the weights of the jurors."
    )
    rubric: str | tuple[Feature, ...] | None = Field(
        default=None,
        description="Criteria: a text, or features that are scored by themselves and weighed; `auto` has the manager "
        "draft features from the task and train rows.",
    )
    cascade: Cascade | None = Field(default=None, description="Ask one juror first, and the others where it matters.")
    least: int = Field(
        default=1,
        ge=1,
        description="Votes that are needed at least, where so many are asked for; with fewer there is no score.",
    )
    turn: bool = Field(
        default=True,
        description="Show the answer before what is expected for every other row, so that reports can tell what the "
        "order does.",
    )

    @field_validator("rubric")
    @classmethod
    def _features_differ(cls, value: str | tuple[Feature, ...] | None) -> str | tuple[Feature, ...] | None:
        if isinstance(value, tuple):
            ids = [feature.id for feature in value]
            if not ids or len(set(ids)) < len(ids):
                raise ValueError("a rubric needs features, each with an id of its own")
        return value

    @model_validator(mode="after")
    def _named_once(self) -> JuryOptions:
        if self.jurors and len(set(self.jurors)) < len(self.jurors):
            raise ValueError("a juror is named twice")
        return self


@dataclass(frozen=True, slots=True)
class Ballot:
    """What is known of one juror: its vote, or why there is none; neither where a question is open."""

    vote: Vote | None = None
    problem: str = ""
    repair: Question | None = None


class Jury(AskingMetric[JuryOptions]):
    """The panel of `models.jury`: each juror scores an answer from 0 to 100, with a reason that critics read.

    An answer that hits a literal hard negative, or is empty, scores 0 and is shown to nobody. A juror that names a hard
    negative keeps its vote under 40. A juror that fails, or whose reply cannot be read twice, has no vote: that is
    missing, and not 0. Equal answers to a row are judged once a replicate. Each juror's votes stand in reports as
    `ID/JUROR`.
    """

    Options = JuryOptions
    sample = "{id: panel, type: jury, aggregate: median, rubric: 'Kind, true, and no longer than needed.'}"

    def __init__(self, metric_id: str, options: JuryOptions, folder: Path, setting: Setting) -> None:
        """Seat the jurors. Raises ConfigError where there are none, or where a name is unknown."""
        super().__init__(metric_id, options, folder, setting)
        self.seats = _seated(options, setting)
        self._juror = Juror(setting.juror_template or shipped_template("juror"))

    @property
    def sources(self) -> Json:
        """Task, template, weights and a drafted rubric shape the votes."""
        drafted = self.setting.rubric.id if self._drafted and self.setting.rubric else None
        return [self.setting.task, self._juror.template, [[seat.name, seat.weight] for seat in self.seats], drafted]

    @property
    def _drafted(self) -> bool:
        return self.options.rubric == AUTO

    @property
    def wants_rubric(self) -> bool:
        """True with `rubric: auto` until there is one."""
        return self._drafted and self.setting.rubric is None

    @property
    def _criteria(self) -> tuple[str, list[dict[str, Json]]]:
        """The criteria as a text, or as features."""
        rubric = self.options.rubric
        if self._drafted:
            drafted = self.setting.rubric.features if self.setting.rubric else ()
            return "", [{"id": one.id, "says": one.says, "weight": one.weight} for one in drafted]
        if isinstance(rubric, tuple):
            return "", [one.model_dump() for one in rubric]
        return rubric or "", []

    @property
    def leans_on(self) -> frozenset[str]:
        """The metric that spares the panel."""
        after = self.options.cascade and self.options.cascade.after
        return frozenset([after] if after else [])

    @property
    def bounds(self) -> tuple[QuestionBound, ...]:
        """Each juror may be asked, and asked again."""
        text, features = self._criteria
        criteria = text + "".join(str(one["says"]) for one in features)
        size = len((self._juror.template + self.setting.task + criteria).encode()) + FIXED_SIZE
        size += RUBRIC_SIZE if self.wants_rubric else 0
        return tuple(QuestionBound(PREFIX + seat.name, TRIES, size) for seat in self.seats)

    def consider(
        self, output: str, example: Example, judgements: Mapping[str, Judgement], told: Sequence[Told]
    ) -> tuple[Question, ...] | dict[str, Judgement]:
        """The questions that are open, or the verdict once none is."""
        if plain := self._plain(output, example, judgements):
            return {self.id: plain}
        inputs = self._inputs(output, example)
        ballots = self._ballots(inputs, told)
        repairs = tuple(ballot.repair for ballot in ballots.values() if ballot.repair)
        if repairs:
            return repairs
        wanted = [seat for seat in self._wanted(ballots, judgements) if seat.name not in ballots]
        if wanted:
            messages = self._juror.messages(inputs)
            return tuple(Question(PREFIX + seat.name, "juror", messages) for seat in wanted)
        return self._verdict(ballots)

    def _plain(self, output: str, example: Example, judgements: Mapping[str, Judgement]) -> Judgement | None:
        """What needs no juror."""
        literal = judgements.get(HARD_NEGATIVES)
        if literal is not None and literal.score == 0:
            return judged(0.0, "shown to no juror, since it holds what an answer must never contain")
        if not output.strip() and "" not in acceptable(example.expected):
            return judged(0.0, "the answer is empty")
        after = self.options.cascade and self.options.cascade.after
        known = judgements.get(after) if after else None
        if known is not None and known.score is not None and known.score >= 1.0:
            return judged(1.0)
        return None

    def _inputs(self, output: str, example: Example) -> dict[str, Json]:
        text, features = self._criteria
        prose = [one for one in example.hard_negatives if not (isinstance(one, Mapping) and one.get("literal"))]
        return {
            "task": self.setting.task,
            "inputs": dict(example.inputs),
            "answer": output,
            "expected": acceptable(example.expected),
            "soft_negatives": [text_of(one) for one in example.soft_negatives],
            "hard_negatives": [text_of(one) for one in prose],
            "rubric": text,
            "features": features,
            "answer_first": self.options.turn and turned(example.id),
        }

    def _ballots(self, inputs: Mapping[str, Json], told: Sequence[Told]) -> dict[str, Ballot]:
        """By juror, in the order of their first answer: the vote, the repair that is due, or why there is none."""
        by_name: dict[str, list[Told]] = {}
        for one in told:
            by_name.setdefault(one.question.endpoint.removeprefix(PREFIX), []).append(one)
        return {name: self._ballot(inputs, answers) for name, answers in by_name.items()}

    def _ballot(self, inputs: Mapping[str, Json], answers: Sequence[Told]) -> Ballot:
        last = answers[-1]
        if last.text is None:
            return Ballot(problem=last.problem)
        try:
            return Ballot(self._juror.parse(last.text, inputs))
        except ValueError as problem:
            if len(answers) >= TRIES:
                return Ballot(problem=f"the reply could not be read: {problem}")
            again = (Message("assistant", last.text), Message("user", REPAIR.format(problem=problem)))
            question = last.question
            return Ballot(repair=Question(question.endpoint, question.role, (*question.messages, *again)))

    def _wanted(self, ballots: Mapping[str, Ballot], judgements: Mapping[str, Judgement]) -> Sequence[Seat]:
        """Who should vote, by what is known."""
        cascade = self.options.cascade
        if cascade is None or len(self.seats) == 1:
            return self.seats
        counting = [seat for seat in self.seats if seat.name not in self.options.warn_only]
        first = next((seat for seat in self.seats if seat.name == cascade.first), counting[0])
        ballot = ballots.get(first.name)
        if ballot is None:
            return [first]
        if ballot.vote is None:
            return self.seats
        vote = _counted(ballot.vote)
        known = judgements.get(cascade.after) if cascade.after else None
        against = (
            known is not None and known.score is not None and (known.score >= cascade.line) != (vote >= cascade.line)
        )
        return self.seats if against or abs(vote - cascade.line) <= cascade.near else [first]

    def _verdict(self, ballots: Mapping[str, Ballot]) -> dict[str, Judgement]:
        """The panel's judgement, then each juror's who was asked."""
        asked = {seat.name: ballots[seat.name] for seat in self.seats if seat.name in ballots}
        counting = {name: ballot for name, ballot in asked.items() if name not in self.options.warn_only}
        votes = {name: ballot.vote for name, ballot in counting.items() if ballot.vote is not None}
        found = {self.id: self._summed(votes, len(counting))}
        for name, ballot in asked.items():
            vote = ballot.vote
            word = judged(None, f"no vote: {ballot.problem}") if vote is None else judged(_counted(vote), vote.reason)
            found[judgement_id(self.id, name)] = word
            features = vote.features if vote is not None else {}
            found |= {judgement_id(self.id, name, feature): judged(score) for feature, score in features.items()}
        return found

    def _summed(self, votes: Mapping[str, Vote], asked: int) -> Judgement:
        """What the votes come to; None with fewer than are needed of those who were asked."""
        if len(votes) < min(self.options.least, asked):
            return judged(None, f"{len(votes)} of {asked} jurors could judge")
        counted = {name: _counted(vote) for name, vote in votes.items()}
        score = panel_score(counted, {seat.name: seat.weight for seat in self.seats}, self.options.aggregate)
        if score >= 1.0:
            return judged(1.0)
        said = ", ".join(f"{name} {round(100 * vote)}" for name, vote in counted.items())
        low = _lowest(votes)
        return judged(score, f"{round(100 * score)} of 100 ({said})" + (f"; lowest: {low}" if low else ""))


def panel_score(votes: Mapping[str, float], weights: Mapping[str, float], aggregate: str) -> float:
    """What votes in [0, 1] come to: their median, or their mean by weight.

    >>> panel_score({"a": 0.2, "b": 0.4, "c": 1.0}, {}, "median")
    0.4
    >>> panel_score({"a": 0.2, "b": 0.8}, {"a": 3.0, "b": 1.0}, "mean")
    0.35
    """
    if aggregate == "median":
        return statistics.median(votes.values())
    total = math.fsum(weights.get(name, 1.0) for name in votes)
    mean = math.fsum(vote * weights.get(name, 1.0) for name, vote in votes.items()) / total
    return min(1.0, max(0.0, mean))


def turned(row_id: str) -> bool:
    """Whether this row's answer is shown before what is expected: about every other row, always the same ones."""
    return int(digest(["turn", row_id], 2), 16) % 2 == 1


def _counted(vote: Vote) -> float:
    """A vote as it counts: under 40 of 100 where it names a hard negative."""
    return min(vote.score, HARD_NEGATIVE_CAP) if vote.hard else vote.score


def _lowest(votes: Mapping[str, Vote]) -> str:
    """The lowest of the features' mean scores, by id; empty without a rubric of features."""
    sums: dict[str, list[float]] = {}
    for vote in votes.values():
        for name, score in vote.features.items():
            sums.setdefault(name, []).append(score)
    means = {name: sum(scores) / len(scores) for name, scores in sums.items()}
    return min(means, key=lambda name: (means[name], name)) if means else ""


def _seated(options: JuryOptions, setting: Setting) -> tuple[Seat, ...]:
    known = {seat.name: seat for seat in setting.jury}
    if not known:
        raise ConfigError(
            "a jury needs jurors, and models.jury lists none",
            remedy="add models.jury: [{name: strict, model: …}], or take a metric in code",
        )
    names = options.jurors or tuple(known)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"there is no juror `{unknown[0]}`", remedy=f"models.jury has: {', '.join(known)}")
    if alike := mistakable(names):
        raise ConfigError(f"the jurors `{alike[0]}` and `{alike[1]}` are told apart by no report", remedy="rename one")
    cascade = options.cascade
    if cascade and cascade.first and cascade.first not in names:
        raise ConfigError(f"cascade.first names `{cascade.first}`, who is not on the panel", remedy=", ".join(names))
    if unknown := [name for name in options.warn_only if name not in names]:
        raise ConfigError(f"warn_only names `{unknown[0]}`, who is not on the panel", remedy=", ".join(names))
    if cascade and cascade.first in options.warn_only:
        raise ConfigError(f"cascade.first names `{cascade.first}`, who does not count", remedy="name another juror")
    if not set(names) - set(options.warn_only):
        raise ConfigError("no juror counts: warn_only names them all", remedy="leave one out")
    return tuple(known[name] for name in names)
