"""`check`: baseline and candidate on the same rows, as often as it takes to tell whether one may replace the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from promptprop.domain.events import CandidateProposed, CandidateScored, Event, GateLooked, SearchEnded
from promptprop.domain.gate import GateRule, Look, look_at
from promptprop.domain.judgements import metric_means
from promptprop.domain.models import Candidate, Cell, Evaluation, Json, Proposal, Row
from promptprop.domain.statistics import mean_interval
from promptprop.ports import Brief, Shape, Workbench
from promptprop.services.evaluate import NOTHING_KNOWN

SCORE = "score"  # stands for the score as a whole, where no metric is named
UNCHANGED = "unchanged"

Scores = dict[tuple[str, str], list[Evaluation]]  # by candidate and row, in the order of replicates


@dataclass(frozen=True, slots=True)
class CriticalRows:
    """Rows with this tag must score 1 in at least `passes` of `answers` answers."""

    tag: str
    passes: int
    answers: int


@dataclass(slots=True)
class _Metric:
    """One gating metric's looks: by the whole level, and by its share of it (Bonferroni's, Holm's first step)."""

    id: str
    whole: list[Look] = field(default_factory=list)
    shared: list[Look] = field(default_factory=list)

    def look(self, differences: Sequence[float], rule: GateRule, clusters: Sequence[str] | None, share: float) -> None:
        """Take one more look."""
        self.whole.append(look_at(differences, rule, self.whole, clusters))
        same = share == 1.0
        self.shared.append(self.whole[-1] if same else look_at(differences, rule, self.shared, clusters, share))

    def as_json(self) -> dict[str, Json]:
        """The last look, as an event tells it."""
        whole, shared = self.whole[-1], self.shared[-1]
        return {
            "mean": whole.mean,
            "lower": whole.lower,
            "upper": shared.upper,
            "critical": shared.critical,
            "rows": whole.n,
            "clusters": whole.clusters,
        }


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides on the second seed of the brief, against the first one, over its select rows.

    With several metrics one that is surely worse fails the candidate, at its share of the level; it passes where each
    of them surely is not worse by the margin, which needs no share (an intersection-union test: Berger 1982,
    Technometrics 24:295). A row that lacks a score on either side is left out on both.
    """

    rule: GateRule
    metrics: tuple[str, ...] = ()
    critical: CriticalRows | None = None
    split: str = "all"

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """One event for each look, then the scores of both. Raises BudgetSpent, TooManyErrors."""
        baseline, candidate = brief.seeds[0], brief.seeds[-1]
        for seed in brief.unique_seeds:
            await workbench.keep(Proposal(seed))
            yield CandidateProposed(0, seed.id, (), "seed", seed.hypothesis.text, seed.length)
        if baseline.id == candidate.id:
            yield GateLooked(baseline.id, candidate.id, 0, "PASS", True, {}, len(brief.select), 0)
            yield SearchEnded(UNCHANGED, 0, workbench.barrier)
            return
        failed = await self._failed(brief, candidate, workbench)
        if failed:
            yield GateLooked(baseline.id, candidate.id, 0, "FAIL", True, {}, len(brief.select), 0, failed)
        else:
            async for event in self._looks(brief, baseline, candidate, workbench):
                yield event
        yield SearchEnded("done", 0, workbench.barrier)

    async def _looks(
        self, brief: Brief, baseline: Candidate, candidate: Candidate, workbench: Workbench
    ) -> AsyncGenerator[Event, None]:
        """Look after look, until the verdict is clear or there is no further one."""
        names = self.metrics or (SCORE,)
        metrics = [_Metric(name) for name in names]
        known: Scores = {}
        done = 0
        for replicates in self.rule.replicates:
            cells = [
                Cell(seed, row.id, replicate)
                for row in brief.select
                for seed in (baseline, candidate)
                for replicate in range(done, replicates)
            ]
            for evaluation in await workbench.evaluate(cells):
                known.setdefault((evaluation.candidate_id, evaluation.example_id), []).append(evaluation)
            done = replicates
            for metric in metrics:
                rows, differences = paired(known, brief.select, baseline.id, candidate.id, metric.id)
                if differences:
                    metric.look(differences, self.rule, clusters_of(rows), 1 / len(metrics))
            verdict = _verdict(metrics)
            over = verdict != "INCONCLUSIVE" or replicates == self.rule.replicates[-1]
            kept = min((metric.whole[-1].n for metric in metrics if metric.whole), default=0)
            told = {metric.id: metric.as_json() for metric in metrics if metric.whole}
            total = len(brief.select)
            yield GateLooked(baseline.id, candidate.id, replicates, verdict, over, told, kept, total - kept)
            if over:
                break
        for seed in (baseline, candidate):
            yield self._scored(seed, [one for row in brief.select for one in known.get((seed.id, row.id), [])])

    def _scored(self, seed: Candidate, evaluations: Sequence[Evaluation]) -> CandidateScored:
        by_row: dict[str, list[float]] = {}
        for one in evaluations:
            by_row.setdefault(one.example_id, [])
            if one.score is not None:
                by_row[one.example_id].append(one.score)
        means = [sum(scores) / len(scores) for scores in by_row.values() if scores]
        score = mean_interval(means) if means else NOTHING_KNOWN
        return CandidateScored(0, seed.id, self.split, score, len(by_row) - len(means), metric_means(evaluations))

    async def _failed(self, brief: Brief, candidate: Candidate, workbench: Workbench) -> tuple[str, ...]:
        """The critical rows that the candidate does not pass. A row without a score counts as failed."""
        wanted = self.critical
        if wanted is None:
            return ()
        examples = workbench.examples([row.id for row in brief.select])
        rows = [example.id for example in examples if wanted.tag in example.tags]
        cells = [Cell(candidate, row, replicate) for row in rows for replicate in range(wanted.answers)]
        passed = dict.fromkeys(rows, 0)
        for one in await workbench.evaluate(cells) if cells else ():
            passed[one.example_id] += one.score == 1.0
        return tuple(row for row, count in passed.items() if count < wanted.passes)

    def shape(self, brief: Brief) -> Shape:
        """At most this: every look, for both."""
        return Shape(0, 0, 0, len(brief.select) * self.rule.replicates[-1] * 2, 0, 0, 0)


def _verdict(metrics: Sequence[_Metric]) -> str:
    """What the last looks of all metrics come to; a metric that could judge no row decides nothing."""
    if any(metric.shared and metric.shared[-1].verdict == "FAIL" for metric in metrics):
        return "FAIL"
    if all(metric.whole and metric.whole[-1].verdict == "PASS" for metric in metrics):
        return "PASS"
    return "INCONCLUSIVE"


def paired(
    known: Mapping[tuple[str, str], Sequence[Evaluation]],
    rows: Sequence[Row],
    baseline_id: str,
    candidate_id: str,
    metric: str,
) -> tuple[list[Row], list[float]]:
    """The rows that both have a value for, and candidate − baseline of the means over their answers."""
    found, differences = [], []
    for row in rows:
        before, after = (_mean(known.get((seed, row.id), ()), metric) for seed in (baseline_id, candidate_id))
        if before is not None and after is not None:
            found.append(row)
            differences.append(after - before)
    return found, differences


def _mean(evaluations: Sequence[Evaluation], metric: str) -> float | None:
    values = [value for one in evaluations if (value := value_of(one, metric)) is not None]
    return sum(values) / len(values) if values else None


def value_of(evaluation: Evaluation, metric: str) -> float | None:
    """An evaluation's value of a metric, or its score as a whole; None where there is none."""
    if evaluation.error is not None:
        return None
    if metric == SCORE:
        return evaluation.score
    word = evaluation.judgements.get(metric)
    return word.score if word is not None else None


def clusters_of(rows: Sequence[Row]) -> list[str] | None:
    """The clusters of rows; None where each row is its own."""
    clusters = [row.cluster for row in rows]
    return clusters if len(set(clusters)) < len(clusters) else None
