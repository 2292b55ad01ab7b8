"""What is shown of a check: the outlook before it spends, and its report in every format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from promptprop.adapters.files.gate_words import gate_markdown, row_words, verdict_words
from promptprop.adapters.files.report_words import counted, money, points, shortened
from promptprop.cli.plain import one_line
from promptprop.domain.differences import fewest_rows
from promptprop.domain.models import Json, text_of
from promptprop.domain.report import SIMULATED_NOTE, estimate_json, line_diff, spend_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from promptprop.bootstrap.checks import CheckRequest
    from promptprop.bootstrap.gates import GateReport, Outlook
    from promptprop.services.flips import Flip

ROWS = 10  # that are shown on each side
ANNOTATIONS = 10  # that GitHub shows of a step
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
    needed = fewest_rows(settings.margin, settings.alpha)
    passes = [("passes", f"only if it wins some rows: being as good takes {needed} at this margin")]
    return [
        ("rows", f"{outlook.rows:,}, {replicates} answers each while undecided"),
        ("sees", sees),
        *(passes if outlook.rows < needed else ()),
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
        "worse": [flip.as_json() for flip in report.worse],
        "better": [flip.as_json() for flip in report.better],
        "spend": spend_json(report.history),
        "simulated": report.history.simulated,
        **seen,
    }


def markdown_of(report: GateReport) -> str:
    """For `--format md`."""
    diff = "\n".join(line_diff(*report.texts, "baseline", "candidate"))
    worse = [flip.as_json() for flip in report.worse]
    return gate_markdown(report.name, sentence_of(report), facts_of(report), worse, len(report.better), diff)


def junit_of(report: GateReport) -> str:
    """For `--format junit`."""
    from promptprop.adapters.files.gate_junit import render_junit

    failing = [(flip.row, one_line(_message(flip)), _details(flip)) for flip in report.worse]
    failing = failing if report.verdict == "FAIL" else []
    return render_junit(report.name, report.verdict, sentence_of(report), failing, report.last.rows)


def annotations_of(report: GateReport, file: str) -> str:
    """For `--format github`: the verdict, and the rows that are worst, as annotations of its Actions."""
    from promptprop.cli.findings import workflow_command

    level = {"PASS": "notice", "FAIL": "error", "INCONCLUSIVE": "warning"}[report.verdict]
    lines = [workflow_command(level, f"promptprop check {report.name}", sentence_of(report), file)]
    if report.verdict == "FAIL":
        worst = report.worse[: ANNOTATIONS - 1]
        lines += [workflow_command("warning", f"row {flip.row}", _message(flip), file) for flip in worst]
    return "".join(lines)


def _message(flip: Flip) -> str:
    return f"{flip.before:.2f} → {flip.after:.2f}: {row_words(flip.inputs)}"


def _details(flip: Flip) -> str:
    expected = "" if flip.expected is None else f"expected: {text_of(flip.expected)}\n"
    return f"{expected}baseline: {flip.baseline_answer}\ncandidate: {flip.candidate_answer}\n{flip.said}"


def gate_parts(report: GateReport) -> Iterable[RenderableType]:
    """For a terminal: the verdict first, then what flipped, then what changed."""
    from rich.text import Text

    from promptprop.cli.drawing import diff_text, facts_table

    yield Text(one_line(sentence_of(report)), style=f"bold {COLOURS[report.verdict]}")
    facts: list[tuple[str, str | Text]] = list(facts_of(report))
    yield facts_table(facts)
    for title, flips in (("worse", report.worse), ("better", report.better)):
        if flips:
            yield ""
            yield f"{counted(len(flips), 'row')} {title}"
            yield from (line for flip in flips[:ROWS] for line in _lines(flip))
            if len(flips) > ROWS:
                yield f"… and {len(flips) - ROWS} more; --json tells all"
    if report.texts[0] != report.texts[1]:
        yield ""
        yield diff_text(*report.texts, "baseline", "candidate")


def _lines(flip: Flip) -> Iterable[Text]:
    from rich.text import Text

    colour = "red" if flip.delta < 0 else "green"
    yield Text.assemble(
        (f"  {flip.row}", "bold"), (f"  {points(flip.delta)}", colour), f"  {one_line(row_words(flip.inputs))}"
    )
    expected = "" if flip.expected is None else f"expected {shortened(one_line(text_of(flip.expected)), 60)}, "
    answers = [shortened(one_line(answer), 60) for answer in (flip.baseline_answer, flip.candidate_answer)]
    yield Text(f"      {expected}was {answers[0]}, is {answers[1]}", style="dim")
    if flip.delta < 0 and flip.said:
        yield Text(f"      {shortened(one_line(flip.said), 200)}", style="dim")
