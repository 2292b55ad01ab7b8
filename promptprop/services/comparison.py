"""Two prompts on the rows that both have answered, from what is on record: the gate's statistics, at one look."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median
from typing import Literal, TypeAlias

from promptprop.domain.events import Estimate
from promptprop.domain.gate import GateRule, Look, look_at
from promptprop.domain.models import PICO, Evaluation, Example, Row
from promptprop.domain.sampling import row_of
from promptprop.domain.statistics import clustered_mean
from promptprop.services.evaluate import NOTHING_KNOWN
from promptprop.services.flips import Flip, better_of, flips_of, worse_of
from promptprop.services.gate_tests import SCORE, clusters_of, paired, value_of

Found: TypeAlias = Literal["better", "worse", "open"]
Known: TypeAlias = Mapping[str, Mapping[str, Sequence[Evaluation]]]  # by side and row
BEFORE, AFTER = "before", "after"  # stand for the candidates, which may be one and the same prompt
ALPHA = 0.05  # of each of both tests, as for a gate that is told nothing


@dataclass(frozen=True, slots=True)
class Answers:
    """What is on record of one prompt: its evaluations, each cell once, and the rows that they are of, by id."""

    evaluations: Sequence[Evaluation]
    examples: Mapping[str, Example]


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric, or the score as a whole, of both prompts; `look` is None where no row has a value on both sides."""

    metric: str
    before: Estimate
    after: Estimate
    look: Look | None

    @property
    def found(self) -> Found:
        """What the rows tell: surely better, surely worse, or neither."""
        if self.look is None or self.look.verdict == "INCONCLUSIVE":
            return "open"
        return "better" if self.look.verdict == "PASS" else "worse"


@dataclass(frozen=True, slots=True)
class Taken:
    """What the answers of one prompt take in production; None where a price is not known, or nothing was answered."""

    usd_per_1000_rows: Decimal | None
    seconds: float | None
    tokens: float | None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Rows that both prompts answered, those that one of them did, and those whose contents differ."""

    rows: int
    only_before: int
    only_after: int
    changed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that the record says. `answers` are compared for each row, `missing` rows lack a score on either side."""

    score: Measured
    metrics: tuple[Measured, ...]
    overlap: Overlap
    missing: int
    answers: int
    flips: tuple[Flip, ...]
    taken: tuple[Taken, Taken]

    @property
    def worse(self) -> tuple[Flip, ...]:
        """Rows that the second prompt answers worse, the worst first."""
        return worse_of(self.flips)

    @property
    def better(self) -> tuple[Flip, ...]:
        """Rows that it answers better, the best first."""
        return better_of(self.flips)


def compare(
    before: Answers, after: Answers, metrics: Sequence[str] = (), rows: Collection[str] | None = None
) -> Comparison:
    """Hold `after` against `before`, on `rows` only where they are given.

    Rows are the same where id and contents are; of each, the answers of replicates that both have are compared. Each
    of several metrics is judged at its share of the level, as by a gate.
    """
    overlap, shared = _shared(before, after, rows)
    known, answers = _known(before, after, shared)
    cells = [row_of(after.examples[row]) for row in shared]
    score = _measured(known, cells, SCORE, answers, 1.0)
    several = metrics if len(metrics) > 1 else ()
    evaluations = [one for side in known.values() for found in side.values() for one in found]
    examples = {row: after.examples[row] for row in shared}
    return Comparison(
        score=score,
        metrics=tuple(_measured(known, cells, metric, answers, 1 / len(several)) for metric in several),
        overlap=overlap,
        missing=len(shared) - score.before.n,
        answers=answers,
        flips=tuple(flips_of(evaluations, examples, BEFORE, AFTER)),
        taken=(_taken(known[BEFORE]), _taken(known[AFTER])),
    )


def _shared(before: Answers, after: Answers, rows: Collection[str] | None) -> tuple[Overlap, list[str]]:
    """How the rows of both overlap, and the ids of those that are the same, in the order of the second."""
    first, second = (
        dict.fromkeys(one.example_id for one in side.evaluations if rows is None or one.example_id in rows)
        for side in (before, after)
    )
    both = [row for row in second if row in first]
    same = [row for row in both if _contents(before.examples[row]) == _contents(after.examples[row])]
    only = len(first) - len(both), len(second) - len(both)
    return Overlap(len(same), *only, len(both) - len(same)), same


def _contents(example: Example) -> tuple[object, ...]:
    """What a row's score depends on: a new tag, or another cluster, does not make it another row."""
    return example.inputs, example.expected, example.soft_negatives, example.hard_negatives


def _known(before: Answers, after: Answers, shared: Sequence[str]) -> tuple[Known, int]:
    """The answers to shared rows by side and row, of replicates that both have; and the fewest that a row has."""
    found: dict[str, dict[str, dict[int, Evaluation]]] = {BEFORE: {}, AFTER: {}}
    for name, side in ((BEFORE, before), (AFTER, after)):
        for one in side.evaluations:
            found[name].setdefault(one.example_id, {})[one.replicate] = replace(one, candidate_id=name)
    known: dict[str, dict[str, list[Evaluation]]] = {BEFORE: {}, AFTER: {}}
    fewest = 0
    for row in shared:
        both = sorted(found[BEFORE][row].keys() & found[AFTER][row].keys())
        if both:
            fewest = min(fewest or len(both), len(both))
            for name, side_known in known.items():
                side_known[row] = [found[name][row][place] for place in both]
    return known, fewest


def _measured(known: Known, rows: Sequence[Row], metric: str, answers: int, share: float) -> Measured:
    kept, old, new = paired(known[BEFORE], known[AFTER], rows, lambda one: value_of(one, metric))
    if not kept:
        return Measured(metric, NOTHING_KNOWN, NOTHING_KNOWN, None)
    clusters = clusters_of(kept)
    differences = [after - before for before, after in zip(old, new, strict=True)]
    rule = GateRule(margin=0.0, alpha=ALPHA, replicates=(answers,))
    look = look_at(differences, rule, (), clusters, share)
    return Measured(metric, clustered_mean(old, clusters), clustered_mean(new, clusters), look)


def _taken(known: Mapping[str, Sequence[Evaluation]]) -> Taken:
    answered = [one for found in known.values() for one in found if one.error is None]
    if not answered:
        return Taken(None, None, None)
    prices = [one.picousd for one in answered if one.picousd is not None]
    usd = Decimal(sum(prices)) / len(prices) * 1000 / PICO if len(prices) == len(answered) else None
    return Taken(
        usd_per_1000_rows=None if usd is None else usd.quantize(Decimal("0.000001")).normalize(),
        seconds=median(one.latency for one in answered),
        tokens=sum(one.usage.total for one in answered) / len(answered),
    )
