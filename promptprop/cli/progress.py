"""Progress on stderr, as an event sink: a live table on a terminal, a line now and then elsewhere, nothing with -q."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from promptprop.adapters.files.report_words import (
    counted,
    dollars,
    duration,
    points,
    score,
    spent,
)
from promptprop.cli.shell import Shell
from promptprop.domain import events as facts
from promptprop.domain.budget import Budget, Spend
from promptprop.domain.events import StoredEvent
from promptprop.domain.history import History, advance
from promptprop.domain.models import PICO
from promptprop.ports import Tick

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

LINE_SECONDS = 30.0
UPDATES = 8  # a second
PHASES = {
    "evaluating": "evaluating",
    "scoring": "waiting for metrics",
    "asking": "asking critic and rewriter",
    "repairing": "asking once more",
}


class Progress(Protocol):
    """An event sink that also shows what happens between events."""

    def accept(self, event: StoredEvent) -> None:
        """Take one stored event."""

    def tick(self, tick: Tick) -> None:
        """Take one tick."""

    async def close(self) -> None:
        """Nothing more will come."""

    def begin(self) -> None:
        """Show something from now on."""

    def end(self) -> None:
        """Show nothing more; may be called twice."""

    def say(self, text: str) -> None:
        """Show a line that stays."""

    async def beat(self) -> None:
        """Until cancelled, show now and then that it goes on."""


def progress_for(shell: Shell) -> Progress:
    """The progress that suits the stream: live only on a terminal that can move its cursor."""
    if shell.quiet:
        return Silence()
    if sys.stderr.isatty() and os.environ.get("TERM") not in {None, "", "dumb", "unknown"}:
        return LiveTable(shell)
    return Lines(shell.note)


class Watch:
    """What a run looks like now: its history, the newest tick, and the time since."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing."""
        self.history = History()
        self.last: Tick | None = None
        self._clock = clock
        self._at = clock()
        self._pauses: dict[str, tuple[facts.EndpointPaused, float]] = {}

    def accept(self, event: StoredEvent) -> None:
        """Take one stored event."""
        self.history = advance(self.history, event)
        self._at = self._clock()
        if isinstance(event.event, facts.EndpointPaused):
            self._pauses[event.event.endpoint] = (event.event, self._at + event.event.seconds)
        if isinstance(event.event, facts.EndpointPaused | facts.EndpointRecovered):
            return  # the work under way is the same as before
        if not isinstance(event.event, facts.CandidateScreened | facts.CandidateRaced):
            self.last = None

    def tick(self, tick: Tick) -> None:
        """Take one tick."""
        self.last = tick

    @property
    def spend(self) -> Spend:
        """The newest spend that is known."""
        return self.last.spend if self.last else self.history.spend

    @property
    def elapsed(self) -> float:
        """Active seconds so far, earlier passes of the run included."""
        return self.history.active_seconds + self._clock() - self._at

    def pauses(self) -> list[str]:
        """A line for each endpoint that answers nothing now, with what is left of its patience."""
        lines = []
        for alias in self.history.paused:
            event, until = self._pauses[alias]
            lines.append(paused(event, until - self._clock()))
        return lines

    def phase(self) -> str:
        """What is being done, with how much of it is done."""
        history = self.history
        if history.finished or history.stopped:
            return "writing down what was found"
        if history.search_ended:
            where = "finish"
        elif history.activity in ("evaluate", "check"):
            where = "scoring"
        elif history.round:
            where = f"round {history.round}"
        else:
            where = "headroom"
        if self.last is None:
            return where
        doing = PHASES.get(self.last.phase, self.last.phase)
        return f"{where} · {doing} {self.last.done:,}/{self.last.total:,}"

    def spent(self) -> list[str]:
        """Spend against each cap, then the time and what is left of it at most."""
        total, budget = self.spend.total, Budget.from_json(dict(self.history.budget))
        parts = [f"{total.calls:,}{f'/{budget.calls:,}' if budget.calls is not None else ''} calls"]
        if budget.tokens is not None:
            parts.append(f"{total.tokens:,}/{budget.tokens:,} tokens")
        unpriced = self.spend.unpriced
        if budget.usd is not None:
            parts.append(f"{spent(total.picousd, unpriced)}/{dollars(budget.usd)}")
        elif total.picousd or not unpriced:
            parts.append(spent(total.picousd, unpriced))
        cap = f"/{duration(budget.seconds)}" if budget.seconds is not None else ""
        parts.append(f"{duration(self.elapsed)}{cap}")
        left = self.left(budget)
        return [*parts, f"≤ {duration(left)} left"] if left is not None else parts

    def left(self, budget: Budget) -> float | None:
        """Seconds until the first cap is reached at the pace so far: the most that the run can still take."""
        total, elapsed = self.spend.total, self.elapsed
        spent_of = [
            (Decimal(total.calls), budget.calls),
            (Decimal(total.tokens), budget.tokens),
            (Decimal(total.picousd) / PICO, budget.usd),
        ]
        ends = [float((Decimal(cap) - spent) / spent) * elapsed for spent, cap in spent_of if cap is not None and spent]
        if budget.seconds is not None:
            ends.append(budget.seconds - elapsed)
        return max(0.0, min(ends)) if ends and elapsed > 1 else None


