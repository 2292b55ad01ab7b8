"""A report of a check as one document, from which every format is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from promptprop.adapters.files.gate_words import GROUPS, verdict_words
from promptprop.bootstrap.gate_details import change_for
from promptprop.domain.models import Json
from promptprop.domain.report import SIMULATED_NOTE, estimate_json, line_diff, spend_json

if TYPE_CHECKING:
    from promptprop.bootstrap.gates import GateReport, Outlook
    from promptprop.services.flips import Flip


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


def document_of(report: GateReport, outlook: Outlook | None = None) -> Json:
    """For `--json`, and what every other format is made of."""
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
        **_details(report),
        "spend": spend_json(report.history),
        "simulated": report.history.simulated,
        **seen,
    }


def _details(report: GateReport) -> dict[str, Json]:
    """The rows and lines of a report: flips, each with its command and the changed line nearest to it, and the rest."""
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


def clean(document: Json) -> Json:
    """A document, or a text, without secrets and without what would do more than show letters.

    It is made before the document is put into a format. Afterwards would be too late: what stands for a secret could
    take the end of an element with it.
    """
    from promptprop.adapters.logs import redact_value

    return _safe(redact_value(document))


def abridged(document: Mapping[str, Json], rows: int, letters: int) -> Json:
    """The same for a format that shows at most so many rows of each kind, and so many letters of the diff.

    In place of a row that is left out stands None, so that rows can be counted still.
    """
    kept = {name: document[name][:rows] for name in GROUPS}
    diff, room = [], letters
    for line in document["diff"]:
        if room <= 0:
            break
        diff.append(line)
        room -= len(line)
    shown = clean({**document, **kept, "diff": diff})
    return {**shown, **{name: [*shown[name], *[None] * (len(document[name]) - len(kept[name]))] for name in GROUPS}}


def markdown_of(document: Json, facts: Sequence[tuple[str, str]], longest: int | None = None) -> str:
    """For `--format md`: at most what a comment takes, or less."""
    from promptprop.adapters.files.gate_markdown import LONGEST, SHOWN, gate_markdown

    room = LONGEST if longest is None else min(longest, LONGEST)
    told = abridged(document, SHOWN[0], 2 * LONGEST)
    return gate_markdown(told, [(name, clean(said)) for name, said in facts], room)


def junit_of(document: Json, facts: Sequence[tuple[str, str]]) -> str:
    """For `--format junit`."""
    from promptprop.adapters.files.gate_junit import ROWS, render_junit

    return render_junit(abridged(document, ROWS, 0), {name: clean(said) for name, said in facts})


def _safe(value: Json) -> Json:
    from promptprop.adapters.plain import safe

    if isinstance(value, str):
        return safe(value)
    if isinstance(value, Mapping):
        return {name: _safe(one) for name, one in value.items()}
    return [_safe(one) for one in value] if isinstance(value, list) else value
