"""A comparison as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptprop.adapters.files.gate_markdown import LONGEST, SHOWN, diff_section, flips_section, length_of
from promptprop.adapters.files.markdown import plain, table_lines
from promptprop.domain.models import Json


def comparison_markdown(
    document: Mapping[str, Json], figures: Sequence[Sequence[str]], facts: Sequence[tuple[str, str]]
) -> str:
    """The document of a comparison (that of `--json`) as Markdown of at most 65,536 characters.

    The first line of `figures` is their head. What is too long goes in this order: the end of the diff, rows that are
    better, rows that are worse.
    """
    title = " → ".join(plain(str(document[side]["label"])) for side in ("before", "after"))
    head, *rows = ([plain(cell) for cell in line] for line in figures)
    lines = [f"## {title}", "", f"**{plain(document['sentence'])}**", "", *table_lines(head, rows), ""]
    lines += [f"- {label}: {plain(said)}" for label, said in facts]
    for name in ("worse", "better"):
        sections = (flips_section(name.capitalize(), document[name], shown) for shown in SHOWN)
        lines += next((made for made in sections if length_of([*lines, *made]) <= LONGEST), [])
    lines += diff_section(document["diff"], (), LONGEST - length_of(lines))
    return "\n".join(lines) + "\n"
