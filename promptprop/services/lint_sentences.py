"""The instructions of a prompt, sentence by sentence: what is quoted or shown as an example is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from promptprop.services.lint_words import BULLET, PLACEHOLDER, SENTENCE

SHORT = 8  # characters below which a sentence is no instruction
MOST = 400  # sentences that are compared with each other

ROLE = re.compile(r"^### (system|user|assistant)[ \t]*$", re.MULTILINE)
FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
LABEL = re.compile(r"([^\W\d_][\w ]{0,30}):(?=\s)")  # as in `Answer: billing`
ITEM = re.compile(r"[ \t]*[-*•][ \t]")
APART = re.compile(r"\n[ \t]*\n|\{%")  # a blank line, or a branch that may not be taken
DATA = tuple("{}[]<|#\"'`")  # what begins like this is a part of an example or a heading


@dataclass(frozen=True, slots=True)
class Sentence:
    """An instruction with its span: without its bullet, and with the names of variables for their placeholders.

    `shows` are these names; `label` is what stands before the colon of its line, as in examples.
    """

    start: int
    end: int
    said: str
    shows: tuple[str, ...] = ()
    label: str = ""

    def comparable(self, other: Sentence) -> bool:
        """Whether the two may say the same: not with other variables, and not as lines of two examples."""
        return self.shows == other.shows and not (self.label and self.label == other.label)


def sentences_of(text: str) -> list[Sentence]:
    """Sentences and items of lists, the first `MOST` of them; none of code blocks and of an assistant's turns."""
    found: list[Sentence] = []
    quoted = sorted(_quoted(text), reverse=True)
    reach = line_end = -1
    label = ""
    for match in SENTENCE.finditer(text):
        if match.start() > line_end:
            line_end = _line_end(text, match.start())
            label = _label(text[match.start() : line_end])
        plain = BULLET.sub("", PLACEHOLDER.sub(r" \1 ", match.group())).strip()
        if len(plain) < SHORT or plain.startswith(DATA) or not any(char.isalpha() for char in plain):
            continue
        while quoted and quoted[-1][0] <= match.start():
            reach = max(reach, quoted.pop()[1])
        if match.start() >= reach:
            shows = tuple(one.group(1) for one in PLACEHOLDER.finditer(match.group()))
            found.append(Sentence(match.start(), match.end(), plain, shows, label))
            if len(found) == MOST:
                break
    return found


def repeated_item(text: str, earlier: Sentence, later: Sentence) -> tuple[int, int] | None:
    """The span of the later sentence's whole line, where both are items of one list; else None."""
    spans = [_item(text, one) for one in (earlier, later)]
    return spans[1] if all(spans) and not APART.search(text, earlier.start, later.start) else None


def _item(text: str, sentence: Sentence) -> tuple[int, int] | None:
    """The span of the line with its end, where it is an item and the sentence is all of it."""
    first = text.rfind("\n", 0, sentence.start) + 1
    last = _line_end(text, sentence.end)
    line = text[first:last]
    whole = line.strip() == text[sentence.start : sentence.end].strip()
    return (first, min(last + 1, len(text))) if whole and ITEM.match(line) else None


def _line_end(text: str, start: int) -> int:
    found = text.find("\n", start)
    return len(text) if found < 0 else found


def _label(line: str) -> str:
    found = LABEL.match(BULLET.sub("", line).strip())
    return found.group(1).casefold() if found else ""


def _quoted(text: str) -> Iterator[tuple[int, int]]:
    """Spans that show something: code blocks, the headings of messages, and what an assistant answered."""
    marks = [match.start() for match in FENCE.finditer(text)]
    yield from zip(marks[::2], [*marks[1::2], len(text)], strict=False)
    turns = list(ROLE.finditer(text))
    for turn, follower in zip(turns, [*(turn.start() for turn in turns[1:]), len(text)], strict=False):
        yield turn.start(), follower if turn.group(1) == "assistant" else turn.end()
