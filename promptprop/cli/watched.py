"""What is shown of each run of a watch: a few lines below a rule on a terminal, elsewhere a line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.adapters.files.report_words import counted, dollars, points, score, spent
from promptprop.adapters.logs import redact_value
from promptprop.cli.failures import error_json, error_text
from promptprop.cli.plain import one_line, speaks_unicode
from promptprop.domain.models import Json
from promptprop.domain.report import SIMULATED_NOTE, estimate_json, known_usd

if TYPE_CHECKING:
    from rich.text import Text

    from promptprop.bootstrap.comparing import ComparisonReport
    from promptprop.bootstrap.watched import Spent
    from promptprop.cli.shell import Shell
    from promptprop.domain.budget import Budget
    from promptprop.domain.errors import PromptPropError
    from promptprop.domain.events import Estimate
    from promptprop.domain.report import Report

FLIPS = 5  # rows that are shown on each side
NAMED = 3  # files that are named


@dataclass(frozen=True, slots=True)
class Seen:
    """A run of a watch: what was saved before it, what all runs have spent of the caps, and what has changed since."""

    report: Report
    changed: tuple[Path, ...]
    spent: Spent
    budget: Budget
    last: ComparisonReport | None
    first: ComparisonReport | None

    @property
    def score(self) -> Estimate:
        """The score of this run."""
        return next(iter(self.report.history.record(self.report.seed.id).scores.values()))

    @property
    def missing(self) -> int:
        """Rows without a score."""
        return sum(self.report.history.record(self.report.seed.id).missing.values())


def tell_run(shell: Shell, seen: Seen, notes: Sequence[str], at: datetime, files: Sequence[Path]) -> None:
    """Tell what a run came to, on stdout."""
    if shell.json:
        _write_line(run_json(seen, notes, at))
    elif not sys.stdout.isatty():
        sys.stdout.write(f"{_time(at)} {run_line(seen, notes)}\n")
        sys.stdout.flush()
    else:
        _draw_run(shell, seen, notes, at)
        there = [path for path in files if path.exists()]
        shell.note(f"watching {_listed([path.name for path in there])} · Ctrl-C ends")


def tell_error(
    shell: Shell,
    error: PromptPropError,
    changed: Sequence[Path],
    at: datetime,
    total: str = "",
) -> None:
    """Tell why there is no score; the watch goes on. `total` says what it has spent."""
    if shell.json:
        _write_line({"at": at.isoformat(), "changed": [str(path) for path in changed], "error": error_json(error)})
        return
    if sys.stdout.isatty():
        _rule(shell, at, changed, "no score")
    from promptprop.cli.drawing import wants_colour

    told = error_text(error, colour=wants_colour(sys.stderr, allowed=shell.colour))
    sys.stderr.write(told if sys.stdout.isatty() else f"{_time(at)} {told}")
    sys.stderr.flush()
    shell.note(f"{total + '; ' if total else ''}watching on: save, and it runs again")


def run_line(seen: Seen, notes: Sequence[str]) -> str:
    """A run in one line."""
    parts = [f"run {seen.spent.runs} {seen.report.run_id[:8]}: {score(seen.score)} on {counted(seen.score.n, 'row')}"]
    parts += [f"{seen.missing:,} missing"] if seen.missing else []
    for name, found in (("last", seen.last), ("first", seen.first)):
        if found is not None:
            parts.append(f"{_delta(found)} since the {name}")
    if seen.last is not None:
        parts.append(f"{len(seen.last.comparison.worse):,} worse, {len(seen.last.comparison.better):,} better")
    parts += [_new_words(seen), session_words(seen.spent, seen.budget), *notes]
    return one_line(" · ".join(parts))


def run_json(seen: Seen, notes: Sequence[str], at: datetime) -> Json:
    """A run as a plain value."""
    spend, session = seen.report.history.spend, seen.spent
    return {
        "run": seen.spent.runs,
        "run_id": seen.report.run_id,
        "at": at.isoformat(),
        "changed": [str(path) for path in seen.changed],
        "score": estimate_json(seen.score),
        "missing": seen.missing,
        "calls": spend.total.calls,
        "usd": known_usd(spend.total.picousd, spend.unpriced),
        "session_calls": session.calls,
        "session_usd": known_usd(session.picousd, session.unpriced),
        "since_last": _since_json(seen.last),
        "since_first": _since_json(seen.first),
        "notes": list(notes),
        "simulated": seen.report.history.simulated,
    }


def _since_json(found: ComparisonReport | None) -> Json:
    if found is None:
        return None
    comparison, look = found.comparison, found.comparison.score.look
    return {
        "run_id": found.before.run.id,
        "verdict": comparison.score.found,
        "delta": None if look is None else {"mean": look.mean, "lower": look.lower, "upper": look.upper},
        "rows": comparison.score.before.n,
        "differences": list(found.differences),
        "worse": [flip.row for flip in comparison.worse],
        "better": [flip.row for flip in comparison.better],
    }


def _draw_run(shell: Shell, seen: Seen, notes: Sequence[str], at: datetime) -> None:
    from rich.text import Text

    from promptprop.bootstrap.comparison_document import FOUND, rows_of
    from promptprop.cli.comparisons import COLOURS, overlap_words
    from promptprop.cli.drawing import facts_table
    from promptprop.cli.gates import row_parts

    _rule(shell, at, seen.changed, f"run {seen.spent.runs}")
    missing = f", {seen.missing:,} missing" if seen.missing else ""
    facts: list[tuple[str, str | Text]] = [
        ("score", Text(f"{score(seen.score)} on {counted(seen.score.n, 'row')}{missing}", style="bold"))
    ]
    second = seen.spent.runs == 2 or (seen.first and seen.last and seen.first.before.run.id == seen.last.before.run.id)
    for name, found in (("since last", seen.last), ("since first", None if second else seen.first)):
        if found is not None:
            verdict = found.comparison.score.found
            said = FOUND[verdict] if found.comparison.flips else "no row differs"
            facts.append((name, Text(f"{_delta(found)}: {said}", style=COLOURS[verdict])))
    if seen.last is not None:
        overlap = seen.last.comparison.overlap
        if overlap.changed or overlap.only_before or overlap.only_after:
            facts.append(("rows", overlap_words(seen.last.comparison, "all", ("the last run", "this one"))))
        facts += [("note", Text(difference, style="yellow")) for difference in seen.last.differences]
    facts.append(("spent", f"{_new_words(seen)}; {session_words(seen.spent, seen.budget)}"))
    facts += [("note", Text(one_line(note), style="yellow")) for note in notes]
    if seen.report.history.simulated and seen.last is None:
        facts.append(("note", Text(SIMULATED_NOTE, style="yellow")))
    shell.draw([facts_table(facts)])
    if seen.last is not None:
        comparison, runs = seen.last.comparison, (seen.last.before.run.id, seen.report.run_id)
        tells = f"`promptprop compare {runs[0][:8]} {runs[1][:8]}`"
        shell.draw(row_parts(rows_of(comparison), FLIPS, tells))
    sys.stdout.flush()


def _rule(shell: Shell, at: datetime, changed: Sequence[Path], what: str) -> None:
    from rich.text import Text

    saved = f" · {_names(changed)} saved" if changed else ""
    head = f"── {what} · {_time(at)}{saved} "
    shell.draw(["", Text(head + "─" * max(0, shell.width() - len(head)), style="cyan", no_wrap=True, overflow="crop")])
    sys.stdout.flush()


def _delta(found: ComparisonReport) -> str:
    look = found.comparison.score.look
    return "–" if look is None else f"{points(look.mean)} points [{100 * look.lower:.1f}, {100 * look.upper:.1f}]"


def _new_words(seen: Seen) -> str:
    """How many calls of a run were new, and what they cost."""
    spend = seen.report.history.spend
    if not spend.total.calls:
        return "no new call"
    return f"{counted(spend.total.calls, 'new call')}, {spent(spend.total.picousd, spend.unpriced)}"


def session_words(so_far: Spent, budget: Budget) -> str:
    """What a watch has spent, against its caps."""
    calls = f"{so_far.calls:,}" + (f" of {budget.calls:,}" if budget.calls is not None else "")
    usd = spent(so_far.picousd, so_far.unpriced) + (f" of {dollars(budget.usd)}" if budget.usd is not None else "")
    tokens = f", {so_far.tokens:,} of {budget.tokens:,} tokens" if budget.tokens is not None else ""
    return f"in all {calls} calls, {usd}{tokens}"


def since(so_far: Spent) -> str:
    """What a watch came to, at its end."""
    return f"{counted(so_far.runs, 'run')}: {counted(so_far.calls, 'call')}, {spent(so_far.picousd, so_far.unpriced)}"


def _names(paths: Sequence[Path]) -> str:
    return _listed([os.path.relpath(path) for path in paths])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return one_line(", ".join(names[:NAMED])) + more


def _time(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"


def _write_line(document: Json) -> None:
    sys.stdout.write(json.dumps(redact_value(document), ensure_ascii=not speaks_unicode()) + "\n")
    sys.stdout.flush()
