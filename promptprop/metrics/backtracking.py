"""How far into a text a regular expression can be matched before that takes too long.

Python's matcher backtracks: where it fails, it has tried every way in which the pattern can begin to match, from every
place, and it cannot be interrupted. Those ways can be counted without walking each of them, since they meet again at
the same place of pattern and text. What comes out depends on pattern and text alone: on every machine it is the same.
"""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeAlias

BUDGET = 300_000_000  # steps of a match, each of about a nanosecond
MOST_LOOKS = 300_000  # of the count itself, each of about a microsecond
MOST_COPIES = 60  # a repetition of more copies counts as one without end
MOST_NODES = 1500  # so do all repetitions of a pattern that has grown to so many places
MOST_WAYS = 20_000  # ways from one place to the next without a character between: more is a pattern to refuse
MOST_STEPS = 5_000_000  # places passed on all such ways of a pattern together, each of about 50 nanoseconds
# nanoseconds of a step, by what is repeated, as measured
_ONCE, _PLAIN, _SET, _CLASS, _TURN, _GROUP = 10, 1, 4, 30, 16, 60

_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "DIGIT": str.isdecimal,
    "SPACE": str.isspace,
    "WORD": lambda char: char.isalnum() or char == "_",
}
Takes: TypeAlias = Callable[[str], bool]


