"""`--review`: a person sees each rewrite before it is adopted, and approves, edits or refuses it in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from promptprop.adapters.files.report_words import counted, gain, shortened
from promptprop.cli.editing import edited
from promptprop.cli.plain import one_line, safe
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError
from promptprop.domain.events import CapRaised, Event, NoteLeft, ScoreOverridden
from promptprop.domain.people import ReviewRequest, Ruling
from promptprop.roles.rewriter import rewritten_prompts

if TYPE_CHECKING:
    from promptprop.cli.progress import Progress
    from promptprop.domain.config import RunConfig

QUESTION = "[a]pprove [e]dit [r]efuse [n]ote [s]core [c]alls approve-[all] [p]ause: "
CRITIQUES = 6  # shown with a rewrite


def require_reviewer(shell: Shell, config: RunConfig) -> None:
    """Raise UsageError where nobody can be asked, or where the optimizer adopts rewrites without asking."""
    if not shell.asks:
        raise UsageError("--review needs a terminal", remedy="leave it out, or run it in a terminal without --no-input")
    if config.optimizer.name != "backprop":
        raise UsageError(f"{config.optimizer.name} asks nobody about its rewrites", remedy="use it with backprop")


def override_of(text: str) -> ScoreOverridden:
    """`CANDIDATE:ROW=SCORE REASON` as an intervention. Raises UsageError."""
    cell, equals, rest = text.partition("=")
    candidate, colon, row = cell.partition(":")
    score, _, reason = rest.strip().partition(" ")
    try:
        value = float(score)
    except ValueError:
        value = -1.0
    if not (equals and colon and candidate.strip() and row.strip() and reason.strip()) or not 0 <= value <= 1:
        raise UsageError(
            f"a score is corrected by CANDIDATE:ROW=SCORE REASON, got {text!r}",
            remedy="such as 3f2a…:r17=1 'the label is wrong'; scores are from 0 to 1, and the reason is kept",
        )
    return ScoreOverridden(candidate.strip(), row.strip(), value, reason.strip())


class TerminalReviewer:
    """Asks on the terminal. Waiting takes no thread, so that Ctrl-C stops the run in good order."""

    def __init__(self, shell: Shell, progress: Progress, read: Callable[[], str] | None = None) -> None:
        """`read` returns one line of stdin, or nothing at its end."""
        self._shell = shell
        self._progress = progress
        self._read = read
        self._approve_all = False
        self._shown = ""

    async def decide(self, request: ReviewRequest) -> Ruling:
        """Show the rewrite and ask until there is a ruling. Raises CancelledError to pause the run."""
        if self._approve_all:
            return Ruling("approve")
        self._progress.end()
        try:
            if self._shown != request.candidate.id:
                self._show(request)
                self._shown = request.candidate.id
            return await self._ask(request)
        finally:
            self._progress.begin()

    def _show(self, request: ReviewRequest) -> None:
        from rich.text import Text

        from promptprop.cli.drawing import diff_text, facts_table

        candidate, parent = request.candidate, request.parent
        causes = [f"{one_line(one.cause)} → {one_line(one.fix)}" for one in request.critiques[:CRITIQUES]]
        facts: list[tuple[str, str | Text]] = [
            ("candidate", f"{candidate.id[:8]}, {one_line(candidate.hypothesis.kind)}"),
            ("hypothesis", shortened(one_line(candidate.hypothesis.text), 300)),
            *(("cause" if number == 0 else "", shortened(cause, 300)) for number, cause in enumerate(causes)),
            ("screen", f"{gain(request.screened)} points on {counted(request.screened.n, 'train row')}"),
            ("race", f"{gain(request.raced)} points on {counted(request.raced.n, 'select row')}"),
            ("length", f"{parent.length:,} → {candidate.length:,} characters"),
            ("spent", counted(request.spend.total.calls, "call")),
        ]
        title = Text(f"round {request.round}: adopt this rewrite?", style="bold")
        diff = diff_text(parent.text, candidate.text, "now", "rewrite")
        self._shell.draw_note([title, "", diff, "", facts_table(facts)])

    async def _ask(self, request: ReviewRequest) -> Ruling:
        while True:
            answer = (await self._line(QUESTION)).strip().lower()
            if answer in {"a", "approve", "y", "yes"}:
                return Ruling("approve")
            if answer == "all":
                self._approve_all = True
                return Ruling("approve")
            if answer in {"r", "refuse"}:
                reason = await self._line("why (the rewriter will read it): ")
                return Ruling("refuse", reason=reason.strip())
            if answer in {"e", "edit"}:
                prompts = await self._edited(request)
                if prompts is not None:
                    reason = await self._line("what was changed, and why: ")
                    return Ruling("edit", prompts, reason.strip())
            elif answer in {"p", "pause"}:
                raise asyncio.CancelledError
            elif event := await self._besides(answer, request):
                return Ruling("again", besides=(event,))

    async def _besides(self, answer: str, request: ReviewRequest) -> Event | None:
        """A note, a corrected score or a larger cap; None where the answer was none of these, or unusable."""
        if answer in {"n", "note"}:
            text = (await self._line("note for critic and rewriter: ")).strip()
            return NoteLeft(text) if text else None
        if answer in {"s", "score"}:
            text = await self._line("ROW=SCORE REASON: ")
            try:
                override = override_of(f"{request.candidate.id}:{text}")
            except UsageError:
                self._refused("a row, a score from 0 to 1 and a reason: r17=1 the label is wrong")
                return None
            if override.example_id not in request.rows:
                self._refused(f"{override.example_id} is no row of train or select")
                return None
            return override
        if answer in {"c", "calls"}:
            text = await self._line("calls at most, in all: ")
            if not text.strip().isdecimal() or int(text) <= request.spend.total.calls:
                self._refused(f"a number above {request.spend.total.calls:,} is wanted")
                return None
            return CapRaised({"calls": int(text)})
        self._refused("one of a, e, r, n, s, c, all, p")
        return None

    def _refused(self, why: str) -> None:
        self._shell.note(safe(why))

    async def _edited(self, request: ReviewRequest) -> dict[str, str] | None:
        """The texts by step as the person's editor left them; None where nothing changed or nothing is usable."""
        texts = {step: prompt.text for step, prompt in request.candidate.prompts.items()}
        rewritten = {step: await self._in_editor(step, text) for step, text in texts.items()}
        if rewritten == texts:
            self._refused("nothing was changed")
            return None
        try:
            rewritten_prompts(rewritten, request.candidate.prompts)
        except ValueError as error:
            self._refused(f"that cannot stand: {error}")
            return None
        return rewritten

    async def _in_editor(self, step: str, text: str) -> str:
        """The text after an editor has had it; as it was where there is no editor."""
        found, problem = await edited(text, f"{step}.md")
        if problem:
            self._refused(problem)
        return found

    async def _line(self, question: str) -> str:
        """One line from the person. At the end of the input the run pauses. Raises CancelledError."""
        sys.stderr.write(question)
        sys.stderr.flush()
        line = self._read() if self._read else await _line_of_stdin()
        if not line:
            raise asyncio.CancelledError
        return line.rstrip("\n")


async def _line_of_stdin() -> str:
    """The next line of a terminal, without holding the loop up."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        with contextlib.suppress(ValueError):
            loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()
