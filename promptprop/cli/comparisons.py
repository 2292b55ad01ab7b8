"""What is shown of a comparison, in every format: the verdict first, then figures, rows and what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from promptprop.adapters.files.comparison_markdown import comparison_markdown
from promptprop.adapters.files.report_words import dollars, points, score
from promptprop.bootstrap.comparison_document import FOUND, comparison_json, found_words, rows_of
from promptprop.cli.plain import one_line
from promptprop.domain.report import SIMULATED_NOTE

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from promptprop.bootstrap.comparing import ComparisonReport
    from promptprop.services.comparison import Comparison, Found, Measured, Taken

WIDEST = 22  # letters of a prompt's name above a column
COLOURS: dict[Found, str] = {"better": "green", "worse": "red", "open": "yellow"}
FLATTERED = "a search saw these rows: what it chose looks better on them than it is"
SAME = "both are the same prompt, word by word"


def comparison_parts(report: ComparisonReport) -> Iterable[RenderableType]:
    """For a terminal."""
    from rich.text import Text

    from promptprop.cli.drawing import diff_text, facts_table, table_of
    from promptprop.cli.gates import row_parts

    comparison = report.comparison
    for difference in report.differences:
        yield Text(one_line(difference), style="bold yellow")
    yield Text(found_words(comparison.score, report.after.label), style=f"bold {COLOURS[comparison.score.found]}")
    yield ""
    head, *rows = figures_of(report)
    yield table_of(head, rows)
    yield ""
    facts: list[tuple[str, str | Text]] = list(facts_of(report))
    yield facts_table(facts)
    yield from row_parts(rows_of(comparison))
    texts = report.before.candidate.text, report.after.candidate.text
    if texts[0] != texts[1]:
        yield ""
        yield diff_text(*texts, report.before.label, report.after.label)


def figures_of(report: ComparisonReport) -> list[list[str]]:
    """The table of a comparison, its head first."""
    comparison = report.comparison
    rows = [["", *(_head(side.label) for side in (report.before, report.after)), "Δ points"]]
    measured = (comparison.score, *comparison.metrics)
    rows += [[one_line(one.metric), score(one.before), score(one.after), _delta(one)] for one in measured]
    sides = [taken_words(taken) for taken in comparison.taken]
    for name, *cells in zip(
        ("$/1000 rows", "latency", "tokens/row"), *sides, change_words(comparison.taken), strict=True
    ):
        rows.append([name, *cells])
    return rows


def _head(label: str) -> str:
    line = one_line(label)
    return line if len(line) <= WIDEST else f"…{line[1 - WIDEST :]}"  # of a path, its end tells most


def _delta(measured: Measured) -> str:
    look = measured.look
    return "–" if look is None else f"{points(look.mean)} [{100 * look.lower:.1f}, {100 * look.upper:.1f}]"


def facts_of(report: ComparisonReport) -> list[tuple[str, str]]:
    """What stands below the figures in every format for people."""
    comparison, sides = report.comparison, (report.before, report.after)
    facts = [(one.metric, FOUND[one.found]) for one in comparison.metrics]
    facts.append(("rows", overlap_words(comparison, report.split, (sides[0].label, sides[1].label))))
    facts.append(("answers", f"{comparison.answers} each"))
    runs = dict.fromkeys(f"{side.run.activity} {side.run.id[:8]}" for side in sides)
    facts.append(("runs", " and ".join(runs)))
    if report.flattered:
        facts.append(("caution", FLATTERED))
    if sides[0].candidate.id == sides[1].candidate.id:
        facts.append(("prompts", SAME))
    if report.simulated:
        facts.append(("note", SIMULATED_NOTE))
    return facts


def markdown_of(report: ComparisonReport) -> str:
    """For `--format md`."""
    from promptprop.bootstrap.gate_document import clean

    facts = [*(("note", difference) for difference in report.differences), *facts_of(report)]
    return comparison_markdown(clean(comparison_json(report)), clean(figures_of(report)), facts)


def overlap_words(comparison: Comparison, split: str, labels: tuple[str, str]) -> str:
    """How many rows were compared, and why others were not."""
    overlap = comparison.overlap
    where = "" if split == "all" else f" of {split}"
    left = {
        f"only in {labels[0]}": overlap.only_before,
        f"only in {labels[1]}": overlap.only_after,
        "with other contents": overlap.changed,
        "without a score": comparison.missing,
    }
    said = ", ".join(f"{count:,} {what}" for what, count in left.items() if count)
    return f"{comparison.score.before.n:,}{where} compared; left out: {said or 'none'}"


def taken_words(taken: Taken) -> tuple[str, str, str]:
    """Money per 1,000 rows, seconds and tokens of a row; a dash for what is not known."""
    usd = "–" if taken.usd_per_1000_rows is None else dollars(taken.usd_per_1000_rows)
    seconds = "–" if not taken.seconds else f"{taken.seconds:.2f} s"
    return usd, seconds, "–" if taken.tokens is None else f"{taken.tokens:,.0f}"


def change_words(taken: tuple[Taken, Taken]) -> tuple[str, str, str]:
    """How much more or less the second one takes, in per cent, as far as that is known."""
    pairs = [(float(a), float(b)) if a is not None and b is not None else (0.0, 0.0) for a, b in (
        (taken[0].usd_per_1000_rows, taken[1].usd_per_1000_rows),
        (taken[0].seconds, taken[1].seconds),
        (taken[0].tokens, taken[1].tokens),
    )]  # fmt: skip
    usd, seconds, tokens = (f"{100 * (b - a) / a:+.0f} %" if a else "" for a, b in pairs)
    return usd, seconds, tokens