def search(pattern: re.Pattern[str], text: str) -> tuple[re.Match[str] | None, int]:
    """The match that `pattern.search` finds, with how many characters it was looked for in: all, if it can be."""
    ways = ways_of(pattern.pattern, pattern.flags)
    if ways.swift(text):
        return pattern.search(text), len(text)
    first, others = Budget(BUDGET // 2, MOST_LOOKS // 2), Budget(BUDGET // 2, MOST_LOOKS // 2)
    for begin in ways.beginnings(text):  # one by one, since a match ends the search, which no count can tell
        if ways.reach(text, begin, first, anywhere=False) < len(text):
            reached = ways.reach(text, begin, others)
            match = pattern.search(text, begin, reached)
            # what is cut off may have to be empty, or is looked at: then a match that ends at the cut may be none
            false = match is not None and match.end() == reached < len(text) and ways.looks_ahead
            return (None if false else match), reached
        match = pattern.match(text, begin)
        if match is not None:
            return match, len(text)
    return None, len(text)


def fullmatch(pattern: re.Pattern[str], text: str) -> tuple[re.Match[str] | None, int]:
    """The match of the whole text, with how many characters of it can be looked at: with fewer than all, None."""
    ways = ways_of(pattern.pattern, pattern.flags)
    reached = len(text) if ways.swift(text) else ways.reach(text, 0, Budget(BUDGET, MOST_LOOKS), anywhere=False)
    return (pattern.fullmatch(text) if reached == len(text) else None), reached


@dataclass(slots=True)
class Budget:
    """What is left to spend: steps of the match, and looks of the count itself."""

    steps: int
    looks: int


class Tangled(ValueError):
    """A pattern can go on in so many ways that no text is short enough for it."""


@dataclass(slots=True)
class _Node:
    """A place in the pattern: it takes a character, or asks where it stands, or leads on in one or several ways."""

    leads: tuple[int, ...] = ()
    takes: Takes | None = None
    asks: str = ""
    weight: int = 0
    known: dict[str, bool] = field(default_factory=dict)


class Ways:
    """The ways through a pattern, and how many steps they come to on a text."""

    def __init__(self, pattern: str, flags: int) -> None:
        """Lay out the pattern, which compiles. Raises Tangled."""
        tree = parser().parse(pattern, flags)
        self._flags = tree.state.flags
        self._nodes = [_Node()]  # the end
        self._known: dict[tuple[int, tuple[bool, ...]], Mapping[int, int]] = {}
        self._deepest = 0  # repetitions of one character; more than those of a group is more than can be told so
        self.looks_ahead = False  # beyond what it takes: at the end, or at what must follow
        self._begin = self._sequence(tree, self._flags, 0, 0)
        self._asking = any(node.asks for node in self._nodes)
        self._left: float = MOST_STEPS
        for number in range(len(self._nodes)):
            self._onwards(number, _ANYWHERE)
        self._left = math.inf  # on a text, the ways are those that were counted here, or fewer

    def swift(self, text: str) -> bool:
        """True where no count is needed to tell that the whole text fits the budget."""
        return bool(len(text) ** (self._deepest + 1) * _CLASS <= BUDGET)

    def beginnings(self, text: str) -> Iterator[int]:
        """The places at which a match may begin."""
        places = _places(text) if self._asking else None
        for position, char in enumerate(text):
            onwards = self._onwards(self._begin, places[position] if places else _ANYWHERE)
            if 0 in onwards or any(_taken(self._nodes[number], char) for number in onwards):
                yield position
        yield len(text)

    def reach(self, text: str, begin: int, budget: Budget, *, anywhere: bool = True) -> int:
        """How far the text can be matched from `begin`, or from there and `anywhere` behind; the budget is spent.

        That is the length of the text where all of it can.
        """
        places = _places(text) if self._asking else None
        here = places[begin] if places else _ANYWHERE
        waiting: dict[int, int] = {}
        for position in range(begin, len(text)):
            if anywhere or position == begin:
                for number, ways in self._onwards(self._begin, here).items():
                    waiting[number] = waiting.get(number, 0) + ways
            elif not waiting:
                break
            here = places[position + 1] if places else _ANYWHERE
            after: dict[int, int] = {}
            for number, ways in waiting.items():
                node = self._nodes[number]
                budget.steps -= ways * node.weight
                if _taken(node, text[position]):
                    for further, more in self._onwards(node.leads[0], here).items():
                        after[further] = after.get(further, 0) + ways * more
            budget.looks -= len(waiting)
            if budget.steps < 0 or budget.looks < 0:
                return position
            waiting = after
        return len(text)

    def _onwards(self, number: int, here: tuple[bool, ...]) -> Mapping[int, int]:
        """The places that take the next character, or the end, each with how many ways lead to it. Raises Tangled."""
        found = self._known.get((number, here))
        if found is None:
            counts: dict[int, int] = {}
            left = MOST_WAYS
            pending: list[tuple[int, frozenset[int]]] = [(number, frozenset())]
            while pending:
                left -= 1
                place, passed = pending.pop()
                self._left -= len(passed)
                if not left or self._left < 0:
                    raise Tangled("it repeats choices that come to the same in too many ways")
                node = self._nodes[place]
                if node.takes is not None or not place:
                    counts[place] = counts.get(place, 0) + 1
                elif not node.asks or here[_PLACES.index(node.asks)]:
                    # no iteration is empty, so that no way leads through one place twice
                    pending += [(lead, passed | {lead}) for lead in node.leads if lead not in passed]
            found = self._known[number, here] = counts
        return found

    def _new(self, node: _Node) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _sequence(self, sequence: Any, flags: int, then: int, weight: int) -> int:
        """Lay out a sequence before `then`; `weight` is that of a step in the repetition around it, 0 without one."""
        follower = ""
        for item in reversed(list(sequence)):
            operator, argument = str(item[0]), item[1]
            if operator.endswith("_REPEAT"):
                then = self._repeat(argument, flags, then, max(weight, _weight_of(list(argument[2]), follower)))
            else:
                then = self._item(operator, argument, flags, then, weight)
            follower = operator
        return then

    def _item(self, operator: str, argument: Any, flags: int, then: int, weight: int) -> int:
        if operator in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            return self._new(_Node((then,), takes=_takes(operator, argument, flags), weight=weight or _ONCE))
        if operator == "GROUPREF":  # whatever was taken before
            return self._repeat((0, MOST_COPIES + 1, [("ANY", None)]), flags | re.DOTALL, then, weight or _ONCE)
        if operator == "SUBPATTERN":
            _, added, removed, body = argument
            return self._sequence(body, (flags | added) & ~removed, then, weight)
        if operator == "ATOMIC_GROUP":
            return self._sequence(argument, flags, then, weight)
        if operator in ("BRANCH", "GROUPREF_EXISTS"):
            choices = argument[1] if operator == "BRANCH" else argument[1:]
            return self._new(_Node(tuple(self._sequence(one or (), flags, then, weight) for one in choices)))
        if operator in ("ASSERT", "ASSERT_NOT"):
            direction, body = argument
            self.looks_ahead |= direction > 0
            # looked at and left: those ways end there; what lies behind is of a fixed length
            return then if direction < 0 else self._new(_Node((self._sequence(body, flags, 0, weight), then)))
        if operator == "AT":
            self.looks_ahead |= "BEGINNING" not in str(argument)
            return self._new(_Node((then,), asks=_asked(str(argument), flags)))
        return then  # what can never match

    def _repeat(self, argument: Any, flags: int, then: int, weight: int) -> int:
        least, most, body = int(argument[0]), int(argument[1]), list(argument[2])
        if len(body) == 1 and str(body[0][0]) == "GROUPREF":  # as often as it may be, it is no more than any text
            return self._item("GROUPREF", None, flags, then, weight)
        if least != most:
            self._deepest += 1 if weight < _GROUP else 99
        endless = most > MOST_COPIES or len(self._nodes) > MOST_NODES
        if endless:
            loop = self._new(_Node())
            self._nodes[loop].leads = (self._sequence(body, flags, loop, weight), then)
            then = loop
        else:
            for _ in range(most - least):
                then = self._new(_Node((self._sequence(body, flags, then, weight), then)))
        for _ in range(min(least, 1 if endless else MOST_COPIES)):
            then = self._sequence(body, flags, then, weight)
        return then


_PLACES = ("BEGINNING", "BEGINNING_LINE", "END", "END_LINE", "BOUNDARY", "NON_BOUNDARY")
_ANYWHERE = (True,) * len(_PLACES)


@lru_cache(maxsize=2)
def _places(text: str) -> list[tuple[bool, ...]]:
    """What holds before each character and at the end, in the order of `_PLACES`."""
    found: list[tuple[bool, ...]] = []
    word, last = False, len(text.removesuffix("\n"))
    for position, char in enumerate(f"{text}\n"):
        was, word = word, position < len(text) and _CATEGORIES["WORD"](char)
        line = not position or text[position - 1] == "\n"
        found.append((not position, line, position >= last, char == "\n", was != word, was == word))
    return found


def _asked(code: str, flags: int) -> str:
    name = code.removeprefix("AT_").removesuffix("_STRING")
    return f"{name}_LINE" if flags & re.MULTILINE and code in ("AT_BEGINNING", "AT_END") else name


def _taken(node: _Node, char: str) -> bool:
    known = node.known.get(char)
    if known is None and node.takes is not None:
        known = node.known[char] = node.takes(char)
    return bool(known)


def _weight_of(body: Sequence[Any], follower: str) -> int:
    """What a step costs in a repetition of this: one character before a literal is gone over without a turn."""
    if len(body) != 1:
        return _GROUP
    operator, argument = str(body[0][0]), body[0][1]
    turn = 0 if follower in ("LITERAL", "") else _TURN
    if operator == "IN":
        return turn + (_CLASS if any(str(kind) == "CATEGORY" for kind, _ in argument) else _SET)
    return turn + _PLAIN if operator in ("LITERAL", "NOT_LITERAL", "ANY") else _GROUP


def _takes(operator: str, argument: Any, flags: int) -> Takes:
    """Whether a character is one of those that this item of the pattern stands for."""
    if operator == "ANY":
        return lambda char: char != "\n" or bool(flags & re.DOTALL)
    if operator == "LITERAL":
        return lambda char: chr(argument) in _forms(char, flags)
    if operator == "NOT_LITERAL":
        return lambda char: chr(argument) not in _forms(char, flags)
    negated = str(argument[0][0]) == "NEGATE"
    return lambda char: any(_is_in(form, argument) for form in _forms(char, flags)) != negated


def _is_in(char: str, items: Sequence[Any]) -> bool:
    for kind, value in items:
        if str(kind) == "LITERAL" and ord(char) == value:
            return True
        if str(kind) == "RANGE" and value[0] <= ord(char) <= value[1]:
            return True
        if str(kind) == "CATEGORY":
            name = str(value).removeprefix("CATEGORY_")
            if _CATEGORIES[name.removeprefix("NOT_")](char) != name.startswith("NOT_"):
                return True
    return False


def _forms(char: str, flags: int) -> tuple[str, ...]:
    if not flags & re.IGNORECASE:
        return (char,)
    return (char, *(form for form in (char.lower(), char.upper()) if len(form) == 1))


@lru_cache(maxsize=128)
def ways_of(pattern: str, flags: int) -> Ways:
    """The ways through a pattern that compiles. Raises Tangled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Ways(pattern, flags)


def parser() -> Any:
    """The parser of `re`. It moved in Python 3.11; neither name is public, and there is no other."""
    return import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
