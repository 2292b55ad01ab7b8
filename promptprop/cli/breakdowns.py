"""The scores of an evaluation by tag and by cluster, as tables: the worst first, and no more than a screen holds."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from promptprop.adapters.files.report_words import counted, score
from promptprop.cli.drawing import table_of
from promptprop.cli.plain import one_line
from promptprop.domain.breakdown import Breakdown, Kind

UNASKED, ASKED = 8, 20  # groups that are shown without --by, and with it
WIDEST = 40  # letters of a group's name


def group_parts(breakdown: Breakdown, by: Sequence[Kind], *, named: bool) -> list[RenderableType]:
    """A table for each kind that is asked for, tags unless any is; `named` puts the prompt into its head."""
    parts: list[RenderableType] = []
    most = ASKED if by else UNASKED
    for kind in by or ("tag",):
        found = breakdown.worst(kind)
        if not found:
            parts += ["", f"no row has a {kind}"] if by else []
            continue
        repeated = breakdown.steadiness.rows > 0
        head = [f"{kind} of {breakdown.candidate_id[:8]}" if named else kind, "score", "rows", "missing"]
        rows = []
        for group in found[:most]:
            name = one_line(group.name)
            shown = name if len(name) <= WIDEST else f"{name[: WIDEST - 1]}…"
            cells = [shown, score(group.score), f"{group.rows:,}", f"{group.missing:,}"]
            rows.append([*cells, f"{group.steadiness.flipping:,}"] if repeated else cells)
        parts += ["", table_of([*head, "flip"] if repeated else head, rows, right=(2, 3, 4) if repeated else (2, 3))]
        if len(found) > most:
            less = "" if by else f"`--by {kind}` shows more, "
            more = counted(len(found) - most, f"more {kind}")
            parts.append(f"… and {more}; {less}--json tells all")
    return parts
