"""The table of a run's candidates: live while it runs, whole in `runs show`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from promptprop.adapters.files.report_words import gain, points
from promptprop.cli.plain import one_line
from promptprop.domain.history import CandidateRecord, History

STATES = {
    "seed": ("seed", "bold"),
    "proposed": ("running", "cyan"),
    "refused": ("dropped", "dim"),
    "archived": ("undecided", "yellow"),
    "promoted": ("promoted", "green"),
}
WITH_INTERVAL, WITH_ID = 76, 60  # columns of a terminal from which on there is room


def candidate_table(history: History, width: int, records: Sequence[CandidateRecord] | None = None) -> Table:
    """One line a candidate: round, id, hypothesis, screen Δ, race Δ, state. Δ in points."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False, expand=True)
    table.add_column("round", justify="right", no_wrap=True, width=5)
    if width >= WITH_ID:
        table.add_column("candidate", no_wrap=True, width=9)
    table.add_column("hypothesis", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("screen", justify="right", no_wrap=True, width=6)
    table.add_column("race", justify="right", no_wrap=True, width=19 if width >= WITH_INTERVAL else 6)
    table.add_column("state", no_wrap=True, width=10)
    for record in history.candidates.values() if records is None else records:
        cells = _cells(record, history, width)
        table.add_row(*(cells if width >= WITH_ID else [cells[0], *cells[2:]]))
    return table


def _cells(record: CandidateRecord, history: History, width: int) -> list[Text]:
    state, style = STATES.get(record.state, (record.state, ""))
    if record.state == "proposed" and (record.screened is None or record.raced is None) and not _alive(record, history):
        state, style = "unfinished", "dim"
    if history.test and record.id == history.test.winner_id and record.state != "seed":
        state, style = "winner", "bold green"
    screened = points(record.screened.mean) if record.screened else ""
    raced = record.raced
    race = "" if raced is None else gain(raced) if width >= WITH_INTERVAL else points(raced.mean)
    faint = "dim" if record.state == "refused" else ""
    kind = Text(record.hypothesis, style=faint or "bold", end="")
    summary = Text.assemble(kind, (f" {one_line(record.summary)}", faint))
    return [
        Text(str(record.round) if record.round else "", style=faint),
        Text(record.id[:8], style="dim"),
        summary,
        Text(screened, style=faint),
        Text(race, style=faint or _colour(raced.mean if raced else 0.0)),
        Text(state, style=style),
    ]


def _alive(record: CandidateRecord, history: History) -> bool:
    """Whether the candidate is still on its way in the round that is running."""
    return history.status == "running" and record.round == history.round and not history.search_ended


def _colour(difference: float) -> str:
    return "green" if difference > 0 else "red" if difference < 0 else ""
