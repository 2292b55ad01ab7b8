"""Numbers in texts, and the metric that compares them. Decimal throughout, so that 12.3 % equals 0.123."""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from pydantic import Field

from promptprop.domain.models import Example, Json, Judgement
from promptprop.metrics.base import UNEXPECTED, CodeMetric, MetricOptions, judged, shown

_CURRENCY = "[$€£¥₹]|USD|EUR|GBP|JPY|CHF|INR"
_LARGEST = 1e300


@lru_cache(maxsize=2)
def _number(decimal: str) -> re.Pattern[str]:
    """The pattern of a number; a thousands separator counts only between groups of three digits."""
    group = "[,'_\u2019\u00a0\u202f\u2009]" if decimal == "." else "[.'_\u2019\u00a0\u202f\u2009]"
    point = re.escape(decimal)
    return re.compile(
        rf"(?<![\w.])(?P<sign>[-+]?)(?:(?:{_CURRENCY})\s?)?(?P<late>[-+]?)"
        rf"(?P<whole>\d{{1,3}}(?:{group}\d{{3}})+(?!\d)|\d+|(?={point}\d))"
        rf"(?:{point}(?P<part>\d+))?(?P<power>e[-+]?\d+)?(?P<percent>\s?%)?",
        re.ASCII | re.IGNORECASE,
    )


def find_numbers(text: str, decimal: Literal[".", ","] = ".", percent: bool = False) -> list[Decimal]:
    """The numbers written in a text, in order: thousands separators, currency signs, % and exponents are understood.

    With `percent`, 12 % is 0.12. A hyphen after a digit or letter is no sign. Numbers beyond 1e300 come as infinity.

    >>> [str(n) for n in find_numbers("from $1,234.50 to −3 by 2024-01-02")]
    ['1234.50', '-3', '2024', '1', '2']
    """
    found = []
    # NFKC turns full-width digits into plain ones; the no-break spaces that it would lose are separators.
    plain = unicodedata.normalize("NFKC", text.replace("\u00a0", "_").replace("\u202f", "_").replace("\u2009", "_"))
    for match in _number(decimal).finditer(plain.replace("−", "-")):
        whole = re.sub(r"\D", "", match["whole"], flags=re.ASCII) or "0"
        part = f".{match['part']}" if match["part"] else ""
        literal = f"{match['sign'] or match['late']}{whole}{part}{match['power'] or ''}"
        found.append(_decimal(literal, percent and match["percent"] is not None))
    return found


def _decimal(literal: str, hundredth: bool) -> Decimal:
    size = float(literal)
    if abs(size) > _LARGEST:
        return Decimal("Infinity").copy_sign(Decimal(1 if size > 0 else -1))
    if size == 0:
        return Decimal(0)
    value = Decimal(literal)
    return value / 100 if hundredth else value


def number_of(value: Json, decimal: Literal[".", ","] = ".", percent: bool = False) -> Decimal | None:
    """A JSON number, or the only number in a text, as a finite Decimal; None for anything else (true is no number)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return Decimal(str(value)) if abs(value) <= _LARGEST else None
    if isinstance(value, str):
        found = find_numbers(value, decimal, percent)
        if len(found) == 1 and found[0].is_finite():
            return found[0]
    return None


def closeness(got: Decimal, expected: Decimal, absolute: float, relative: float, linear: float | None) -> float:
    """1 within the larger tolerance; beyond it 0, or with `linear` the share of the way left to that relative error.

    >>> closeness(Decimal(11), Decimal(10), 0, 0, 0.2)
    0.5
    """
    error = abs(got - expected)
    tolerance = max(Decimal(str(absolute)), Decimal(str(relative)) * abs(expected))
    if error <= tolerance:
        return 1.0
    if linear is None:
        return 0.0
    zero = Decimal(str(linear)) * (abs(expected) or 1)
    return float(min(Decimal(1), max(Decimal(0), (zero - error) / (zero - tolerance)))) if zero > tolerance else 0.0


class NumericOptions(MetricOptions):
    """Which number of the answer counts, and how near it must be."""

    take: Literal["last", "first", "only"] = Field(
        default="last", description="Which number of the answer counts; `only` refuses answers with several."
    )
    absolute: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Absolute error that is tolerated.")
    relative: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Error that is tolerated, as a share of the expected number.",
    )
    linear: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Partial credit: the relative error (absolute where 0 is expected) at which the score has fallen "
        "in a straight line to 0; without it an answer scores 1 or 0.",
    )
    decimal: Literal[".", ","] = Field(default=".", description="The decimal sign; the other one separates thousands.")
    percent: bool = Field(default=False, description="Read 12 % as 0.12; else as 12.")


class Numeric(CodeMetric[NumericOptions]):
    """1 if the number in the answer is near enough to the expected one.

    Reads thousands separators, currency signs, percent signs and exponents. The expected answer is a number, a text
    with one number, or a list of acceptable ones. Infinity and NaN are refused. Units and fractions are not converted.
    """

    Options = NumericOptions
    needs_expected = True
    sample = "{id: total, type: numeric, relative: 0.01, linear: 0.1}"

    def judge(self, output: str, example: Example) -> Judgement:
        """The closeness to the nearest acceptable number; None where the row expects no finite number."""
        if example.expected is None:
            return UNEXPECTED
        options = self.options
        wanted = example.expected if isinstance(example.expected, list | tuple) else [example.expected]
        numbers = [number_of(value, options.decimal, options.percent) for value in wanted]
        acceptable = [number for number in numbers if number is not None]
        if not acceptable:
            return judged(None, f"the expected answer {shown(example.expected)} is not one finite number")
        named = " or ".join(f"{number:,}" for number in acceptable[:3])
        found = find_numbers(output, options.decimal, options.percent)
        if not found:
            return judged(0.0, f"expected the number {named}; the answer has no number: {shown(output)}")
        if options.take == "only" and len(found) > 1:
            return judged(0.0, f"expected only the number {named}; the answer has {len(found)}: {shown(output)}")
        got = found[0] if options.take == "first" else found[-1]
        if not got.is_finite():
            return judged(0.0, f"expected {named}; the answer's number is too large to be one: {shown(output)}")
        score = max(closeness(got, n, options.absolute, options.relative, options.linear) for n in acceptable)
        if score == 1.0:
            return judged(1.0)
        error = min(abs(got - number) for number in acceptable)
        which = f" ({options.take} of {len(found)} numbers)" if len(found) > 1 else ""
        return judged(score, f"expected {named}, got {got:,}{which}, off by {error:,}; in {shown(output)}")
