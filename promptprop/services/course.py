"""One pass of a run: what is recorded is replayed, then it goes on live, to an end of some kind.

An optimizer yields decisions; each one is stored first (a failure there ends the run), then shown to the sinks (a
failure there is logged). Between two decisions the run takes what people have left in its inbox. Nobody calls back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NoReturn

from promptprop.domain import events as facts
from promptprop.domain.budget import Spend
from promptprop.domain.errors import (
    BudgetExhausted,
    BudgetSpent,
    Interrupted,
    PromptPropError,
    TooManyErrors,
    UsageError,
)
from promptprop.domain.events import Event, StoredEvent, body_of
from promptprop.domain.history import History, advance, fold
from promptprop.domain.models import Candidate, Json
from promptprop.domain.people import Ending, Wish
from promptprop.domain.rubric import Rubric
from promptprop.ports import Brief, Clock, EventSink, Inbox, Ledger, Optimizer, Reviewer, RunRow, Scorer, Store, Tick
from promptprop.services.desk import Desk
from promptprop.services.mail import Mail
from promptprop.services.replay import Replay
from promptprop.services.rubric import draft_rubric
from promptprop.services.summary import summary_of
from promptprop.services.workbench import Equipment, LiveWorkbench

log = logging.getLogger("promptprop.engine")


@dataclass(frozen=True, slots=True)
class Assembly:
    """A run made ready: what bootstrap composed from its snapshot.

    `admit` raises ConfigError where caps that a person wants to raise cannot be kept; `with_rubric` gives the metrics
    that judge by a drafted rubric.
    """

    optimizer: Optimizer
    brief: Brief
    equipment: Equipment
    started: facts.RunStarted
    admit: Callable[[Mapping[str, Json]], None] = lambda _caps: None
    with_rubric: Callable[[Rubric], Scorer] | None = None

    @property
    def ledger(self) -> Ledger:
        """The models of the run."""
        return self.equipment.ledger


@dataclass(frozen=True, slots=True)
class Room:
    """What runs of one engine share: where they are stored, their time, and how each is composed."""

    store: Store
    clock: Clock
    assemble: Callable[[RunRow], Awaitable[Assembly]]


@dataclass(frozen=True, slots=True)
class Company:
    """Who is present at a pass: sinks that listen, a reviewer, and an inbox in which others leave wishes."""

    sinks: Sequence[EventSink] = ()
    reviewer: Reviewer | None = None
    inbox: Inbox | None = None


class Course:
    """One pass of a run: replay, then live, to an end of some kind."""

    def __init__(self, room: Room, row: RunRow, stored: Sequence[StoredEvent], company: Company) -> None:
        """`stored` is the record of the run so far."""
        self.room = room
        self.row = row
        self.sinks = list(company.sinks)
        self.seq = len(stored)
        self.listening = list(company.sinks)
        self.history = History(run_id=row.id)
        self.before = fold(stored)
        self.replay = Replay(stored)
        self.mail = Mail(company.inbox, row.id, room.clock, self._intervene, stored)
        self.desk = Desk(self.replay, self._intervene, room.clock, company.reviewer, self.mail.take_all_but)
        self.stored = list(stored)
        self.began = room.clock.monotonic()
        self.assembly: Assembly | None = None
        self.models_closed = False
        self.retried = 0
        self.writing = asyncio.Lock()  # two tasks append, and seq counts without gaps
        self.relay: asyncio.Task[None] | None = None
        self.watch: asyncio.Task[None] | None = None

    def active_seconds(self) -> float:
        """Seconds of work on this run, all passes together; of a pass that was killed, those up to its last event."""
        earlier = max(self.row.active_seconds, self.before.active_seconds)
        return earlier + self.room.clock.monotonic() - self.began - self.desk.waited

    def spend(self) -> Spend:
        """What the run has spent; while the record is replayed, no less than it says.

        Once the models are closed the store knows it all: also what was paid and is not met in this pass, such as
        failures that were retried, or answers behind a refusal.
        """
        now = self.assembly.ledger.spend if self.assembly else Spend()
        if self.models_closed:
            return self.room.store.paid_by_role(self.row.id).with_hits_of(now, self.before.spend)
        return now if now.total.calls >= self.before.spend.total.calls else self.before.spend

    async def follow(self, wanted: Sequence[Event]) -> None:
        """Replay the record, go on live, and store how it ended."""
        self.assembly = assembly = await self.room.assemble(self.row)
        self.desk.seal(row.id for row in (*assembly.brief.confirm, *assembly.brief.test))
        for event in wanted:
            self._admit(event)
        try:
            await self.room.store.update_run(self.row.id, status="running")
            await self._open(assembly.started, wanted)
        except asyncio.CancelledError:
            await self._break_off()
        self.relay = asyncio.create_task(self._relay(assembly.ledger))
        self.watch = asyncio.create_task(self.mail.watch(asyncio.current_task()))
        try:
            await self._decide(assembly)
            await self._finish()
        except asyncio.CancelledError:
            self.watch.cancel()
            await self._break_off()
        except BudgetSpent as spent:
            left = "confirmation and the sealed test" if self.row.activity == "optimize" else "rows that are left"
            detail = f"the {spent.cap} cap leaves no room for the {left}"
            await self._stop("budget", detail)
            raise BudgetExhausted(
                f"run {self.row.id[:8]}: {detail}; the best prompt so far is kept",
                remedy=f"promptprop runs resume {self.row.id[:8]} --max-{spent.cap} MORE",
            ) from spent
        except Exception as error:
            what = error.message if isinstance(error, PromptPropError) else f"{type(error).__name__}: {error}"
            try:
                await self._stop("errors" if isinstance(error, TooManyErrors) else "failed", what)
            except PromptPropError:
                log.exception("how the run stopped could not be stored", extra={"run_id": self.row.id})
            raise

    async def _decide(self, assembly: Assembly) -> None:
        """Take the optimizer's decisions, one by one."""
        bench = LiveWorkbench(assembly.equipment, self.replay, self.active_seconds, self._tick, self.desk)
        await self._heed()
        if assembly.equipment.scorer.wants_rubric and assembly.with_rubric is not None:
            rubric = await draft_rubric(bench, assembly.brief)
            await self.room.store.keep_rubric(self.row.name, rubric, self.row.id)
            await self._take(facts.RubricDrafted(rubric.id, tuple(one.id for one in rubric.features)))
            bench.adopt(assembly.with_rubric(rubric))
        async with aclosing(assembly.optimizer.run(assembly.brief, bench)) as decisions:
            async for decision in decisions:
                await self._take(decision)

    def _admit(self, event: Event) -> None:
        """Refuse an intervention that cannot be. Raises ConfigError, UsageError."""
        if isinstance(event, facts.CapRaised) and self.assembly is not None:
            self.assembly.admit(event.caps)
        self.desk.check(event)

    async def _intervene(self, event: Event, wish: Wish | None = None) -> None:
        """Store what a person decides while the run goes on, and put it in force. Raises ConfigError, UsageError."""
        self._admit(event)
        if wish is not None and isinstance(event, facts.ScoreOverridden):
            self._require_known(event)
        await self._append(event, wish)
        self.replay.add_intervention(event)
        await self.mail.settle(wish)

    def _require_known(self, event: facts.ScoreOverridden) -> None:
        """Refuse a score of what the run does not have. Raises UsageError."""
        if event.candidate_id not in self.room.store.candidates(self.row.id):
            raise UsageError(f"the run has no candidate {event.candidate_id!r}", remedy="name it by its whole id")
        brief = self.assembly.brief if self.assembly else None
        if brief and not any(row.id == event.example_id for row in (*brief.train, *brief.select)):
            raise UsageError(f"the run scores no row {event.example_id!r}", remedy="name a row by its id")

    async def _heed(self) -> None:
        """Take what people have left in the inbox, and have failures retried that they no longer accept.

        Only here, between decisions: a replay meets an intervention at its place among them, and nowhere else.
        """
        if self.replay.live:
            await self.mail.take()
        while self.assembly is not None and self.retried < self.replay.generation:
            self.assembly.ledger.retry_failures()
            self.retried += 1

    async def _open(self, started: facts.RunStarted, wanted: Sequence[Event]) -> None:
        for stored in self.stored:
            if stored.event.lifecycle:
                self.history = advance(self.history, stored)
                if not isinstance(stored.event, facts.EndpointPaused | facts.EndpointRecovered):  # over long ago
                    self._show(stored)
        begun = any(isinstance(one.event, facts.RunStarted) for one in self.stored)  # else it was stopped before
        await self._append(facts.RunResumed() if begun else started)
        for event in wanted:
            self.replay.add_intervention(event)
            await self._append(event)

    async def _take(self, decision: Event) -> None:
        recorded = self.replay.meet(decision)
        if recorded is None:
            await self._append(decision)
        else:
            self.history = advance(self.history, recorded)
            self._show(recorded)
        await self._heed()

    async def _relay(self, ledger: Ledger) -> None:
        """Store what the endpoints have to say, as they say it."""
        while True:
            await self._append(await ledger.notice())

    async def _hush(self) -> None:
        """Nothing more is relayed; what went wrong there comes out here."""
        relay, self.relay = self.relay, None
        if relay is None:
            return
        relay.cancel()
        await asyncio.wait({relay})
        if not relay.cancelled():
            relay.result()

    async def _append(self, event: Event, wish: Wish | None = None) -> None:
        """Store an event, then show it. Raises what went wrong in the relay, so that it ends the run as well."""
        if self.relay is not None and self.relay.done():
            await self._hush()
        async with self.writing:
            await self._write(event, wish)

    async def _write(self, event: Event, wish: Wish | None) -> None:
        meta: dict[str, Json] = {"spend": self.spend().as_json(), "active_seconds": round(self.active_seconds(), 3)}
        if wish is not None:
            meta |= {"wish": wish.id, "author": wish.author}
        stored = StoredEvent(self.row.id, self.seq + 1, self.room.clock.now(), event, meta)
        write = asyncio.ensure_future(self.room.store.append(stored))
        try:
            await asyncio.shield(write)
        except asyncio.CancelledError:
            await write  # a write that was begun cannot be called back, and the next one follows on it
            self._took(stored)
            raise
        self._took(stored)

    def _took(self, stored: StoredEvent) -> None:
        self.seq = stored.seq
        self.history = advance(self.history, stored)
        spent = self.history.spend.total
        log.info(
            "%s (event %d)",
            stored.event.kind.replace("_", " "),
            stored.seq,
            extra={"run_id": self.row.id, "event": body_of(stored.event), "calls": spent.calls, "tokens": spent.tokens},
        )
        self._show(stored)

    def _show(self, stored: StoredEvent) -> None:
        for sink in list(self.listening):
            self._tell(sink, sink.accept, stored)

    def _tell(self, sink: EventSink, listen: Callable[[Any], None], what: StoredEvent | Tick) -> None:
        try:
            listen(what)
        except Exception:
            log.exception("a sink failed and is left out from here on", extra={"sink": type(sink).__name__})
            self.listening.remove(sink)

    def _tick(self, phase: str, done: int, total: int) -> None:
        assembly = self.assembly
        if assembly is None:
            return
        tick = Tick(self.row.id, phase, done, total, assembly.ledger.spend)
        for sink in list(self.listening):
            self._tell(sink, sink.tick, tick)

    async def _finish(self) -> None:
        await self._hush()
        await self._close_models()  # what is under way still is recorded, so that the spend is whole
        await self._save_prompts()  # before the run counts as finished: after that nobody would save them
        if self.watch is not None:
            self.watch.cancel()  # from here on the run is over
        await self._append(facts.RunFinished(self.history.search_ended or "done", self._earlier_looks()))
        await self._over()

    async def _over(self) -> None:
        """Store that the run is finished."""
        await self.room.store.update_run(
            self.row.id,
            status="finished",
            stop_reason=self.history.stop_reason,
            active_seconds=self.active_seconds(),
            summary=summary_of(self.history),
        )
        await self.mail.close("the run had come to its end")

    def _earlier_looks(self) -> tuple[str, ...]:
        """The runs that have opened this run's sealed rows before it."""
        if not (self.history.test and self.history.sealed):
            return ()
        return tuple(one for one in self.room.store.runs_that_opened(self.history.sealed) if one != self.row.id)

    async def _break_off(self) -> NoReturn:
        """End what was cancelled in good order. Raises Interrupted; CancelledError where there is nothing to stop."""
        if not self.seq:  # it never began
            raise asyncio.CancelledError
        if self.history.finished:  # it came too late
            await self._over()
            raise asyncio.CancelledError
        ending, short = self.mail.ending(), self.row.id[:8]
        await self._end(ending)
        raise Interrupted(f"run {short} was {ending}", remedy=f"promptprop runs resume {short}") from None

    async def _end(self, ending: Ending) -> None:
        """Stop since somebody wants it. Whoever asked in the inbox may cancel as well, which asks for the same thing.

        Cancelled a second time, a run that was interrupted stops at once.
        """
        stop = asyncio.ensure_future(self._stop(ending, ""))
        while not stop.done():
            try:
                await asyncio.shield(stop)
            except asyncio.CancelledError:
                if ending == "interrupted":
                    stop.cancel()
        stop.result()

    async def _stop(self, reason: str, detail: str) -> None:
        try:
            await self._close_models()  # calls under way are recorded first, so that the spend is whole
        finally:
            try:
                await self._hush()
            except Exception:
                log.exception("what an endpoint had to say could not be stored", extra={"run_id": self.row.id})
            await self._append(facts.RunStopped(reason, detail))
        await self.room.store.update_run(
            self.row.id,
            status=self.history.status,
            stop_reason=reason,
            active_seconds=self.active_seconds(),
            summary=summary_of(self.history if self.replay.live else self.before),  # no less than it said already
        )
        await self.mail.close()

    async def _save_prompts(self) -> None:
        test = self.history.test
        if test is None:
            return
        kept = self.room.store.candidates(self.row.id)
        seed: Candidate = kept[test.seed_id].candidate
        winner: Candidate = kept[test.winner_id].candidate
        await self.room.store.save_prompt(self.row.name, seed, self.row.id, ("seed",))
        alias = "winner" if test.verdict in ("better", "unchanged") else "unproven"
        await self.room.store.save_prompt(self.row.name, winner, self.row.id, (alias,))

    async def _close_models(self) -> None:
        if self.assembly is None or self.models_closed:
            return
        self.models_closed = True
        try:
            await self.assembly.ledger.close()
        except Exception:
            log.exception("the models failed to close", extra={"run_id": self.row.id})

    async def close(self) -> None:
        """Close models and sinks; their failures are logged."""
        if self.watch is not None:
            self.watch.cancel()
        if self.relay is not None:
            self.relay.cancel()
            await asyncio.wait({self.relay})
        await self._close_models()
        closed = await asyncio.gather(*(sink.close() for sink in self.sinks), return_exceptions=True)
        for sink, failure in zip(self.sinks, closed, strict=True):
            if isinstance(failure, BaseException):
                log.error("a sink failed to close", extra={"sink": type(sink).__name__}, exc_info=failure)
