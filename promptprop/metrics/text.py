"""Metrics on plain text: equality in a chosen normal form, and containment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from promptprop.domain.models import Example, Judgement
from promptprop.metrics.backtracking import search
from promptprop.metrics.base import UNEXPECTED, CodeMetric, MetricOptions, acceptable, judged, listed, shown
from promptprop.metrics.normalise import LOOSEST, NormalOptions, normalise
from promptprop.metrics.patterns import TEXT_LIMIT, compile_pattern

_WORD = re.compile(r"\w")
_COMPARED = 1_000_000  # characters that are looked through to tell what is wrong with an answer


class ExactOptions(NormalOptions):
    """What of the answer is compared, and which differences do not count."""

    first_line: bool = Field(default=False, description="Compare only the first line of the answer that is not blank.")
    extract: str | None = Field(
        default=None,
        description="A regular expression: compare only its first group (or the whole match) in the answer.",
    )

    @field_validator("extract")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            compile_pattern(value)
        return value


class Exact(CodeMetric[ExactOptions]):
    """1 if the answer equals the expected one (or one of a list), else 0. By default only outer white space is ignored.

    The feedback tells when the right answer differs in format only, or stands inside a longer text.
    """

    Options = ExactOptions
    needs_expected = True
    sample = "{id: label, type: exact, casefold: true, extract: 'Answer: (.*)'}"

    def __init__(self, metric_id: str, options: ExactOptions, folder: Path = Path()) -> None:
        """Compile the pattern once."""
        super().__init__(metric_id, options, folder)
        self._extract = compile_pattern(options.extract) if options.extract is not None else None

    def judge(self, output: str, example: Example) -> Judgement:
        """1 or 0; None where the row expects nothing."""
        answers = acceptable(example.expected)
        if not answers:
            return UNEXPECTED
        got, reached = self._part(output)
        if got is None:
            where = "" if len(output) == reached else f" in its first {reached:,} characters"
            pattern = shown(self.options.extract, 60)
            return judged(0.0, f"expected {listed(answers)}; the answer has no part{where} like {pattern}: "
                               f"{shown(output)}")  # fmt: skip
        normal = normalise(got, self.options)
        if any(normal == normalise(answer, self.options) for answer in answers):
            return judged(1.0)
        return judged(0.0, _difference(got, answers))

    def _part(self, output: str) -> tuple[str | None, int]:
        """What is compared, and in how many characters it was looked for."""
        if self._extract:
            match, reached = search(self._extract, output[:TEXT_LIMIT])
            if match is None:
                return None, reached
            return (match.group(1) or "") if self._extract.groups else match.group(), reached
        if self.options.first_line:
            return next((line for line in output.splitlines() if line.strip()), ""), len(output)
        return output, len(output)


def _difference(got: str, answers: list[str]) -> str:
    """What a critic should know about a wrong answer: format only, right but buried, or simply wrong."""
    if not got.strip():
        return f"expected {listed(answers)}, but the answer is empty"
    loose = normalise(got, LOOSEST)
    for answer in answers[: max(1, _COMPARED // max(1, len(loose)))]:
        wanted = normalise(answer, LOOSEST)
        if loose == wanted:
            return f"only the format differs: expected {shown(answer)}, got {shown(got)}"
        if wanted and _stands_in(wanted, loose):
            return f"the right answer {shown(answer)} stands inside a longer text, and nothing else was expected: {shown(got)}"  # noqa: E501
    return f"expected {listed(answers)}, got {shown(got)}"


def _stands_in(value: str, text: str) -> bool:
    """True if `value`, which is not empty, occurs in `text` and no word goes on before or behind it."""
    # not one pattern of the whole value: that compares it anew from each place where texts repeat themselves
    for begin in re.finditer(rf"(?<!\w){re.escape(value[0])}", text):
        if text.startswith(value, begin.start()) and not _WORD.match(text, begin.start() + len(value)):
            return True
    return False


class ContainsOptions(MetricOptions):
    """What must stand in the answer, and how it is looked for."""

    values: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Texts to look for; without them, the row's expected answer or answers."
    )
    match: Literal["any", "all"] = Field(
        default="any", description="Whether one of the texts suffices or all must occur."
    )
    casefold: bool = Field(default=False, description="Ignore upper and lower case.")
    words: bool = Field(default=False, description="Count whole words only: `art` does not stand in `start`.")
    partial: bool = Field(default=False, description="With `match: all`, score the share of the texts that occur.")

    @field_validator("values")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value and not all(value):
            raise ValueError("an empty text stands in every answer")
        return value


class Contains(CodeMetric[ContainsOptions]):
    """1 if the answer contains the expected text (any or all of a list), or the texts given as `values`."""

    Options = ContainsOptions
    sample = "{id: courtesy, type: contains, values: [please, thank you], casefold: true}"

    @property
    def judges_without_expected(self) -> bool:
        """True with `values`."""
        return self.options.values is not None

    def judge(self, output: str, example: Example) -> Judgement:
        """The share found, or 1 and 0; None where there is nothing to look for."""
        options = self.options
        wanted = list(options.values) if options.values is not None else acceptable(example.expected)
        wanted = list(dict.fromkeys(value for value in wanted if value))
        if not wanted:
            return UNEXPECTED
        missing = [value for value in wanted if not self._found(value, output)]
        if not missing or (options.match == "any" and len(missing) < len(wanted)):
            return judged(1.0)
        score = 1 - len(missing) / len(wanted) if options.match == "all" and options.partial else 0.0
        named = ", ".join(shown(value, 40) for value in missing[:4]) + (", …" if len(missing) > 4 else "")
        head = "none of the expected texts occurs" if options.match == "any" else "expected texts are missing"
        return judged(score, f"{head}: {named}; got {shown(output)}")

    def _found(self, value: str, output: str) -> bool:
        if self.options.casefold:
            value, output = value.casefold(), output.casefold()
        return _stands_in(value, output) if self.options.words else value in output
