"""The engine: runs what a run row asks for, and reports what is recorded. The one entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal

from promptprop.domain import events as facts
from promptprop.domain.errors import UsageError
from promptprop.domain.events import Event
from promptprop.domain.history import History, fold
from promptprop.domain.models import PICO
from promptprop.domain.report import Report, report_of
from promptprop.ports import Clock, EventSink, Inbox, Reviewer, RunRow, Store
from promptprop.services.breakdown import breakdown_of_run
from promptprop.services.course import Assembly, Company, Course, Room
from promptprop.services.desk import Interventions


class Engine:
    """Runs runs. One engine serves many runs, one after another or side by side."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        assemble: Callable[[RunRow], Awaitable[Assembly]],
        lock: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        """`assemble` composes a run from its row; `lock` keeps other processes off it (raises RunLocked)."""
        self.store = store
        self.clock = clock
        self._room = Room(store, clock, assemble)
        self._lock = lock

    async def run(
        self,
        run_id: str,
        *,
        interventions: Interventions | None = None,
        sinks: Sequence[EventSink] = (),
        reviewer: Reviewer | None = None,
        inbox: Inbox | None = None,
    ) -> Report:
        """Begin or take up a run, and bring it to its end. A finished run only shows its report.

        A `reviewer` is asked before a rewrite is adopted. What others leave in the `inbox` is taken between decisions;
        it also says how a run ends that is cancelled from outside.
        Raises Interrupted, TooManyErrors, BudgetExhausted, ModelError, StorageError: all leave the run resumable.
        """
        run_id = self.store.run(run_id).id
        wanted = (interventions or Interventions()).events()
        company = Company(sinks, reviewer, inbox)
        if not self._may_go_on(run_id, wanted):
            return self.report(run_id)
        with self._lock(run_id):
            # read again: another process may have worked on the run until a moment ago
            if self._may_go_on(run_id, wanted):
                course = Course(self._room, self.store.run(run_id), self.store.events(run_id), company)
                try:
                    await course.follow(wanted)
                finally:
                    await course.close()
            return self.report(run_id)

    def _may_go_on(self, run_id: str, wanted: Sequence[Event]) -> bool:
        """False for a finished run; a person cannot intervene in one. Raises UsageError."""
        if not self.history(run_id).finished:
            return True
        if wanted:
            raise UsageError(
                f"run {run_id[:8]} is finished: what it found stands, and it cannot go on",
                remedy=f"`promptprop runs resume {run_id[:8]} --second-look` goes on as a new run, with what is paid",
            )
        return False

    def history(self, run_id: str) -> History:
        """The fold of a run's events."""
        return fold(self.store.events(run_id))

    def report(self, run_id: str, *, breakdown: bool = True) -> Report:
        """The report as of now, for runs in any state; a `breakdown` reads all answers of an evaluation."""
        candidates = {key: proposal.candidate for key, proposal in self.store.candidates(run_id).items()}
        stored = self.store.events(run_id)
        history = fold(stored)
        retries = sum(isinstance(one.event, facts.ErrorsRetried) for one in stored)
        spend = history.spend  # of a finished run the last event tells all that was ever paid
        if not history.finished:  # else the record does, and not what the last pass had replayed when it ended
            spend = self.store.paid_by_role(run_id).with_hits_of(history.spend)
        named = {history.seed_id, history.best_id, history.test.winner_id if history.test else ""} - {""}
        costs = {candidate_id: self._cost(run_id, candidate_id) for candidate_id in sorted(named)}
        report = report_of(replace(history, run_id=run_id, spend=spend), candidates, costs)
        parts = breakdown_of_run(self.store, self.store.run(run_id)) if breakdown else ()
        return replace(report, failed_calls=self.store.failed_calls(run_id, retries), breakdown=parts)

    def _cost(self, run_id: str, candidate_id: str) -> Decimal | None:
        """USD per 1000 rows: the mean over the candidate's evaluations; None where a price is unknown."""
        costs = self.store.evaluation_costs(run_id, candidate_id)
        if not costs.count or costs.unpriced:
            return None
        return (Decimal(costs.picousd) / costs.count * 1000 / PICO).quantize(Decimal("0.000001")).normalize()
