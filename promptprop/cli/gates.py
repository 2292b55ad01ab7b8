"""What a terminal shows of a check: the outlook before it spends, and its report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from promptprop.adapters.files.gate_words import GROUPS, got_better, row_head, row_lines
from promptprop.adapters.files.report_words import counted, money
from promptprop.cli.plain import one_line, safe
from promptprop.domain.differences import fewest_rows
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from promptprop.bootstrap.checks import CheckRequest
    from promptprop.bootstrap.gates import GateReport, Outlook

ROWS = 10  # that are shown on each side
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


def gate_parts(report: GateReport, told: Mapping[str, Json]) -> Iterable[RenderableType]:
    """For a terminal: the verdict first, then what flipped, then what changed. `told` is the document of `--json`."""
    from rich.text import Text

    from promptprop.bootstrap.gate_document import facts_of
    from promptprop.cli.drawing import diff_text, facts_table

    yield Text(one_line(told["sentence"]), style=f"bold {COLOURS[report.verdict]}")
    facts: list[tuple[str, str | Text]] = list(facts_of(report))
    yield facts_table(facts)
    yield from row_parts({title: told[name] for name, title in GROUPS.items()})
    if report.texts[0] != report.texts[1]:
        yield ""
        yield diff_text(*report.texts, "baseline", "candidate")


def row_parts(
    groups: Mapping[str, Sequence[Mapping[str, Json]]], most: int = ROWS, all_of_them: str = "--json"
) -> Iterable[RenderableType]:
    """Rows of a document by what they are, at most so many of each; `all_of_them` tells the others."""
    for title, rows in groups.items():
        if rows:
            yield ""
            yield f"{counted(len(rows), 'row')} {title}"
            yield from (line for row in rows[:most] for line in _lines(row))
            if len(rows) > most:
                yield f"… and {len(rows) - most} more; {all_of_them} tells all"


def _lines(row: Mapping[str, Json]) -> Iterable[Text]:
    """A row in a few lines; those of one that needs looking at end with the command that shows it."""
    from rich.text import Text

    name, tally, words = (one_line(part) for part in row_head(row))
    colour = "" if "side" in row else "green" if got_better(row) else "red"
    yield Text.assemble((f"  {name}", "bold"), (f"  {tally}", colour), f"  {words}")
    yield from (Text(f"      {one_line(line)}", style="dim") for line in row_lines(row))
    if not got_better(row) and row.get("command"):
        yield Text(f"      {safe(row['command'])}", style="cyan", no_wrap=True, overflow="ignore")
