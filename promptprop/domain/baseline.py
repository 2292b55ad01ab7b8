"""A stored baseline: how a prompt scored on each row, and under what; and what makes another score incomparable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from promptprop.domain.models import PICO, Candidate, Evaluation, Example, Failure, Json, Judgement, Usage, digest

Aspect: TypeAlias = Literal["rows", "metrics", "judges", "model"]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
ALLOWED: tuple[Aspect, ...] = ("rows", "model")
"""Differences under which a comparison still means something: of the rows that both have, and of two models."""

CONTENT = 16  # hex digits that stand for a row's content
UNSCORED = Failure("unscored", "the baseline has no score here")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that baseline and candidate do not share."""

    aspect: Aspect
    text: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a score depends on besides prompt and rows. Each maps names to readable settings or to digests.

    `models` are those that answer the prompt, by alias; `judges` those that metrics ask; `steps` the chain.
    """

    models: Mapping[str, Json]
    judges: Mapping[str, Json]
    metrics: Mapping[str, Json]
    steps: Sequence[Sequence[str]]

    def as_json(self) -> dict[str, Json]:
        """For the file."""
        return {
            "steps": [list(step) for step in self.steps],
            "models": dict(self.models),
            "judges": dict(self.judges),
            "metrics": dict(self.metrics),
        }


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """One row: what it holds, as a digest, and each answer's values, None where there is none.

    `answers` are their beginnings, for people; `usd`, `seconds` and `length` (in characters) are means.
    """

    id: str
    content: str
    scores: tuple[float | None, ...]
    metrics: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    answers: tuple[str, ...] = ()
    usd: float | None = None
    seconds: float | None = None
    length: float | None = None

    @property
    def mean(self) -> float | None:
        """The mean score of its answers; None where none has one."""
        return _mean([score for score in self.scores if score is not None])


@dataclass(frozen=True, slots=True)
class Baseline:
    """A prompt, its answers' values on rows, and the conditions under which they came about.

    Its `id` stands for the contents where a candidate's would: the same prompt may be compared with itself.
    """

    name: str
    candidate: Candidate
    split: str
    conditions: Conditions
    rows: tuple[BaselineRow, ...]
    id: str = field(default="")

    def __post_init__(self) -> None:
        """Derive the id from the contents."""
        rows = [[row.id, row.content, list(row.scores), _plain(row.metrics)] for row in self.rows]
        contents = digest([self.candidate.id, self.conditions.as_json(), rows])
        object.__setattr__(self, "id", f"stored{contents[:26]}")

    @property
    def replicates(self) -> int:
        """The most answers that a row has."""
        return max((len(row.scores) for row in self.rows), default=0)

    @property
    def score(self) -> float | None:
        """The mean over rows of the means of their answers."""
        return _mean([mean for row in self.rows if (mean := row.mean) is not None])

    def evaluations(self, ids: Iterable[str]) -> list[Evaluation]:
        """The stored answers to these rows as evaluations under the baseline's own id."""
        wanted = set(ids)
        return [
            self._evaluation(row, replicate)
            for row in self.rows
            if row.id in wanted
            for replicate in range(len(row.scores))
        ]

    def _evaluation(self, row: BaselineRow, replicate: int) -> Evaluation:
        values = row.metrics or dict.fromkeys(self.conditions.metrics, row.scores)
        return Evaluation(
            candidate_id=self.id,
            example_id=row.id,
            replicate=replicate,
            output=row.answers[replicate] if replicate < len(row.answers) else "",
            judgements={name: Judgement(given[replicate]) for name, given in values.items() if replicate < len(given)},
            score=row.scores[replicate],
            usage=Usage(),
            picousd=None if row.usd is None else round(row.usd * PICO),
            latency=row.seconds or 0.0,
            error=UNSCORED if row.scores[replicate] is None else None,
        )


def content_of(example: Example) -> str:
    """The digest of what a row holds; which split it is in is not part of it."""
    parts = [
        dict(example.inputs),
        example.expected,
        list(example.soft_negatives),
        list(example.hard_negatives),
        sorted(example.tags),
        example.cluster,
        example.weight,
    ]
    return digest(parts, CONTENT)


