"""Regular expressions as a metric, and the guard against those that could run for ever.

Python's matcher backtracks, and it cannot be interrupted. So the text is cut to `TEXT_LIMIT`, and where a pattern would
take long to fail on it, further (`backtracking`); and a repetition inside a repetition that can split one text in
exponentially many ways is refused when it is compiled.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from promptprop.domain.models import Example, Judgement
from promptprop.metrics.backtracking import Tangled, fullmatch, parser, search, ways_of
from promptprop.metrics.base import UNEXPECTED, CodeMetric, MetricOptions, acceptable, judged, shown

TEXT_LIMIT = 20_000
LONGEST_PATTERN = 10_000
# Representatives of the classes that patterns tell apart; overlap is decided on them.
_ALPHABET = [chr(code) for code in range(256)] + list("äßøЖяλ中あ٣‘’“”–…€\u2028\ud800\U0001f600")
_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "DIGIT": str.isdigit,
    "SPACE": str.isspace,
    "WORD": lambda char: char.isalnum() or char == "_",
}


@lru_cache(maxsize=512)
def compile_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a pattern. Raises ValueError, with a sentence, if it is not one or may take exponential time."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(
            f"`{pattern[:80]}…` has {len(pattern):,} characters, and a pattern at most {LONGEST_PATTERN:,}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern, flags)
            tree = parser().parse(pattern, flags)
            ways_of(pattern, compiled.flags)
    except Tangled as error:
        raise ValueError(f"`{pattern[:80]}` can take exponential time on any answer: {error}") from error
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"`{pattern[:80]}` is not a regular expression: {error}") from error
    if any(_explodes(body, compiled.flags) for body in _loops(tree)):
        raise ValueError(
            f"`{pattern[:80]}` repeats a repetition, which can take exponential time on some answers; "
            "make the parts of the inner group unable to match the same text, as in (?:\\w+\\s)* or (?:,\\w+)*"
        )
    return compiled


def _unbounded(node: Any) -> bool:
    operator, argument = node
    return str(operator) in ("MAX_REPEAT", "MIN_REPEAT") and int(argument[1]) > 50


def _children(node: Any) -> Iterator[Any]:
    """The sequences that stand below a node of the parse tree."""
    operator, argument = str(node[0]), node[1]
    if operator in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        yield argument[2]
    elif operator == "SUBPATTERN":
        yield argument[3]
    elif operator == "BRANCH":
        yield from argument[1]
    elif operator in ("ASSERT", "ASSERT_NOT"):
        yield argument[1]
    elif operator == "ATOMIC_GROUP":
        yield argument
    elif operator == "GROUPREF_EXISTS":
        yield from (part for part in argument[1:] if part is not None)


def _loops(sequence: Any) -> Iterator[Any]:
    """The bodies of all unbounded repetitions."""
    for node in sequence:
        if _unbounded(node):
            yield node[1][2]
        for child in _children(node):
            yield from _loops(child)


def _explodes(body: Any, flags: int) -> bool:
    """True if a repetition inside this repeated body can be cut into iterations at any of its characters.

    That is so where all that stands before and after it within the body can match characters of the inner repetition,
    or nothing: then `aaaa` is one iteration, or two, or four.
    """
    return any(
        bool(chars) and all(_within(node, chars, flags) for node in rest)
        for chars, rest in _inner_loops(body, [], flags)
    )


def _inner_loops(sequence: Any, around: list[Any], flags: int) -> Iterator[tuple[frozenset[str], list[Any]]]:
    """Each inner unbounded repetition's characters, with the nodes that stand around it in the outer body."""
    nodes = list(sequence)
    for position, node in enumerate(nodes):
        rest = around + nodes[:position] + nodes[position + 1 :]
        if _unbounded(node):
            yield _characters(node[1][2], flags), rest
        if str(node[0]) in ("SUBPATTERN", "BRANCH", "MAX_REPEAT", "MIN_REPEAT"):
            for child in _children(node):
                yield from _inner_loops(child, rest, flags)


def _within(node: Any, chars: frozenset[str], flags: int) -> bool:
    """True if the node can match nothing, or some text made of `chars` alone."""
    operator, argument = str(node[0]), node[1]
    if operator in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and int(argument[0]) == 0:
        return True
    if operator == "BRANCH":
        return any(all(_within(part, chars, flags) for part in branch) for branch in argument[1])
    if operator in ("AT", "ASSERT", "ASSERT_NOT", "GROUPREF", "GROUPREF_EXISTS"):
        return True
    below = list(_children(node))
    if below:
        return all(_within(part, chars, flags) for sequence in below for part in sequence)
    return bool(_single(node, flags) & chars)


