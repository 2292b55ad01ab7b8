"""The rewriter's hand: adds sentences to a prompt, takes sentences out, shortens it, writes it anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from promptprop.adapters.models.offline.meaning import Reader, Stated, Unit, units

PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}|\{%.*?%\}")
FILLER = (
    "Read the whole input carefully before you answer.",
    "Think about what the person really wants.",
    "Take your time and be thorough.",
    "Accuracy matters: double-check your decision.",
    "Consider every detail of the input, however small it may seem.",
    "Use your best judgement where things are unclear.",
    "Be consistent from one input to the next.",
)
VAGUE = (
    "Be more careful with inputs like these.",
    "Pay closer attention to the details that decide the case.",
    "Make sure to understand the situation before answering.",
    "Look twice at ambiguous cases.",
)
_EMPTY_BULLET = re.compile(r"^[ \t]*(?:[-*•+–]|\(?\d{1,3}[.)])?[ \t]*$")
_BULLET_LINE = re.compile(r"^[ \t]*(?:[-*•+–]|\d{1,3}[.)])[ \t]+\S")
_HEADING = re.compile(r"^### \w+\n")
_PADDING = {text.lower() for text in FILLER + VAGUE}


def pieces(text: str) -> list[Unit]:
    """The units of a text without overlaps: a short bullet whole, else sentence by sentence."""
    kept: list[Unit] = []
    for unit in units(text):
        if not kept or unit.start >= kept[-1].end:
            kept.append(unit)
    return kept


def stating(reader: Reader, text: str, rule: str) -> list[Unit]:
    """The smallest units that state a rule."""
    found = [unit for unit in units(text) if rule in reader.sentence(unit.text).rules]
    return [
        unit
        for unit in found
        if not any(other is not unit and unit.start <= other.start and other.end <= unit.end for other in found)
    ]


def without(text: str, unwanted: Iterable[Unit]) -> str:
    """The text without these sentences; one that holds a placeholder stays."""
    gone = {(unit.start, unit.end) for unit in unwanted if not PLACEHOLDER.search(text[unit.start : unit.end])}
    if not gone:
        return text
    kept = [char for place, char in enumerate(text) if not any(start <= place < end for start, end in gone)]
    lines, before = "".join(kept).splitlines(), set(text.splitlines())
    tidy = [line.rstrip() for line in lines if line in before or not _EMPTY_BULLET.match(line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(tidy)).strip("\n")


def with_bullets(text: str, sentences: Sequence[str]) -> str:
    """The text with these sentences as bullets, before the paragraph that holds the last placeholder."""
    if not sentences:
        return text
    bullets = [f"- {sentence}" for sentence in sentences]
    paragraphs = text.rstrip().split("\n\n")
    place = max((n for n, part in enumerate(paragraphs) if "{{" in part), default=len(paragraphs))
    if place == 0:
        return _before_placeholder_line(paragraphs[0], bullets) + _rest(paragraphs)
    if _BULLET_LINE.match(paragraphs[place - 1].splitlines()[-1] if paragraphs[place - 1] else ""):
        paragraphs[place - 1] = "\n".join([paragraphs[place - 1], *bullets])
    else:
        paragraphs.insert(place, "\n".join(bullets))
    return "\n\n".join(paragraphs)


def _rest(paragraphs: Sequence[str]) -> str:
    return "".join(f"\n\n{part}" for part in paragraphs[1:])


def _before_placeholder_line(paragraph: str, bullets: Sequence[str]) -> str:
    lines = paragraph.split("\n")
    place = max(n for n, line in enumerate(lines) if "{{" in line)
    head = "\n".join(lines[:place])
    if place == 0 or _HEADING.match(head + "\n"):
        head = f"{head}\n" if head else ""
        return head + "\n".join(bullets) + "\n\n" + "\n".join(lines[place:])
    return head + "\n\n" + "\n".join(bullets) + "\n\n" + "\n".join(lines[place:])


def shortened(reader: Reader, text: str, drops_trap: Callable[[str], bool]) -> str:
    """The text without padding, duplicates and the traps that are seen through, and with the shortest wordings."""
    seen = Stated()
    unwanted = []
    for unit in pieces(text):
        stated = reader.sentence(unit.text)
        if stated.nothing:
            if is_padding(text[unit.start : unit.end]) or (unit.bullet and reader.nearly(unit.text)):
                unwanted.append(unit)
            continue
        if any(drops_trap(trap) for trap in stated.traps) or (seen | stated) == seen:
            unwanted.append(unit)
        seen |= stated
    return _tightened(reader, without(text, unwanted))


def _tightened(reader: Reader, text: str) -> str:
    """Every bullet that states one rule and no more, in the rule's shortest wording where that is shorter."""
    for unit in reversed(pieces(text)):
        stated = reader.sentence(unit.text)
        written = text[unit.start : unit.end]
        if not unit.bullet or len(stated.rules) != 1 or stated.traps or stated.format or "{{" in written:
            continue
        shortest = min(reader.says("rule", next(iter(stated.rules))).says, key=len)
        if len(shortest) < len(written):
            text = text[: unit.start] + shortest + text[unit.end :]
    return text


def is_padding(sentence: str) -> bool:
    """True for a sentence that says nothing."""
    return sentence.strip().lower() in _PADDING


def anew(lead: str, sentences: Sequence[str], current: str) -> str:
    """A prompt from scratch: a lead, rules as bullets, and the paragraphs of the current one that hold placeholders."""
    heading = _HEADING.match(current)
    parts = [(heading.group() if heading else "") + lead]
    if sentences:
        parts.append("\n".join(f"- {sentence}" for sentence in sentences))
    for paragraph in current.split("\n\n"):
        lines = [line for line in paragraph.split("\n") if PLACEHOLDER.search(line) or line.startswith("### ")]
        if any(PLACEHOLDER.search(line) for line in lines):
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def lead_of(reader: Reader, text: str) -> str:
    """The first sentence of a prompt that neither states anything nor holds a placeholder; empty if there is none."""
    for unit in units(text):
        bare = unit.bullet or PLACEHOLDER.search(unit.text) or unit.text.startswith("#")
        if not bare and reader.sentence(unit.text).nothing and not is_padding(unit.text):
            return unit.text
    return ""


def broken(text: str) -> str:
    """The text with its first placeholder damaged, as careless models do."""
    match = PLACEHOLDER.search(text)
    if not match:
        return text
    return text[: match.start()] + match.group().replace("{{", "{").replace("}}", "}") + text[match.end() :]
