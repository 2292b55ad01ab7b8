"""Progress of what has no progress bar: a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from promptprop.cli.shell import Shell

SECONDS = 10.0  # between two lines


def ticker(shell: Shell) -> Callable[[str, int, int], None]:
    """Says on stderr now and then how far it is: phase, calls done, calls in all."""
    said = time.monotonic()

    def tick(phase: str, done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= SECONDS:
            said = time.monotonic()
            shell.note(f"{phase}: {done:,} of {total:,}")

    return tick