def _characters(sequence: Any, flags: int) -> frozenset[str]:
    """All characters that a sequence can match at some place."""
    found: frozenset[str] = frozenset()
    for node in sequence:
        found |= _single(node, flags)
        for child in _children(node):
            found |= _characters(child, flags)
    return found


def _single(node: Any, flags: int) -> frozenset[str]:
    """The characters of the alphabet that a node for one character matches; empty for other nodes."""
    operator, argument = str(node[0]), node[1]
    if operator == "ANY":
        return frozenset(_ALPHABET) - (frozenset() if flags & re.DOTALL else frozenset("\n"))
    if operator == "LITERAL":
        return _folded({chr(argument)}, flags)
    if operator == "NOT_LITERAL":
        return frozenset(_ALPHABET) - _folded({chr(argument)}, flags)
    if operator != "IN":
        return frozenset()
    found: set[str] = set()
    for kind, value in argument:
        if str(kind) == "LITERAL":
            found.add(chr(value))
        elif str(kind) == "RANGE":
            found.update(char for char in _ALPHABET if value[0] <= ord(char) <= value[1])
        elif str(kind) == "CATEGORY":
            name = str(value).removeprefix("CATEGORY_")
            test = _CATEGORIES[name.removeprefix("NOT_")]
            found.update(char for char in _ALPHABET if test(char) != name.startswith("NOT_"))
    chars = _folded(found, flags)
    return frozenset(_ALPHABET) - chars if str(argument[0][0]) == "NEGATE" else chars


def _folded(chars: set[str], flags: int) -> frozenset[str]:
    return frozenset(
        {form for char in chars for form in (char, char.lower(), char.upper())} if flags & re.IGNORECASE else chars
    )


class RegexOptions(MetricOptions):
    """The pattern, and how it is matched."""

    pattern: str | None = Field(
        default=None,
        description="The regular expression; without it, the row's expected answer (or any of a list) is one.",
    )
    mode: Literal["search", "fullmatch"] = Field(
        default="search", description="Whether the pattern may match anywhere, or must match the whole stripped answer."
    )
    ignore_case: bool = Field(default=False, description="Ignore upper and lower case.")
    multiline: bool = Field(default=False, description="`^` and `$` match at each line.")
    dotall: bool = Field(default=False, description="`.` matches line breaks too.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            compile_pattern(value)
        return value


class Regex(CodeMetric[RegexOptions]):
    """1 if a regular expression matches the answer, else 0. Only the first 20,000 characters are looked at.

    A pattern that repeats a repetition in an ambiguous way, such as `(a+)+`, is refused: it could run for ever. One
    that is slow to fail on long lines, such as `.*a.*b`, is looked for in fewer characters there; the feedback tells in
    how many.
    """

    Options = RegexOptions
    sample = "{id: ticket, type: regex, pattern: 'T-[0-9]{5}', mode: fullmatch}"

    def __init__(self, metric_id: str, options: RegexOptions, folder: Path = Path()) -> None:
        """Settle the flags once."""
        super().__init__(metric_id, options, folder)
        flags = {re.IGNORECASE: options.ignore_case, re.MULTILINE: options.multiline, re.DOTALL: options.dotall}
        self._flags = sum(int(flag) for flag, chosen in flags.items() if chosen)

    @property
    def judges_without_expected(self) -> bool:
        """True with `pattern`."""
        return self.options.pattern is not None

    def judge(self, output: str, example: Example) -> Judgement:
        """1 or 0; None where the row brings no pattern, or one that cannot be used."""
        patterns = [self.options.pattern] if self.options.pattern is not None else acceptable(example.expected)
        if not patterns:
            return UNEXPECTED
        text = output[:TEXT_LIMIT]
        if self.options.mode == "fullmatch":
            text = text.strip()
        look, least = (fullmatch if self.options.mode == "fullmatch" else search), len(text)
        for pattern in patterns:
            try:
                compiled = compile_pattern(pattern, self._flags)
            except ValueError as error:
                return judged(None, f"the row's expected pattern cannot be used: {error}")
            match, reached = look(compiled, text)
            if match is not None:
                return judged(1.0)
            least = min(least, reached)
        wanted = " or ".join(shown(pattern, 60) for pattern in patterns[:3])
        manner = "is not wholly" if self.options.mode == "fullmatch" else "has no part"
        cut = f" (first {least:,} characters)" if least < len(text) or len(output) > TEXT_LIMIT else ""
        return judged(0.0, f"the answer{cut} {manner} of the form {wanted}; got {shown(output)}")
