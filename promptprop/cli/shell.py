"""What a command was told of its surroundings, and the ways in which it answers: data to stdout, the rest to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from promptprop.adapters.logs import redact_value
from promptprop.cli.plain import safe, speaks_unicode
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

Format = Literal["text", "json", "md", "github", "junit"]
FORMATS: tuple[Format, ...] = ("text", "json", "md")  # what a command answers in unless it says otherwise
Drawing = Callable[[], "Iterable[RenderableType]"]


@dataclass(frozen=True, slots=True)
class Shell:
    """The common options of a command. `colour` False means --no-color; `asks` whether questions may be asked."""

    format: Format = "text"
    output: Path | None = None
    verbosity: int = 0
    colour: bool = True
    asks: bool = False
    yes: bool = False

    @property
    def json(self) -> bool:
        """Whether stdout carries one JSON envelope."""
        return self.format == "json"

    @property
    def quiet(self) -> bool:
        """Whether only errors are shown."""
        return self.verbosity < 0

    def show(
        self,
        document: Json,
        draw: Drawing,
        markdown: Callable[[], str] | None = None,
        annotations: Callable[[], str] | None = None,
        junit: Callable[[], str] | None = None,
    ) -> None:
        """Answer in the format asked for. Raises UsageError where the command has none of that kind, NotWritable."""
        if self.format == "json":
            self.write_json(document)
        elif self.format == "text":
            self.draw(draw())
        else:
            spoken = {
                "md": ("Markdown", markdown),
                "github": ("GitHub's annotations", annotations),
                "junit": ("JUnit", junit),
            }
            what, text = spoken[self.format]
            if text is None:
                raise UsageError(f"this command does not speak {what}", remedy="use --format text or --format json")
            self.write(safe(text()) if self.format == "md" else text())  # the others are made of texts that are safe

    def width(self) -> int:
        """Columns of what stdout is."""
        from promptprop.cli.drawing import console_for

        return console_for(sys.stdout, colour=self.colour).width

    def draw(self, parts: Iterable[RenderableType]) -> None:
        """Draw on stdout, or plainly into the file of -o."""
        from promptprop.cli.drawing import FILE_WIDTH, console_for, print_all

        if self.output is None:
            print_all(console_for(sys.stdout, colour=self.colour), parts)
            return
        page = StringIO()
        print_all(console_for(page, colour=False, width=FILE_WIDTH), parts)
        self.write(page.getvalue())

    def write_json(self, document: Json) -> None:
        """Write one JSON document. Prompts of a report are what people use, and so are written as they are."""
        shown = redact_value(document)
        for name in ("seed", "winner"):
            if isinstance(document, dict) and isinstance(document.get(name), dict) and "prompt" in document[name]:
                shown[name]["prompt"] = document[name]["prompt"]
        in_file = self.output is not None
        self.write(json.dumps(shown, indent=2, ensure_ascii=not (in_file or speaks_unicode())) + "\n")

    def write(self, data: str | bytes) -> None:
        """Write data as it is: to the file of -o, else to stdout. Bytes keep their encoding. Raises NotWritable."""
        if self.output is not None:
            from promptprop.adapters.files.writing import write_atomically

            write_atomically(self.output, data)
        elif isinstance(data, bytes) and hasattr(sys.stdout, "buffer"):
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
        else:
            sys.stdout.write(data if isinstance(data, str) else data.decode())

    def note(self, text: str) -> None:
        """Say something on stderr, unless -q."""
        if not self.quiet:
            sys.stderr.write(safe(text) + "\n")
            sys.stderr.flush()

    def draw_note(self, parts: Iterable[RenderableType]) -> None:
        """Draw something on stderr, unless -q."""
        if not self.quiet:
            from promptprop.cli.drawing import console_for, print_all

            print_all(console_for(sys.stderr, colour=self.colour), parts)

    def agree(self, question: str) -> bool:
        """Ask y/N on the terminal; -y answers yes, and where nobody can be asked the answer is no."""
        if self.yes:
            return True
        if not self.asks:
            return False
        sys.stderr.write(f"{safe(question)} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
