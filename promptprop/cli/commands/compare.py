"""`promptprop compare`: which of two prompts is better, by what is on record."""

from __future__ import annotations

import contextlib
from typing import Annotated, Optional

import typer

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.plain import safe
from promptprop.cli.shell import Shell

_WHAT = "PROMPT@VERSION, RUN:seed, RUN:winner, a run or a file."
Split = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it on Python 3.10
    typer.Option(
        "--split", metavar="SPLIT", help="all, train, select or test; test where a search was made.", show_default=False
    ),
]


def compare(
    shell: Shell,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help=_WHAT, show_default=False)],
    after: Annotated[str, typer.Argument(metavar="AFTER", help=_WHAT, show_default=False)],
    split: Split = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> None:
    """Tell which of two prompts is better, by answers on record.

    No model is asked. Rows that both have answered are compared with the statistics of `check`: scores, what the rows
    tell, which rows flipped, cost, latency and the texts. Ends with 6 where the two cannot be compared: no row in
    common, or other metrics. A run stands for its winner, an evaluation or a check for its last prompt.
    """
    from promptprop.bootstrap.comparing import comparison_of
    from promptprop.bootstrap.comparison_document import comparison_json
    from promptprop.bootstrap.references import side_named
    from promptprop.cli import comparisons
    from promptprop.cli.running import opened
    from promptprop.domain.sampling import require_split

    if split is not None:
        require_split(split)
    with contextlib.closing(opened(db, env_file)) as store:
        report = comparison_of(store, side_named(store, before), side_named(store, after), split)
    shell.show(
        comparison_json(report),
        lambda: comparisons.comparison_parts(report),
        lambda: safe(comparisons.markdown_of(report)),
    )
