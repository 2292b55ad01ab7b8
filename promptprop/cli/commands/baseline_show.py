"""`promptprop baseline show`: one stored baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptprop.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from promptprop.domain.baseline import Baseline

Name = Annotated[str, typer.Argument(metavar="NAME", help="A baseline's name or file.", show_default=False)]
WORST = 10  # rows that are shown


def show_baseline(shell: Shell, name: Name) -> int:
    """Show a baseline: what it was scored under, its prompt, and its worst rows."""
    from promptprop.adapters.files.baselines import read_baseline
    from promptprop.cli.baselines import baseline_named, summary_json

    path = baseline_named(name)
    baseline = read_baseline(path)
    document = {
        **summary_json(path, baseline),
        "conditions": baseline.conditions.as_json(),
        "text": baseline.candidate.text,
        "scores": {row.id: list(row.scores) for row in baseline.rows},
    }
    shell.show(document, lambda: _parts(path, baseline))
    return 0


def _parts(path: Path, baseline: Baseline) -> Iterable[RenderableType]:
    from rich.text import Text

    from promptprop.cli.baselines import score_words
    from promptprop.cli.drawing import facts_table
    from promptprop.cli.plain import one_line

    score = score_words(baseline)
    facts: list[tuple[str, str | Text]] = [
        ("file", str(path)),
        ("score", f"{score} on {len(baseline.rows):,} rows ({baseline.split}), {baseline.replicates} answers each"),
    ]
    for what, found in (("model", baseline.conditions.models), ("judge", baseline.conditions.judges)):
        facts += [(what, _settings(alias, settings)) for alias, settings in found.items()]
    facts.append(("metrics", ", ".join(baseline.conditions.metrics)))
    yield facts_table(facts)
    yield ""
    yield Text(baseline.candidate.text)
    worst = sorted(baseline.rows, key=lambda row: row.mean or 0.0)[:WORST]
    failing = [(row, row.mean or 0.0) for row in worst if (row.mean or 0.0) < 1]
    if failing:
        yield ""
        yield "worst rows"
    for row, mean in failing:
        yield Text(f"  {row.id}  {100 * mean:.0f}  {one_line(row.answers[0] if row.answers else '')}")


def _settings(alias: str, settings: dict[str, object]) -> str:
    rest = ", ".join(f"{name} {value}" for name, value in settings.items() if name not in ("model", "world"))
    return f"{alias}: {settings['model']}" + (f" ({rest})" if rest else "")
