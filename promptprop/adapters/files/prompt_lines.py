"""Where lines of a prompt stand: in which line of which file, and what that file is called in its repository."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path


def lines_in_file(lines: Sequence[str], document: str) -> list[int]:
    """For each line of a prompt the line of the file that holds it, from 1 on; 0 where none of them is found.

    The file may be the prompt's own, with other headings and blank lines, or a document that holds it indented.
    """
    held = [line.strip() for line in document.split("\n")]
    matcher = difflib.SequenceMatcher(None, [line.strip() for line in lines], held, autojunk=False)
    found = [0] * len(lines)
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            found[block.a + step] = block.b + step + 1
    if not any(number and line.strip() for number, line in zip(found, lines, strict=True)):
        return [0] * len(lines)
    last = next(number for number in found if number)
    for place, number in enumerate(found):
        last = found[place] = number or last
    return found


def in_repository(path: str | Path) -> str:
    """The path as the repository that holds it names it, with slashes; below the current folder where there is none.

    What lies elsewhere keeps its whole path.
    """
    file = Path(path).resolve()
    here = Path.cwd().resolve()
    root = next((folder for folder in file.parents if (folder / ".git").exists()), here)
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()
