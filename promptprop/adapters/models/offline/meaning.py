"""What a prompt text states, whatever its wording: rules, traps and the form of the answer, sentence by sentence.

A sentence states a rule if it holds at least one phrase of every group of `shown_by`: case, typographic quotes, line
ends and emphasis do not count, and a phrase must begin at the beginning of a word. What stands in a bullet counts as
one sentence while it is short, and a line that ends in a colon goes with each bullet under it. Negation is not
understood: that is a limit of the simulation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from promptprop.adapters.models.offline.world import Groups, Statement, World

LONGEST_BULLET = 300  # characters up to which the sentences of one bullet are read together
_BULLET = re.compile(r"[ \t]*(?:[-*•+–]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]+")
_LINE = re.compile(r"[^\n]*\n?")
_END = re.compile(r"[.!?][\"')\]*_]*\s+(?=[\"'(\[*_]*[A-Z0-9{<])")
_ABBREVIATED = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|no|approx)\.$", re.IGNORECASE)
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})
_MARKUP = {**_QUOTES, ord("*"): None, ord("`"): None}


class Phrases:
    """Groups of phrases, compiled."""

    def __init__(self, groups: Groups) -> None:
        """Compile one pattern a group; spaces in a phrase stand for any white space."""
        self._patterns = [re.compile(_any_of(group), re.IGNORECASE) for group in groups]

    def stated_by(self, sentence: str) -> bool:
        """True where the sentence holds a phrase of every group; with no group at all, False.

        >>> Phrases((("refund", "money back"), ("billing",))).stated_by("Refunds go to *billing*.")
        True
        >>> Phrases((("fund",),)).stated_by("Refunds")
        False
        """
        return self.occur_in(sentence.translate(_MARKUP))

    def occur_in(self, plain: str) -> bool:
        """As `stated_by`, of a sentence without its markup."""
        return bool(self._patterns) and all(pattern.search(plain) for pattern in self._patterns)

    def stated_groups(self, sentence: str) -> int:
        """How many groups have a phrase in the sentence."""
        plain = sentence.translate(_MARKUP)
        return sum(1 for pattern in self._patterns if pattern.search(plain))


def _any_of(phrases: tuple[str, ...]) -> str:
    words = (r"\s+".join(map(re.escape, phrase.translate(_QUOTES).split())) for phrase in phrases)
    return rf"(?<![^\W_])(?:{'|'.join(words)})"


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence or bullet of a text, by its span; `text` is what is read (for a bullet, its lead-in too)."""

    start: int
    end: int
    text: str
    bullet: bool = False


@dataclass(frozen=True, slots=True)
class Stated:
    """What a text states."""

    rules: frozenset[str] = frozenset()
    traps: frozenset[str] = frozenset()
    format: bool = False

    @property
    def nothing(self) -> bool:
        """True where nothing at all is stated."""
        return not (self.rules or self.traps or self.format)

    def __or__(self, other: Stated) -> Stated:
        """What either of two texts states."""
        return Stated(self.rules | other.rules, self.traps | other.traps, self.format or other.format)