def row_of(example: Example, evaluations: Sequence[Evaluation], longest: int) -> BaselineRow:
    """A row from its answers in the order of replicates; `longest` characters of each are kept."""
    names = dict.fromkeys(name for one in evaluations for name in one.judgements)
    scores = tuple(None if one.error else one.score for one in evaluations)
    metrics = {name: tuple(_judged(one, name) for one in evaluations) for name in names}
    answered = [one for one in evaluations if one.error is None]
    money = [one.picousd for one in answered if one.picousd is not None]
    return BaselineRow(
        id=example.id,
        content=content_of(example),
        scores=scores,
        metrics={} if all(values == scores for values in metrics.values()) else metrics,
        answers=tuple(_beginning(one.output, longest) for one in evaluations),
        usd=_mean([one / PICO for one in money]) if money and len(money) == len(answered) else None,
        seconds=_mean([one.latency for one in answered]),
        length=_mean([len(one.output) for one in answered]),
    )


def differences(
    baseline: Baseline, conditions: Conditions, contents: Mapping[str, str], split: str
) -> list[Difference]:
    """What baseline and candidate do not share: conditions first, then rows (`contents` by id)."""
    before = baseline.conditions
    found: list[Difference] = []
    if [list(step) for step in before.steps] != [list(step) for step in conditions.steps]:
        found.append(Difference("model", "the steps of the chain"))
    found += [Difference("model", text) for text in _changes("models", before.models, conditions.models)]
    found += [Difference("judges", text) for text in _changes("judges", before.judges, conditions.judges)]
    found += [Difference("metrics", text) for text in _changes("metrics", before.metrics, conditions.metrics)]
    if baseline.split != split:
        found.append(Difference("rows", f"the split: {baseline.split} before, {split} now"))
    return found + [Difference("rows", text) for text in _row_changes(baseline.rows, contents)]


def shared_rows(baseline: Baseline, contents: Mapping[str, str]) -> list[str]:
    """The ids of rows that both hold with the same content, in the baseline's order."""
    return [row.id for row in baseline.rows if contents.get(row.id) == row.content]


def _changes(what: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> list[str]:
    """The settings that differ, each by its place."""
    texts = []
    for name in {**old, **new}:
        place = f"{what}.{name}"
        if name not in new:
            texts.append(f"{place}: gone")
        elif name not in old:
            texts.append(f"{place}: new")
        else:
            changes = _value_changes(place, old[name], new[name])
            named = [change for change in changes if not change.startswith(f"{place}.digest:")]
            texts += named or [f"{place}: its code, its files or a template" for _ in changes]
    return texts


def _value_changes(place: str, old: Json, new: Json) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            text for name in {**old, **new} for text in _value_changes(f"{place}.{name}", old.get(name), new.get(name))
        ]
    return [] if old == new else [f"{place}: {_shown(old)} before, {_shown(new)} now"]


def _shown(value: Json) -> str:
    return "nothing" if value is None else str(value)


def _row_changes(rows: Sequence[BaselineRow], contents: Mapping[str, str]) -> list[str]:
    """Changed, renamed, lost and added rows, each by its id. A row that is there under another id is a renamed one."""
    before = {row.id: row.content for row in rows}
    changed = [name for name, content in before.items() if name in contents and contents[name] != content]
    lost = [name for name in before if name not in contents]
    added = [name for name in contents if name not in before]
    by_content: dict[str, list[str]] = {}
    for name in added:
        by_content.setdefault(contents[name], []).append(name)
    renamed = []
    for name in list(lost):
        twins = by_content.get(before[name])
        if twins:
            twin = twins.pop(0)
            renamed.append(f"{name} → {twin}")
            lost.remove(name)
            added.remove(twin)
    parts = (("changed", changed), ("renamed", renamed), ("gone", lost), ("new", added))
    return [f"{_counted(names)} {how}: {_listed(names)}" for how, names in parts if names]


def _counted(names: Sequence[str]) -> str:
    return "1 row" if len(names) == 1 else f"{len(names):,} rows"


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _beginning(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _judged(evaluation: Evaluation, metric: str) -> float | None:
    word = evaluation.judgements.get(metric)
    return None if word is None or evaluation.error else word.score


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _plain(metrics: Mapping[str, Sequence[float | None]]) -> dict[str, Json]:
    return {name: list(values) for name, values in metrics.items()}