class Silence:
    """Shows nothing."""

    def accept(self, event: StoredEvent) -> None:
        """Show nothing."""

    def tick(self, tick: Tick) -> None:
        """Show nothing."""

    async def close(self) -> None:
        """Nothing to close."""

    def begin(self) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    async def beat(self) -> None:
        """Nothing to show."""


class Lines:
    """A line each 30 seconds, and one for each thing that is done."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`write` takes a line."""
        self._write = write
        self._clock = clock
        self._watch = Watch(clock)
        self._next = clock() + LINE_SECONDS

    def accept(self, event: StoredEvent) -> None:
        """Tell what is done."""
        self._watch.accept(event)
        line = told(event.event, self._watch.history)
        if line:
            self._line(line)

    def tick(self, tick: Tick) -> None:
        """Tell it where 30 seconds have gone by."""
        self._watch.tick(tick)
        self.look()

    def look(self) -> None:
        """A line, if the last one is 30 seconds old."""
        if self._clock() >= self._next:
            self._line(self._watch.phase())

    def _line(self, text: str) -> None:
        self._next = self._clock() + LINE_SECONDS
        self._write(" · ".join([text, *self._watch.spent()]))

    async def close(self) -> None:
        """Nothing to close."""

    def begin(self) -> None:
        """Nothing to open."""

    def end(self) -> None:
        """Nothing to close."""

    def say(self, text: str) -> None:
        """A line."""
        self._write(text)

    async def beat(self) -> None:
        """Look at the clock each second, for models can be slower than 30 seconds."""
        while True:
            await asyncio.sleep(1)
            self.look()


def paused(event: facts.EndpointPaused, left: float) -> str:
    """What is to be said of an endpoint that answers nothing, `left` seconds before its patience or its pause ends."""
    reason = " ".join(event.message.split())
    if event.retry_after:
        asks = f"asks to be left alone for {event.retry_after:.0f} s"
        return f"paused: {event.endpoint} ({event.model}) {asks}: {reason}; asked again in {max(0.0, left):.0f} s"
    return (
        f"paused: {event.endpoint} ({event.model}) answers nothing: {reason}; trying again, "
        f"gives up in {max(0.0, left):.0f} s"
    )


def told(event: facts.Event, history: History) -> str:
    """The line that tells of an event; empty for those that are not worth one."""
    if isinstance(event, facts.EndpointPaused):
        return paused(event, event.seconds)
    if isinstance(event, facts.EndpointRecovered):
        return f"{event.endpoint} ({event.model}) answers again: went on after {event.seconds:.0f} s"
    return _told_of_search(event, history)