def units(text: str) -> tuple[Unit, ...]:
    """The sentences of a text in order of their beginning; a bullet of several sentences also as a whole.

    >>> [unit.text for unit in units("Be exact. Answer:" + chr(10) + "- yes" + chr(10) + "- no")]
    ['Be exact.', 'Answer:', 'Answer: yes', 'Answer: no']
    """
    found: list[Unit] = []
    lead = ""
    for start, end in _blocks(text):
        mark = _BULLET.match(text, start, end)
        first = mark.end() if mark else start
        sentences = list(_sentences(text, first, end))
        if mark:
            whole = _trimmed(text, first, end)
            if len(sentences) > 1 and len(whole.text) <= LONGEST_BULLET:
                found.append(Unit(whole.start, whole.end, whole.text, bullet=True))
            prefix = f"{lead} " if lead else ""
            found += [Unit(unit.start, unit.end, prefix + unit.text, bullet=True) for unit in sentences]
        else:
            found += sentences
            lead = sentences[-1].text if sentences and sentences[-1].text.endswith(":") else ""
    return tuple(found)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Paragraphs and bullets as spans; hard-wrapped lines stay together, lines that stand alone do not."""
    start = end = 0
    previous = ""
    for match in _LINE.finditer(text):
        line = match.group().rstrip()
        if not line.strip():
            if end > start:
                yield start, end
            start, end, previous = match.end(), match.end(), ""
            continue
        if end > start and _begins_anew(line, previous):
            yield start, end
            start = match.start()
        elif end <= start:
            start = match.start()
        end, previous = match.start() + len(line), line
    if end > start:
        yield start, end


def _begins_anew(line: str, previous: str) -> bool:
    text = line.lstrip()
    if (
        _BULLET.match(line)
        or text.startswith(("#", "<", "|", "```"))
        or previous.lstrip().startswith(("#", "<", "```"))
    ):
        return True
    return not text[0].islower() and (previous.endswith((".", "!", "?", ":", ";")) or len(previous) < 60)


def _sentences(text: str, start: int, end: int) -> Iterator[Unit]:
    begin = start
    for match in _END.finditer(text, start, end):
        if _ABBREVIATED.search(text[begin : match.start() + 1]):
            continue
        unit = _trimmed(text, begin, match.end())
        if unit.text:
            yield unit
        begin = match.end()
    unit = _trimmed(text, begin, end)
    if unit.text:
        yield unit


def _trimmed(text: str, start: int, end: int) -> Unit:
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    stripped = part.strip()
    return Unit(start + left, start + left + len(stripped), stripped)


class Reader:
    """Tells what texts state in one world.

    Results are kept by text: prompts are read again and again, and a rewrite shares most sentences with its parent.
    """

    def __init__(self, world: World) -> None:
        """Compile the phrases of rules, traps and format."""
        self.world = world
        self._rules = {key: Phrases(rule.shown_by) for key, rule in world.rules.items()}
        self._traps = {key: Phrases(trap.shown_by) for key, trap in world.traps.items()}
        self._format = Phrases(world.format.shown_by) if world.format else None
        self._when = {key: Phrases((rule.when,)) for key, rule in world.rules.items()}
        self.stated = lru_cache(maxsize=2048)(self._stated)
        self.sentence = lru_cache(maxsize=8192)(self._sentence)
        self.at_stake = lru_cache(maxsize=8192)(self._at_stake)

    def _sentence(self, text: str) -> Stated:
        """What one sentence states."""
        plain = text.translate(_MARKUP)
        return Stated(
            frozenset(key for key, phrases in self._rules.items() if phrases.occur_in(plain)),
            frozenset(key for key, phrases in self._traps.items() if phrases.occur_in(plain)),
            self._format is not None and self._format.occur_in(plain),
        )

    def _stated(self, text: str) -> Stated:
        total = Stated()
        for unit in units(text):
            total |= self.sentence(unit.text)
        return total

    def _at_stake(self, inputs: str) -> frozenset[str]:
        """The rules whose `when` phrases occur in a row's inputs."""
        plain = inputs.translate(_MARKUP)
        return frozenset(key for key, phrases in self._when.items() if phrases.occur_in(plain))

    def nearly(self, text: str) -> bool:
        """True for a sentence that reads like a rule but holds one group too few: a rule gone wrong."""
        counts = ((p.stated_groups(text), self.world.rules[key]) for key, p in self._rules.items())
        return any(count == len(rule.shown_by) - 1 > 0 for count, rule in counts)

    def says(self, kind: str, key: str) -> Statement:
        """The statement of a kind (rule, trap or format) and id."""
        if kind == "rule":
            return self.world.rules[key]
        if kind == "trap":
            return self.world.traps[key]
        if self.world.format is None:
            raise LookupError("this world asks for no format")
        return self.world.format


@lru_cache(maxsize=16)
def reader_of(world: World) -> Reader:
    """The reader of a world, made once."""
    return Reader(world)
