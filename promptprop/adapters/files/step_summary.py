"""The summary of a step of GitHub's Actions: a file that a step adds Markdown to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

VARIABLE = "GITHUB_STEP_SUMMARY"
LONGEST = 1024 * 1024  # bytes: a longer file is refused as a whole, with what others wrote
LEAST = 500  # bytes that are worth writing


def add_to_summary(markdown: Callable[[int], str], environment: Mapping[str, str] | None = None) -> str:
    """Add Markdown to the summary that the environment names; returns what went wrong, nothing where nothing did.

    `markdown` renders in at most so many characters. What others wrote stays, and their room is theirs.
    """
    named = (os.environ if environment is None else environment).get(VARIABLE, "")
    if not named:
        return ""
    path = Path(named)
    try:
        held = path.read_bytes() if path.exists() else b""
        gap = b"" if not held else b"\n" if held.endswith(b"\n") else b"\n\n"
        room = LONGEST - len(held) - len(gap)
        data = markdown(room).encode() if room >= LEAST else b""
        if len(data) > room:  # letters of several bytes
            data = markdown(room // 4).encode()
        if not data or len(data) > room:
            return f"the step's summary {path} is full: the report was not added"
        with path.open("ab") as file:
            file.write(gap + data)
    except OSError as error:
        return f"the step's summary {path} cannot be written: {error.strerror or error}"
    return ""
