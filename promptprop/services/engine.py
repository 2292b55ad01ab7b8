"""The engine: runs what a run row asks for, writes its events, and replays what is recorded. The one entry.

An optimizer yields decisions; the engine stores each one first (a failure there ends the run), then shows it to the
sinks (a failure there is logged). Nobody calls back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from promptprop.domain import events as facts
from promptprop.domain.errors import (
    BudgetExhausted,
    BudgetSpent,
    Interrupted,
    PromptPropError,
    TooManyErrors,
    UsageError,
)
from promptprop.domain.events import Event, StoredEvent
from promptprop.domain.history import History, advance, fold
from promptprop.domain.models import PICO, Candidate, Json
from promptprop.domain.report import Report, report_of
from promptprop.ports import Brief, Clock, EventSink, Ledger, Optimizer, RunRow, Store, Tick
from promptprop.services.replay import Replay
from promptprop.services.workbench import Equipment, LiveWorkbench

log = logging.getLogger("promptprop.engine")


@dataclass(frozen=True, slots=True)
class Assembly:
    """A run made ready: what bootstrap composed from its snapshot."""

    optimizer: Optimizer
    brief: Brief
    equipment: Equipment
    started: facts.RunStarted

    @property
    def ledger(self) -> Ledger:
        """The models of the run."""
        return self.equipment.ledger


@dataclass(frozen=True, slots=True)
class Interventions:
    """What a person decides on resume: larger caps, and whether failed calls are made again."""

    caps: Mapping[str, Json] = field(default_factory=dict)
    retry_errors: bool = False

    def events(self) -> list[Event]:
        """The events that store them."""
        raised: list[Event] = [facts.CapRaised(dict(self.caps))] if self.caps else []
        return [*raised, *([facts.ErrorsRetried()] if self.retry_errors else [])]


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
        self._assemble = assemble
        self._lock = lock

    async def run(
        self, run_id: str, *, interventions: Interventions | None = None, sinks: Sequence[EventSink] = ()
    ) -> Report:
        """Begin or take up a run, and bring it to its end. A finished run only shows its report.

        Raises Interrupted, TooManyErrors, BudgetExhausted, ModelError, StorageError: all leave the run resumable.
        """
        row = self.store.run(run_id)
        stored = self.store.events(row.id)
        wanted = (interventions or Interventions()).events()
        if fold(stored).finished:
            if wanted:
                raise UsageError(
                    f"run {row.id[:8]} is finished: its sealed test was opened, so it cannot go on",
                    remedy="start a new run: what is equal comes from the ledger, free of charge",
                )
            return self.report(row.id)
        with self._lock(row.id):
            course = _Course(self, row, stored, sinks)
            try:
                await course.follow(wanted)
            finally:
                await course.close()
            return self.report(row.id)

    def history(self, run_id: str) -> History:
        """The fold of a run's events."""
        return fold(self.store.events(run_id))

    def report(self, run_id: str) -> Report:
        """The report as of now, for runs in any state."""
        candidates = {key: proposal.candidate for key, proposal in self.store.candidates(run_id).items()}
        history = self.history(run_id)
        named = {history.seed_id, history.best_id, history.test.winner_id if history.test else ""} - {""}
        costs = {candidate_id: self._cost(run_id, candidate_id) for candidate_id in sorted(named)}
        return report_of(replace(history, run_id=run_id), candidates, costs)

    def _cost(self, run_id: str, candidate_id: str) -> Decimal | None:
        """USD per 1000 rows: the mean over the candidate's evaluations; None where a price is unknown."""
        prices = [item.picousd for item in self.store.evaluations(run_id, candidate_id) if not item.error]
        known = [price for price in prices if price is not None]
        if not known or len(known) < len(prices):
            return None
        return (Decimal(sum(known)) / len(known) * 1000 / PICO).quantize(Decimal("0.000001")).normalize()


