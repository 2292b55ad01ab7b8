"""What a run has to say at its end, drawn: details first, the verdict last, where the eye is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from promptprop.adapters.files.report_words import (
    counted,
    dollars,
    duration,
    gain,
    looks_sentence,
    noise_sentence,
    origin_sentence,
    p_value,
    people_sentence,
    score,
    screening_sentence,
    shortened,
    spent,
    stop_sentence,
    unknown_spend,
    verdict_sentence,
)
from promptprop.cli.breakdowns import group_parts
from promptprop.cli.drawing import diff_text, facts_table, table_of
from promptprop.cli.plain import one_line
from promptprop.domain.breakdown import Kind
from promptprop.domain.budget import RoleSpend
from promptprop.domain.history import History
from promptprop.domain.report import SIMULATED_NOTE, Report, Standing

DIFF_LINES = 60  # of a diff in the summary; `promptprop diff` shows all of it
LEARNED_LETTERS = 88  # of a hypothesis: two lines of 80 columns; the report has all of it
VERDICT_STYLES = {"better": "bold green", "worse": "bold red", "no proven gain": "bold yellow"}


def summary_parts(
    report: Report,
    paths: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    *,
    db: str = "",
    by: Sequence[Kind] = (),
    error_follows: bool = False,
) -> list[RenderableType]:
    """The summary of a run in any state.

    `notes` are sentences that belong next to the paths. `db` is the database, where commands need --db to find it.
    `by` says which groups of an evaluation are shown, tags unless given.
    Where an error follows on the same stream, it is the error that says why the run stopped and how to go on.
    """
    option = database_option(db)
    if report.history.activity in ("evaluate", "check"):
        return evaluation_parts(report, paths or {}, notes, option, by=by, error_follows=error_follows)
    details = [*_changes(report, option), *_learned(report), *_spend(report.history), ""]
    return [*details, *_claim(report, paths or {}, notes, option, error_follows=error_follows)]


def database_option(db: str) -> str:
    """What a command line needs to find this database; nothing where it finds it by itself."""
    return f" --db {shlex.quote(db)}" if db else ""


def evaluation_parts(
    report: Report,
    paths: Mapping[str, str],
    notes: Sequence[str],
    option: str,
    *,
    by: Sequence[Kind] = (),
    error_follows: bool = False,
) -> list[RenderableType]:
    """Scores of an evaluation: a mean with its interval, each metric and group, what is missing, what it cost."""
    history = report.history
    rows = []
    for record in history.candidates.values():
        for split, estimate in record.scores.items():
            missing = record.missing.get(split, 0)
            rows.append([record.id[:8], split, score(estimate), f"{estimate.n:,}", f"{missing:,}"])
    parts: list[RenderableType] = []
    if rows:
        parts.append(table_of(["prompt", "rows of", "score", "rows", "missing"], rows, right=(3, 4)))
    metrics = [
        [record.id[:8], name, f"{mean:.3f}"]
        for record in history.candidates.values()
        for means in record.metrics.values()
        for name, mean in means.items()
        if len(means) > 1
    ]
    if metrics:
        parts += ["", table_of(["prompt", "metric", "mean"], metrics, right=(2,))]
    for breakdown in report.breakdown:
        parts += group_parts(breakdown, by, named=len(report.breakdown) > 1)
    parts += ["", *_spend(history), ""]
    facts: list[tuple[str, str | Text]] = []
    if history.looks:
        shown = f"promptprop runs show {report.run_id[:8]}{option}"
        facts.append(("verdict", f"{history.looks[-1].verdict}; `{shown}` tells which rows differ"))
    if history.status != "finished" and not error_follows:
        facts += [
            ("stopped", stop_sentence(history)),
            ("resume", resume_command(report, option)),
        ]
    facts += [("noise", sentence) for one in report.breakdown if (sentence := noise_sentence(one.steadiness))]
    if report.seed.usd_per_1000_rows is not None:
        facts.append(("cost", f"{dollars(report.seed.usd_per_1000_rows)} per 1,000 rows"))
    if paths:
        facts.append(("report", shown_path(paths["report"])))
    parts += [facts_table([*_simulated(history), *facts]), *notes]
    return parts


def _changes(report: Report, option: str) -> list[RenderableType]:
    if not report.changed:
        return []
    text = diff_text(report.seed.prompt, report.winner.prompt)
    lines = text.split("\n")
    if len(lines) > DIFF_LINES:
        text = Text("\n").join(lines[:DIFF_LINES])
        left = len(lines) - DIFF_LINES
        text.append(f"\n… {counted(left, 'more line')}: promptprop {_diff_command(report)}{option}", style="dim")
    return [text, ""]


def _learned(report: Report) -> list[RenderableType]:
    history = report.history
    parts: list[RenderableType] = []
    if report.learned:
        rows = [
            [
                str(record.round),
                gain(record.raced),
                f"{record.raced.n:,}" if record.raced else "",
                record.hypothesis,
                shortened(one_line(record.summary), LEARNED_LETTERS),
            ]
            for record in report.learned
        ]
        parts = [Text("what was learned", style="bold")]
        split = "train" if "train" in report.learned[-1].scores else "select"
        parts += [table_of(["round", f"Δ on {split}", "rows", "kind", "hypothesis"], rows, right=(0, 1, 2)), ""]
    if history.suspects:
        ids = one_line(", ".join(history.suspects[:20])) + (" …" if len(history.suspects) > 20 else "")
        parts += [
            Text("suspect labels", style="bold"),
            Text(f"{counted(len(history.suspects), 'row')} that every candidate fails, not learned from: {ids}"),
            "",
        ]
    return parts


def _spend(history: History) -> list[RenderableType]:
    roles = history.spend.roles
    if not roles:
        return []
    total = _sum(list(roles.values()))
    head = ["spend", "calls", "tokens", "usd", "hits", *(["unconfirmed"] if total.unconfirmed else [])]
    columns = len(head)
    rows: list[Sequence[str | Text]] = [_spend_row(role, spend)[:columns] for role, spend in sorted(roles.items())]
    if len(roles) > 1:
        rows.append([Text(cell, style="bold") for cell in _spend_row("total", total)[:columns]])
    parts: list[RenderableType] = [table_of(head, rows, right=range(1, columns))]
    if sentence := screening_sentence(history):
        parts.append(Text(sentence))
    if total.unpriced:
        parts.append(Text(f"spent: {unknown_spend(total.picousd, total.unpriced)}", style="yellow"))
    return parts


def _spend_row(name: str, spend: RoleSpend) -> list[str]:
    return [
        name,
        f"{spend.calls:,}",
        f"{spend.tokens:,}",
        spent(spend.picousd, spend.unpriced),
        f"{spend.hits:,}",
        f"{spend.unconfirmed:,}",
    ]


def _sum(spends: Sequence[RoleSpend]) -> RoleSpend:
    return RoleSpend(**{name: sum(getattr(one, name) for one in spends) for name in RoleSpend.__slots__})


def _claim(
    report: Report, paths: Mapping[str, str], notes: Sequence[str], option: str, *, error_follows: bool
) -> list[RenderableType]:
    history = report.history
    rows = [_standing("seed", report.seed), _standing("winner" if history.test else "best so far", report.winner)]
    if not report.changed:
        rows = rows[:1]
    elif report.delta is not None:
        rows.append(["Δ points", "", gain(report.delta), "", ""])
    head = ["", "select", "sealed test", "$/1000 rows", "length"]
    verdict = Text(verdict_sentence(report), style=VERDICT_STYLES.get(report.verdict, "bold"))
    if history.test and report.changed:
        verdict.append(f" ({p_value(history.test.p_value)})", style="not bold")
    facts: list[tuple[str, str | Text]] = [("verdict", verdict)]
    if sentence := looks_sentence(history):
        facts.append(("", Text(sentence, style="yellow")))
    facts += _simulated(history)
    if not history.test and report.seed.select is None:
        rows = []
    stopped = stop_sentence(history)
    if history.finished:
        count = counted(len(history.trajectory), "round")
        stopped = f"{stopped} · {count}, {duration(history.active_seconds)}"
    if sentence := origin_sentence(report):
        facts.append(("seeds", sentence))
    if sentence := people_sentence(history):
        facts.append(("people", sentence.removeprefix("by people: ")))
    if not error_follows:
        facts.append(("stopped", stopped))
    if "prompt" in paths:
        facts.append(("prompt", shown_path(paths["prompt"])))
    if "report" in paths:
        facts.append(("report", shown_path(paths["report"])))
    facts += [] if error_follows else _next(report, option)
    table: list[RenderableType] = [table_of(head, rows, right=(3, 4)), ""] if rows else []
    return [*table, facts_table(facts), *(Text(note) for note in notes)]


def _standing(name: str, standing: Standing) -> list[str]:
    cost = standing.usd_per_1000_rows
    return [
        name,
        score(standing.select),
        score(standing.test),
        "–" if cost is None else dollars(cost),
        f"{standing.length:,}",
    ]


def _simulated(history: History) -> list[tuple[str, str | Text]]:
    return [("note", Text(SIMULATED_NOTE, style="yellow"))] if history.simulated else []


def _next(report: Report, option: str) -> list[tuple[str, str | Text]]:
    short = report.run_id[:8]
    if not report.history.finished:
        return [("resume", resume_command(report, option))]
    if not report.changed:
        return [("next", f"promptprop runs show {short}{option}")]
    export = f"promptprop prompts export {short} -o FILE{option}"
    return [("next", f"promptprop {_diff_command(report)}{option}"), ("", export)]


def resume_command(report: Report, option: str) -> str:
    """What goes on with a run; where failures stopped it, those on record would fail again, so they are asked anew."""
    history = report.history
    failed = history.stopped and (
        history.stop_reason == "errors" or (history.stop_reason == "failed" and report.failed_calls > 0)
    )
    return f"promptprop runs resume {report.run_id[:8]}{' --retry-errors' if failed else ''}{option}"


def _diff_command(report: Report) -> str:
    short = report.run_id[:8]
    return f"diff {short}:seed {short}:winner"


def head_parts(name: str, facts: Sequence[tuple[str, str]]) -> list[RenderableType]:
    """The lines before a run begins: what it works on, with what, within which caps."""
    return [Text(one_line(name), style="bold"), facts_table(facts)]


def rows_text(rows: Mapping[str, int]) -> str:
    """Rows by split in a line."""
    said = {"test": " (sealed)"}
    return " · ".join(f"{count:,} {split}{said.get(split, '')}" for split, count in rows.items() if count)


def models_text(models: Mapping[str, str]) -> str:
    """Models by role in a line; roles of one model together."""
    roles: dict[str, list[str]] = {}
    for alias, model in models.items():
        roles.setdefault(model, []).append(alias)
    return " · ".join(f"{', '.join(aliases)} {one_line(model)}" for model, aliases in roles.items())


def shown_path(path: str) -> str:
    """A path as short as it can be named from the current folder, quoted where a shell needs it."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive
        near = path
    return shlex.quote(near if not near.startswith("..") else str(Path(path)))
