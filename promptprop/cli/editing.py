"""Texts in a person's own editor."""

from __future__ import annotations

import asyncio
import os
import shlex
import tempfile
from pathlib import Path


async def edited(text: str, name: str) -> tuple[str, str]:
    """The text after VISUAL, EDITOR or vi has had it as a file called `name`; and why it is as it was, else empty."""
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(text + "\n", encoding="utf-8")
        try:
            process = await asyncio.create_subprocess_exec(*command, str(file))
        except OSError as error:
            return text, f"the editor {command[0]} cannot be started ({error}); set EDITOR"
        if await process.wait():
            return text, f"{command[0]} ended with an error: the text is left as it was"
        try:
            return file.read_text(encoding="utf-8").removesuffix("\n"), ""
        except (OSError, UnicodeDecodeError) as error:
            return text, f"what {command[0]} left cannot be read ({error}): the text is left as it was"