def _told_of_search(event: facts.Event, history: History) -> str:
    if isinstance(event, facts.RubricDrafted):
        return f"rubric: {', '.join(event.features)}"
    if isinstance(event, facts.HeadroomMeasured):
        return (
            f"headroom: the seed scores {score(event.score)}, {event.failing} of {counted(event.score.n, 'row')} fail"
        )
    if isinstance(event, facts.RoundEnded):
        children = sum(1 for record in history.candidates.values() if record.round == event.round)
        split = "train" if "train" in history.record(event.best_id).scores else "select"
        return f"round {event.round}: best {score(event.score)} on {split}, {event.promoted} of {children} promoted"
    if isinstance(event, facts.SearchEnded) and history.activity == "optimize":
        held_out = history.rows.get("test")
        return f"search ended; {'the shortlist meets rows that it has not seen' if held_out else 'no row is held out'}"
    if isinstance(event, facts.CandidateScored) and history.activity == "evaluate":
        return f"scored: {score(event.score)} on {counted(event.score.n, 'row')}"
    if isinstance(event, facts.GateLooked) and event.replicates:
        said = ", ".join(f"{name} {points(one['mean'])} points" for name, one in event.metrics.items())
        return f"{counted(event.replicates, 'answer')} to each row: {said}; {event.verdict}"
    if isinstance(event, facts.WinnerTested):
        return f"tested: {points(event.delta.mean)} points on {counted(event.delta.n, 'sealed row')}"
    return ""


class LiveTable:
    """A table that grows with the run, and below it the phase and the spend; gone when the run is over."""

    def __init__(self, shell: Shell) -> None:
        """Draw on stderr as it is at the moment of `begin`."""
        self._shell = shell
        self._watch = Watch()
        self._live: Live | None = None

    def accept(self, event: StoredEvent) -> None:
        """The next picture shows it; that an endpoint answers again stays above it."""
        self._watch.accept(event)
        if isinstance(event.event, facts.EndpointRecovered):
            self.say(told(event.event, self._watch.history))

    def tick(self, tick: Tick) -> None:
        """The next picture shows it."""
        self._watch.tick(tick)

    async def close(self) -> None:
        """The picture stays until `end`: other sinks may take a while to close."""

    def begin(self) -> None:
        """Draw the first picture; a thread of Rich's draws the others, a few times a second."""
        from rich.live import Live

        from promptprop.cli.drawing import console_for

        console = console_for(sys.stderr, colour=self._shell.colour)
        self._live = Live(
            console=console,
            get_renderable=self.picture,
            refresh_per_second=UPDATES,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def end(self) -> None:
        """Take the picture away; may be called twice."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def say(self, text: str) -> None:
        """A line above the picture, which stays."""
        if self._live is None:
            self._shell.note(text)
        else:
            self._live.console.print(text)

    async def beat(self) -> None:
        """Rich keeps the time."""

    def picture(self) -> RenderableType:
        """The newest candidates that fit, the phase with its bar, the spend."""
        from rich.console import Group

        from promptprop.cli.candidates import candidate_table

        width, height = self._size()
        history = self._watch.history
        room = max(3, height - 8)
        records = list(history.candidates.values())[-room:]
        parts: list[RenderableType] = []
        if records and history.activity == "optimize":
            parts = [candidate_table(history, width, records), ""]
        return Group(*parts, *footer(self._watch, width))

    def _size(self) -> tuple[int, int]:
        live = self._live
        return (live.console.size.width, live.console.size.height) if live else (80, 24)


def footer(watch: Watch, width: int) -> list[RenderableType]:
    """What is being done with a bar, which endpoints answer nothing, and what it has cost against each cap."""
    from rich.text import Text

    line = Text(watch.phase(), style="bold", no_wrap=True, overflow="ellipsis")
    tick = watch.last
    if tick and tick.total and width >= 60:
        cells = min(24, width - len(line.plain) - 3)
        if cells >= 8:
            done = cells * tick.done // tick.total
            line = Text.assemble(line, "  ", ("━" * done, "cyan"), ("━" * (cells - done), "dim"), no_wrap=True)
    best = watch.history.trajectory[-1].score if watch.history.trajectory else None
    parts = [f"best {best.mean:.3f}", *watch.spent()] if best else watch.spent()
    pauses = [Text(pause, style="yellow", overflow="fold") for pause in watch.pauses()]
    return [line, *pauses, Text(" · ".join(parts), style="dim", overflow="fold")]
