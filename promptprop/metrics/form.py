"""The form of an answer: its length, what it has to look like, and whether it comes to the point."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from promptprop.domain.models import Example, Judgement
from promptprop.metrics.backtracking import fullmatch
from promptprop.metrics.base import CodeMetric, MetricOptions, judged, shown
from promptprop.metrics.patterns import TEXT_LIMIT, compile_pattern
from promptprop.metrics.structured import parse_json

_WORD = re.compile(r"\S+")
_SENTENCE = re.compile(r"[^.!?…\n]+[.!?…]*")
_MARKDOWN = re.compile(
    r"^\s{0,3}(?:#{1,6}\s|[-*+]\s|>\s|```|\|)|\*\*[^*\n]+\*\*|`[^`\n]+`|\[[^\[\]\n]+\]\([^)\n]{1,2000}\)",
    re.MULTILINE,
)
_LISTED = re.compile(r"^[^\S\n]*(?:[-*+•]|\d{1,3}[.)])\s+\S", re.MULTILINE)
_PREAMBLE = re.compile(
    r"^\W*(?:sure|certainly|of course|absolutely|great question|good question|okay|ok|well|yes, i can|happy to help|"
    r"thank you for|thanks for|as an ai|i am an ai|i'm an ai|i would say|i think|i believe|in my opinion|"
    r"let me|let's|here is|here's|here are|the answer is|based on|to answer)\b",
    re.IGNORECASE,
)
_HEDGES = re.compile(
    r"\b(?:perhaps|maybe|possibly|it seems|it appears|i think|i believe|i guess|might be|could be|not sure|hard to say|"
    r"it depends|in general|generally speaking|as an ai)\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:let me know|hope (?:this|that) helps|feel free to|if you (?:have|need) any|is there anything else)[^\n]*$",
    re.IGNORECASE,
)


class LengthOptions(MetricOptions):
    """What is counted, and how much of it there should be."""

    unit: Literal["characters", "words", "sentences", "lines"] = Field(default="words", description="What is counted.")
    least: int = Field(default=0, ge=0, description="Fewer cost score.")
    most: int | None = Field(default=None, ge=0, description="More cost score.")
    tolerance: float = Field(
        default=0.5, ge=0, description="Share by which a bound is missed where the score reaches 0; 0: at once."
    )

    @model_validator(mode="after")
    def _bounds(self) -> LengthOptions:
        if self.most is None and not self.least:
            raise ValueError("give least, most or both")
        if self.most is not None and self.most < self.least:
            raise ValueError("most is less than least")
        return self


class Length(CodeMetric[LengthOptions]):
    """1 within the bounds, falling to 0 where a bound is missed by the tolerance."""

    Options = LengthOptions
    sample = "{id: brief, type: length, unit: words, most: 80}"

    def judge(self, output: str, example: Example) -> Judgement:  # noqa: ARG002 - the port's
        """How well the length fits."""
        options = self.options
        count = count_of(output, options.unit)
        if count < options.least:
            return judged(_fit(options.least - count, options.least, options.tolerance),
                          f"{count} {options.unit}, at least {options.least} are wanted")  # fmt: skip
        if options.most is not None and count > options.most:
            return judged(_fit(count - options.most, options.most, options.tolerance),
                          f"{count} {options.unit}, at most {options.most} are wanted")  # fmt: skip
        return judged(1.0)


def count_of(text: str, unit: str) -> int:
    """How many characters, words, sentences or lines that are not blank.

    >>> count_of("One. Two three!", "sentences"), count_of("One. Two three!", "words")
    (2, 3)
    """
    if unit == "characters":
        return len(text)
    if unit == "words":
        return len(_WORD.findall(text))
    if unit == "lines":
        return sum(bool(line.strip()) for line in text.splitlines())
    return sum(any(char.isalnum() for char in found) for found in _SENTENCE.findall(text))


def _fit(missed: int, bound: int, tolerance: float) -> float:
    room = bound * tolerance
    return max(0.0, 1.0 - missed / room) if room else 0.0


class FormOptions(MetricOptions):
    """What the answer has to look like; each rule that is given counts the same."""

    json_only: bool = Field(default=False, description="JSON and nothing else.")
    one_line: bool = Field(default=False, description="One line.")
    no_markdown: bool = Field(default=False, description="No headings, lists, emphasis, code or links.")
    list_items: bool = Field(default=False, description="A list: at least two lines with bullets or numbers.")
    starts_with: str | None = Field(default=None, min_length=1, description="How the answer begins.")
    ends_with: str | None = Field(default=None, min_length=1, description="How the answer ends.")
    matches: str | None = Field(default=None, min_length=1, description="A regular expression for the whole answer.")
    forbids: tuple[str, ...] = Field(default=(), description="Texts that must not occur, in any case.")
    one_of: tuple[str, ...] = Field(default=(), description="The answer is one of these, as it stands.")
    partial: bool = Field(default=False, description="Score the share of rules that hold; else all or nothing.")

    @field_validator("matches")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            compile_pattern(value)
        return value

    @model_validator(mode="after")
    def _some_rule(self) -> FormOptions:
        given = self.model_dump(exclude={"partial", "threshold"})
        if not any(given.values()):
            raise ValueError("give at least one rule, such as one_line: true")
        return self


class Form(CodeMetric[FormOptions]):
    """Whether the answer keeps to a form: bare JSON, one line, no Markdown, a beginning, an ending, a pattern."""

    Options = FormOptions
    sample = "{id: form, type: form, one_line: true, no_markdown: true, gate: true}"

    def __init__(self, metric_id: str, options: FormOptions, folder: Path = Path()) -> None:
        """Compile the pattern once."""
        super().__init__(metric_id, options, folder)
        self._pattern = compile_pattern(options.matches) if options.matches is not None else None

    def judge(self, output: str, example: Example) -> Judgement:  # noqa: ARG002 - the port's
        """1, or what is broken."""
        rules = self._rules(output.strip())
        broken = [said for said, kept in rules if not kept]
        if not broken:
            return judged(1.0)
        score = 1 - len(broken) / len(rules) if self.options.partial else 0.0
        return judged(score, f"{'; '.join(broken)}: {shown(output)}")

    def _rules(self, text: str) -> list[tuple[str, bool]]:
        options, rules = self.options, list[tuple[str, bool]]()
        if options.json_only:
            rules.append(("the answer is not bare JSON", _is_json(text)))
        if options.one_line:
            rules.append(("the answer has more than one line", len(text.splitlines()) <= 1))
        if options.no_markdown:
            rules.append(("the answer holds Markdown", not _MARKDOWN.search(text)))
        if options.list_items:
            rules.append(("the answer is no list", len(_LISTED.findall(text)) >= 2))
        if options.starts_with is not None:
            rules.append((f"the answer does not begin with {shown(options.starts_with, 40)}",
                          text.startswith(options.starts_with)))  # fmt: skip
        if options.ends_with is not None:
            rules.append((f"the answer does not end with {shown(options.ends_with, 40)}",
                          text.endswith(options.ends_with)))  # fmt: skip
        if self._pattern is not None:
            match, reached = fullmatch(self._pattern, text[:TEXT_LIMIT])
            where = "" if reached == len(text) else f" (only its first {reached:,} characters were looked at)"
            fits = match is not None and reached == len(text)
            rules.append((f"the answer does not match {shown(options.matches, 60)}{where}", fits))
        if options.forbids:
            found = [one for one in options.forbids if one.casefold() in text.casefold()]
            rules.append((f"the answer holds {', '.join(shown(one, 40) for one in found[:3])}", not found))
        if options.one_of:
            rules.append((f"the answer is none of {', '.join(shown(one, 30) for one in options.one_of[:6])}",
                          text in options.one_of))  # fmt: skip
        return rules


def _is_json(text: str) -> bool:
    try:
        parse_json(text, lenient=False)
    except ValueError:
        return False
    return True


class DirectnessOptions(MetricOptions):
    """What is taken off."""

    preamble: float = Field(default=0.5, ge=0, le=1, description="For an opening before the answer: Sure! Here is …")
    hedge: float = Field(default=0.15, ge=0, le=1, description="For each hedge: perhaps, it seems, I think …")
    closing: float = Field(default=0.25, ge=0, le=1, description="For an offer at the end: let me know if …")


class Directness(CodeMetric[DirectnessOptions]):
    """1 where an answer comes to the point: no opening, no hedges, no offer at the end. It knows English alone."""

    Options = DirectnessOptions
    sample = "{id: direct, type: directness, weight: 0.2}"

    def judge(self, output: str, example: Example) -> Judgement:  # noqa: ARG002 - the port's
        """1 less what is found."""
        text = output.strip()[:TEXT_LIMIT]
        opening, closing = _PREAMBLE.match(text), _CLOSING.search(text)
        hedges = [match.group() for match in _HEDGES.finditer(text[opening.end() if opening else 0 :])]
        score = 1.0 - self.options.hedge * len(hedges)
        score -= self.options.preamble * bool(opening) + self.options.closing * bool(closing)
        said = [f"it opens with {shown(opening.group().strip(), 40)}"] if opening else []
        said += [f"it hedges: {', '.join(shown(one, 30) for one in hedges[:4])}"] if hedges else []
        said += [f"it ends with {shown(closing.group().strip(), 60)}"] if closing else []
        return judged(max(0.0, score), "; ".join(said)) if score < 1 else judged(1.0)
