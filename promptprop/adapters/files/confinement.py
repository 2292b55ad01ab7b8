"""Paths that a request names: each leads to a file of the project folder that is not hidden, or is refused."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

LONGEST = 1000  # characters of a path


def confine(text: str, folder: Path) -> Path | str:
    """The file that `text` names below `folder`, links followed, or why it is none, in words that tell nothing new.

    Refused are absolute paths, `..`, names that begin with a dot (`.env`, `.git`, `.promptprop`), links that lead to
    any of these or out of the folder, and what is no regular file. Outside of the folder nothing is looked for.
    """
    flaw = _flaw(text)
    if flaw:
        return flaw
    root = folder.resolve()
    try:
        found = (root / text).resolve()
        inside = found.relative_to(root)
        there = found.is_file()
    except (OSError, RuntimeError):  # a name too long, links that go round in a circle
        return "no such file in the project folder"
    except ValueError:
        return "leads out of the project folder"
    if any(part.startswith(".") for part in inside.parts):
        return "leads to a hidden file"
    return found if there else "no such file in the project folder"


def _flaw(text: str) -> str:
    """What is wrong with a path before anything is looked for; nothing where all is well."""
    windows = PureWindowsPath(text)
    if not text or len(text) > LONGEST or not text.isprintable():
        return "no name of a file"
    if text.startswith(("/", "~")) or "\\" in text or windows.drive or windows.root:
        return "must be relative to the project folder"
    if ".." in windows.parts:
        return "leads out of the project folder"
    if any(part.startswith(".") for part in windows.parts):
        return "names a hidden file"
    if text == "-":
        return "a request has no standard input"
    return ""
