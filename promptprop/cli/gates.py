"""What is shown of a check: the outlook before it spends, and its report in every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from promptprop.adapters.files.gate_words import change_words, row_words, verdict_words
from promptprop.adapters.files.report_words import counted, money, points, shortened
from promptprop.cli.plain import one_line, safe
from promptprop.domain.models import Json, text_of
from promptprop.domain.report import SIMULATED_NOTE, estimate_json, line_diff, spend_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from promptprop.bootstrap.checks import CheckRequest
    from promptprop.bootstrap.gates import GateReport, Outlook
    from promptprop.services.flips import Flip

ROWS = 10  # that are shown on each side
GROUPS = {
    "critical_rows": "critical, and did not pass",
    "worse": "worse",
    "better": "better",
    "missing_rows": "left out",
}
COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}


def outlook_words(outlook: Outlook, request: CheckRequest) -> list[tuple[str, str]]:
    """What the gate will see, and what it may take."""
    settings = request.settings
    share = f"{100 * settings.power:.0f} %"
    if outlook.smallest is None:
        sees = f"no drop fails with {share} power on {counted(outlook.rows, 'row')}"
    else:
        sees = f"a drop of {100 * outlook.smallest:.1f} points fails with {share} power"
    if settings.margin:
        sees += f"; one of {100 * settings.margin:g} points with {100 * outlook.power_at_margin:.0f} %"
    assumed = "assumed: no row has two answers on record" if outlook.noise.assumed else "that of answers on record"
    replicates = ", ".join(map(str, settings.replicates))
    return [
        ("rows", f"{outlook.rows:,}, {replicates} answers each while undecided"),
        ("sees", sees),
        ("noise", assumed),
        ("takes", "nothing: all answers come from the recording" if request.offline else _takes(outlook)),
    ]


def _takes(outlook: Outlook) -> str:
    """Calls and money at most, and what one look has cost before."""
    who = "both prompts" if outlook.sides == 2 else "the candidate; the baseline's answers are stored"
    most = f"at most {counted(outlook.most_calls, 'call')}"
    if outlook.most_picousd is not None:
        most += f" and {money(outlook.most_picousd)}"
    usual = "" if outlook.usual_picousd is None else f"; one look by earlier answers {money(outlook.usual_picousd)}"
    return f"{most}, for {who}{usual}"


def sentence_of(report: GateReport) -> str:
    """The verdict in a sentence."""
    return verdict_words(report.verdict, report.settings.margin, report.last.metrics, report.last.failed)


def facts_of(report: GateReport) -> list[tuple[str, str]]:
    """What stands below the verdict in every format for people."""
    last = report.last
    facts = [("baseline", report.labels[0]), ("rows", f"{last.rows:,} compared, {last.missing:,} left out")]
    if last.replicates:
        facts.append(("answers", f"{last.replicates} each"))
    facts.append(("run", report.run_id[:8]))
    facts += [("across", note) for note in report.notes]
    if report.history.simulated:
        facts.append(("note", SIMULATED_NOTE))
    return facts


def gate_json(report: GateReport, outlook: Outlook | None) -> Json:
    """For `--json`."""
    last = report.last
    scores = {
        role: {split: estimate_json(one) for split, one in report.history.record(candidate).scores.items()}
        for role, candidate in (("baseline", last.baseline_id), ("candidate", last.candidate_id))
    }
    seen = {"smallest_drop": outlook.smallest, "power_at_margin": outlook.power_at_margin} if outlook else {}
    return {
        "run_id": report.run_id,
        "name": report.name,
        "verdict": report.verdict,
        "sentence": sentence_of(report),
        "baseline": {"label": report.labels[0], "id": last.baseline_id, "scores": scores["baseline"]},
        "candidate": {"id": last.candidate_id, "scores": scores["candidate"]},
        "gate": report.settings.as_json(),
        "looks": [
            {"replicates": look.replicates, "verdict": look.verdict, "metrics": dict(look.metrics)}
            for look in report.history.looks
        ],
        "differences": list(report.notes),
        "rows": last.rows,
        "missing": last.missing,
        "critical_failed": list(last.failed),
        **details_json(report),
        "spend": spend_json(report.history),
        "simulated": report.history.simulated,
        **seen,
    }


def details_json(report: GateReport) -> dict[str, Json]:
    """The rows and lines of a report: flips, each with its command and the changed line nearest to it, and the rest."""
    from promptprop.bootstrap.gate_details import change_for
    from promptprop.services.prompt_changes import ChangedLines

    details, lines = report.details, ChangedLines(report.details.changes)

    def told(flip: Flip) -> Json:
        near = change_for(lines, flip)
        return {**flip.as_json(), "changed": near.as_json() if near else None, "command": details.again(flip.row)}

    return {
        "worse": [told(flip) for flip in report.worse],
        "better": [told(flip) for flip in report.better],
        "critical_rows": [{**row.as_json(), "command": details.again(row.row)} for row in details.critical],
        "missing_rows": [{**row.as_json(), "command": details.again(row.row)} for row in details.missing],
        "file": details.file,
        "changes": [change.as_json() for change in details.changes],
        "diff": line_diff(*report.texts, "baseline", "candidate"),
        "inconclusive": details.open_ends,
        "started_at": details.started_at,
        "active_seconds": round(report.history.active_seconds, 3),
    }


def gate_parts(report: GateReport, told: Mapping[str, Json]) -> Iterable[RenderableType]:
    """For a terminal: the verdict first, then what flipped, then what changed. `told` is the document of `--json`."""
    from rich.text import Text

    from promptprop.cli.drawing import diff_text, facts_table

    yield Text(one_line(sentence_of(report)), style=f"bold {COLOURS[report.verdict]}")
    facts: list[tuple[str, str | Text]] = list(facts_of(report))
    yield facts_table(facts)
    for name, title in GROUPS.items():
        rows = told[name]
        if rows:
            yield ""
            yield f"{counted(len(rows), 'row')} {title}"
            yield from (line for row in rows[:ROWS] for line in _lines(row))
            if len(rows) > ROWS:
                yield f"… and {len(rows) - ROWS} more; --json tells all"
    if report.texts[0] != report.texts[1]:
        yield ""
        yield diff_text(*report.texts, "baseline", "candidate")


def _lines(row: Mapping[str, Json]) -> Iterable[Text]:
    """A row in a few lines; of one that failed also the changed line nearest to it, and the command that shows it."""
    from rich.text import Text

    head = Text(f"  {one_line(row['row'])}", style="bold")
    again = Text(f"      {safe(row['command'])}", style="cyan", no_wrap=True, overflow="ignore")
    if "side" in row:
        yield head.append(f"  {row['side']}: {shortened(one_line(row['why']), 120)}", style="not bold")
        yield again
        return
    delta = row.get("delta", -1.0)
    tally = points(delta) if "delta" in row else f"{row['passed']} of {row['answers']}"
    head.append(f"  {tally}", style=f"not bold {'green' if delta > 0 else 'red'}")
    yield head.append(f"  {one_line(row_words(row['inputs']))}", style="not bold")
    expected = "" if row["expected"] is None else f"expected {_short(text_of(row['expected']))}, "
    was = f"was {_short(row['baseline_answer'])}, " if "delta" in row else ""
    is_now = _short(row["candidate_answer"] if "delta" in row else row["answer"])
    yield Text(f"      {expected}{was}is {is_now}", style="dim")
    if delta > 0:
        return
    if row["said"]:
        yield Text(f"      {shortened(one_line(row['said']), 200)}", style="dim")
    if row.get("changed"):
        yield Text(f"      {shortened(one_line(change_words(row['changed'])), 200)}", style="dim")
    yield again


def _short(text: str) -> str:
    return shortened(one_line(text), 60) or "nothing"
