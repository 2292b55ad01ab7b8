"""What `eval --row` shows of the rows that it was asked for: few of them wholly, more of them a line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from promptprop.adapters.files.markdown import code, fenced, table_lines
from promptprop.adapters.files.report_words import shortened
from promptprop.cli.plain import one_line, safe
from promptprop.cli.row_review import shown
from promptprop.cli.running import Detail
from promptprop.domain.models import Evaluation, text_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from promptprop.services.row_answers import RowAnswers

FEW = 5  # rows that are shown with all that was asked and said
CELL = 40  # characters of a text in a line of its row
MORE = "what was asked is shown of at most five rows, and of all of them with --json"


def detail_of(rows: Sequence[RowAnswers]) -> Detail:
    """The rows in each format."""
    return Detail({"answers": [row.as_json() for row in rows]}, lambda: _parts(rows), lambda: _markdown(rows))


def _parts(rows: Sequence[RowAnswers]) -> Iterable[RenderableType]:
    from promptprop.cli.drawing import table_of

    if len(rows) > FEW:
        lines = [[row.example.id, _score(one), _expected(row), _said(one)] for row in rows for one in row.evaluations]
        short = [[one_line(shortened(cell, CELL)) for cell in line] for line in lines]
        yield table_of(["row", "score", "expected", "answer"], short)
        yield from (MORE, "")
        return
    for row in rows:
        yield from _whole(row)


def _whole(row: RowAnswers) -> Iterable[RenderableType]:
    from rich.text import Text

    from promptprop.cli.drawing import facts_table

    yield Text(f"row {one_line(row.example.id)}", style="bold")
    for step, messages in row.asked.items():
        of_step = f" at {step}" if len(row.asked) > 1 else ""
        for message in messages:
            yield Text(f"asked{of_step} ({message.role})", style="dim")
            yield from _block(message.content)
    for one in row.evaluations:
        number = f", answer {one.replicate + 1}" if len(row.evaluations) > 1 else ""
        for made in one.trace[:-1]:
            yield Text(f"answered at {made.step}{number}", style="dim")
            yield from _block(made.output)
        yield Text(f"answered{number}", style="dim")
        yield from _block(_said(one))
        facts: list[tuple[str, str | Text]] = [] if row.example.expected is None else [("expected", _expected(row))]
        facts.append(("score", _score(one)))
        facts += [(name, one_line(f"{_value(word.score)}  {word.feedback}")) for name, word in one.judgements.items()]
        yield facts_table(facts)
    yield ""


def _block(text: str) -> Iterable[Text]:
    from rich.text import Text

    for line in shown(text).split("\n"):
        yield Text(f"  {line}".rstrip())


def _markdown(rows: Sequence[RowAnswers]) -> str:
    lines: list[str] = []
    if len(rows) > FEW:
        cells = [[row.example.id, _score(one), _expected(row), _said(one)] for row in rows for one in row.evaluations]
        table = [[code(shortened(cell, CELL), in_table=True) for cell in line] for line in cells]
        lines = ["## Rows", "", *table_lines(["row", "score", "expected", "answer"], table), ""]
        return "\n".join([*lines, f"{MORE[0].upper()}{MORE[1:]}.", ""])
    for row in rows:
        lines += [f"## Row {code(row.example.id)}", ""]
        for step, messages in row.asked.items():
            of_step = f" at {code(step)}" if len(row.asked) > 1 else ""
            for message in messages:
                lines += [f"Asked{of_step} ({message.role}):", "", *fenced(message.content, "text"), ""]
        if row.example.expected is not None:
            lines += [f"Expected: {code(text_of(row.example.expected))}", ""]
        for one in row.evaluations:
            lines += ["Answered:", "", *fenced(_said(one), "text"), "", f"- score: {_score(one)}"]
            lines += [f"- {name}: {_value(word.score)} {code(word.feedback)}" for name, word in one.judgements.items()]
            lines.append("")
    return "\n".join(lines)


def _expected(row: RowAnswers) -> str:
    return "" if row.example.expected is None else safe(text_of(row.example.expected))


def _said(one: Evaluation) -> str:
    return one.output if one.error is None else f"nothing: {one.error.message}"


def _score(one: Evaluation) -> str:
    return _value(one.score)


def _value(score: float | None) -> str:
    return "missing" if score is None else f"{score:.3f}"