class _Course:
    """One pass of a run: replay, then live, to an end of some kind."""

    def __init__(self, engine: Engine, row: RunRow, stored: Sequence[StoredEvent], sinks: Sequence[EventSink]) -> None:
        self.engine = engine
        self.row = row
        self.sinks = list(sinks)
        self.seq = len(stored)
        self.history = History(run_id=row.id)
        self.replay = Replay(stored)
        self.stored = list(stored)
        self.began = engine.clock.monotonic()
        self.assembly: Assembly | None = None

    def active_seconds(self) -> float:
        """Seconds of work on this run, all passes together."""
        return self.row.active_seconds + self.engine.clock.monotonic() - self.began

    async def follow(self, wanted: Sequence[Event]) -> None:
        """Replay the record, go on live, and store how it ended."""
        self.assembly = assembly = await self.engine._assemble(self.row)
        await self.engine.store.update_run(self.row.id, status="running")
        await self._open(assembly.started, wanted)
        bench = LiveWorkbench(assembly.equipment, self.replay, self.active_seconds, self._tick)
        retried = self.replay.generation
        for _ in range(retried):
            assembly.ledger.retry_failures()
        try:
            async with aclosing(assembly.optimizer.run(assembly.brief, bench)) as decisions:
                async for decision in decisions:
                    await self._take(decision)
                    while retried < self.replay.generation:
                        assembly.ledger.retry_failures()
                        retried += 1
            await self._finish()
        except asyncio.CancelledError:
            await self._stop("interrupted", "")
            raise Interrupted(
                f"run {self.row.id[:8]} was interrupted", remedy=f"promptprop runs resume {self.row.id[:8]}"
            ) from None
        except BudgetSpent as spent:
            detail = f"the {spent.cap} cap leaves no room for the confirmation and the sealed test"
            await self._stop("budget", detail)
            raise BudgetExhausted(
                f"run {self.row.id[:8]}: {detail}; the best prompt so far is kept",
                remedy=f"promptprop runs resume {self.row.id[:8]} --max-{spent.cap} MORE",
            ) from spent
        except PromptPropError as error:
            await self._stop("errors" if isinstance(error, TooManyErrors) else "failed", error.message)
            raise

    async def _open(self, started: facts.RunStarted, wanted: Sequence[Event]) -> None:
        for stored in self.stored:
            if stored.event.lifecycle:
                self.history = advance(self.history, stored)
                self._show(stored)
        if not self.stored:
            await self._append(started)
            return
        await self._append(facts.RunResumed())
        for event in wanted:
            self.replay.add_intervention(event)
            await self._append(event)

    async def _take(self, decision: Event) -> None:
        recorded = self.replay.meet(decision)
        if recorded is None:
            await self._append(decision)
            return
        self.history = advance(self.history, recorded)
        self._show(recorded)

    async def _append(self, event: Event) -> StoredEvent:
        self.seq += 1
        spend = self.assembly.ledger.spend if self.assembly else self.history.spend
        meta: dict[str, Json] = {"spend": spend.as_json(), "active_seconds": round(self.active_seconds(), 3)}
        stored = StoredEvent(self.row.id, self.seq, self.engine.clock.now(), event, meta)
        await self.engine.store.append(stored)
        self.history = advance(self.history, stored)
        self._show(stored)
        return stored

    def _show(self, stored: StoredEvent) -> None:
        for sink in list(self.sinks):
            self._tell(sink, sink.accept, stored)

    def _tell(self, sink: EventSink, listen: Callable[[Any], None], what: StoredEvent | Tick) -> None:
        try:
            listen(what)
        except Exception:
            log.exception("a sink failed and is left out from here on", extra={"sink": type(sink).__name__})
            self.sinks.remove(sink)

    def _tick(self, phase: str, done: int, total: int) -> None:
        assembly = self.assembly
        if assembly is None:
            return
        tick = Tick(self.row.id, phase, done, total, assembly.ledger.spend)
        for sink in list(self.sinks):
            self._tell(sink, sink.tick, tick)

    async def _finish(self) -> None:
        await self._append(facts.RunFinished(self.history.search_ended or "done"))
        await self._save_prompts()
        await self.engine.store.update_run(
            self.row.id,
            status="finished",
            stop_reason=self.history.stop_reason,
            active_seconds=self.active_seconds(),
            summary=self._summary(),
        )

    async def _stop(self, reason: str, detail: str) -> None:
        await self._append(facts.RunStopped(reason, detail))
        await self.engine.store.update_run(
            self.row.id,
            status="stopped",
            stop_reason=reason,
            active_seconds=self.active_seconds(),
            summary=self._summary(),
        )

    def _summary(self) -> dict[str, Json]:
        history = self.history
        best = history.test.winner if history.test else None
        last = history.trajectory[-1].score if history.trajectory else None
        estimate = best or last
        total = history.spend.total
        return {
            "verdict": history.test.verdict if history.test else None,
            "score": None if estimate is None else estimate.mean,
            "on": "test" if best else "select",
            "delta": history.test.delta.mean if history.test else None,
            "rounds": len(history.trajectory),
            "calls": total.calls,
            "tokens": total.tokens,
            "picousd": total.picousd,
            "simulated": history.simulated,
        }

    async def _save_prompts(self) -> None:
        test = self.history.test
        if test is None:
            return
        kept = self.engine.store.candidates(self.row.id)
        seed: Candidate = kept[test.seed_id].candidate
        winner: Candidate = kept[test.winner_id].candidate
        await self.engine.store.save_prompt(self.row.name, seed, self.row.id, ("seed",))
        alias = "winner" if test.verdict in ("better", "unchanged") else "unproven"
        await self.engine.store.save_prompt(self.row.name, winner, self.row.id, (alias,))

    async def close(self) -> None:
        """Close models and sinks; their failures are logged."""
        if self.assembly is not None:
            await self.assembly.ledger.close()
        closed = await asyncio.gather(*(sink.close() for sink in self.sinks), return_exceptions=True)
        for sink, failure in zip(self.sinks, closed, strict=True):
            if isinstance(failure, BaseException):
                log.error("a sink failed to close", extra={"sink": type(sink).__name__}, exc_info=failure)
