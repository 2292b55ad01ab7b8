"""`check`: baseline and candidate on the same rows, as often as it takes to tell whether one may replace the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from promptprop.domain.events import CandidateProposed, CandidateScored, Event, GateLooked, SearchEnded
from promptprop.domain.gate import GateRule
from promptprop.domain.judgements import metric_means
from promptprop.domain.models import Candidate, Cell, Evaluation, Proposal, Row
from promptprop.ports import Brief, Shape, Workbench
from promptprop.services.evaluate import score_of
from promptprop.services.gate_tests import SCORE, GateTest, Guard, decide

UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class CriticalRows:
    """Rows with this tag must score 1 in at least `passes` of `answers` answers."""

    tag: str
    passes: int
    answers: int


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """A baseline that need not be asked again: its id, and its answers by row."""

    id: str
    answers: Mapping[str, Sequence[Evaluation]]


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides on the second seed of the brief, against the first one, over its select rows.

    With `stored` the first seed's answers are those, and rows without any are no part of it. `anew` asks although both
    are the same prompt: another model answers it now, or the same one may have changed.
    """

    rule: GateRule
    metrics: tuple[str, ...] = ()
    critical: CriticalRows | None = None
    split: str = "all"
    guards: tuple[Guard, ...] = ()
    stored: StoredAnswers | None = None
    anew: bool = False

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """One event for each look, then the scores of both. Raises BudgetSpent, TooManyErrors."""
        baseline, candidate = brief.seeds[0], brief.seeds[-1]
        first = self.stored.id if self.stored else baseline.id
        rows = self._rows(brief)
        if self.stored:
            yield CandidateProposed(0, first, (), "seed", "the stored baseline", baseline.length)
        for seed in (candidate,) if self.stored else brief.unique_seeds:
            await workbench.keep(Proposal(seed))
            yield CandidateProposed(0, seed.id, (), "seed", seed.hypothesis.text, seed.length)
        if baseline.id == candidate.id and not self.anew:
            yield GateLooked(first, candidate.id, 0, "PASS", True, {}, len(rows), 0)
            yield SearchEnded(UNCHANGED, 0, workbench.barrier)
            return
        failed = await self._failed(rows, candidate, workbench)
        if failed:
            yield GateLooked(first, candidate.id, 0, "FAIL", True, {}, len(rows), 0, failed)
        else:
            async for event in self._looks(rows, baseline, candidate, workbench):
                yield event
        yield SearchEnded("done", 0, workbench.barrier)

    async def _looks(
        self, rows: Sequence[Row], baseline: Candidate, candidate: Candidate, workbench: Workbench
    ) -> AsyncGenerator[Event, None]:
        """Look after look, until the verdict is clear or there is no further one."""
        names = self.metrics or (SCORE,)
        count = len(names) + len(self.guards)
        tests = [GateTest(name, count) for name in names]
        tests += [GateTest(guard.id, count, guard) for guard in self.guards]
        asked = (candidate,) if self.stored else (baseline, candidate)
        found: dict[str, dict[str, list[Evaluation]]] = {seed.id: {} for seed in asked}
        before, after = self.stored or StoredAnswers(baseline.id, found[baseline.id]), found[candidate.id]
        done = 0
        for replicates in self.rule.replicates:
            fresh = range(done, replicates)
            cells = [Cell(seed, row.id, replicate) for row in rows for seed in asked for replicate in fresh]
            for one in await workbench.evaluate(cells):
                found[one.candidate_id].setdefault(one.example_id, []).append(one)
            done = replicates
            for test in tests:
                test.look(before.answers, after, rows, self.rule)
            verdict = decide(tests, self.rule.margin)
            over = verdict != "INCONCLUSIVE" or replicates == self.rule.replicates[-1]
            kept = min((test.whole.n for test in tests if test.whole and not test.guard), default=0)
            told = {_told(test): test.as_json() for test in tests}
            yield GateLooked(before.id, candidate.id, replicates, verdict, over, told, kept, len(rows) - kept)
            if over:
                break
        yield self._scored(before.id, rows, before.answers)
        yield self._scored(candidate.id, rows, after)

    def _rows(self, brief: Brief) -> Sequence[Row]:
        if self.stored is None:
            return brief.select
        return [row for row in brief.select if row.id in self.stored.answers]

    def _scored(self, seed: str, rows: Sequence[Row], known: Mapping[str, Sequence[Evaluation]]) -> CandidateScored:
        evaluations = [one for row in rows for one in known.get(row.id, ())]
        score, missing = score_of(evaluations, rows)
        return CandidateScored(0, seed, self.split, score, missing, metric_means(evaluations))

    async def _failed(self, rows: Sequence[Row], candidate: Candidate, workbench: Workbench) -> tuple[str, ...]:
        """The critical rows that the candidate does not pass. A row without a score counts as failed."""
        wanted = self.critical
        if wanted is None:
            return ()
        examples = workbench.examples([row.id for row in rows])
        critical = [example.id for example in examples if wanted.tag in example.tags]
        cells = [Cell(candidate, row, replicate) for row in critical for replicate in range(wanted.answers)]
        passed = dict.fromkeys(critical, 0)
        for one in await workbench.evaluate(cells) if cells else ():
            passed[one.example_id] += one.score == 1.0
        return tuple(row for row, count in passed.items() if count < wanted.passes)

    def shape(self, brief: Brief) -> Shape:
        """At most this: every look, for both; a stored baseline is not asked."""
        sides = 1 if self.stored else 2
        return Shape(0, 0, 0, len(self._rows(brief)) * self.rule.replicates[-1] * sides, 0, 0, 0)


def _told(test: GateTest) -> str:
    """A test's name in an event: a metric may decide and be guarded, too."""
    return f"guard {test.id}" if test.guard else test.id
