"""Comparing JSON objects field by field."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from promptprop.domain.models import Example, Json, Judgement, text_of
from promptprop.metrics.base import UNEXPECTED, CodeMetric, MetricOptions, judged, shown
from promptprop.metrics.normalise import NormalOptions, normalise
from promptprop.metrics.numbers import closeness, number_of
from promptprop.metrics.structured import parse_json, shallow
from promptprop.metrics.validator import identity

Kind = Literal["exact", "casefold", "numeric", "date", "set", "ignore"]
_LOOSE = NormalOptions(casefold=True, collapse_whitespace=True)
_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)|(\d{4})(\d{2})(\d{2})(?!\d)", re.ASCII)


class FieldRule(BaseModel):
    """How one field is compared, and how much it counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    compare: Kind = Field(
        default="exact",
        description="`exact`: equal JSON values; `casefold`: equal texts but for case and white space; `numeric`: "
        "equal within the tolerances; `date`: the same day; `set`: the share of items in common, in any order; "
        "`ignore`: not compared.",
    )
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False, description="How much the field counts.")
    absolute: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="For `numeric`: absolute tolerance.")
    relative: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="For `numeric`: tolerance as a share of the expected number.",
    )
    formats: tuple[str, ...] = Field(
        default=(), description="For `date`: further formats in the notation of strptime, such as `%d.%m.%Y`."
    )


class JsonFieldsOptions(MetricOptions):
    """Which fields are compared how."""

    fields: dict[str, Kind | FieldRule] = Field(
        default_factory=dict,
        description="Rules by dotted path (`customer.city`, `items.0.sku`): a kind of comparison, or a map "
        "of the keys below.",
    )
    default: Kind = Field(default="exact", description="How the fields that no rule names are compared.")
    extra: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Taken off the score for each field that the answer has and the row does not expect.",
    )
    lenient: bool = Field(
        default=False, description="Accept JSON in a fenced block or within other text; else the answer must be JSON."
    )

    @field_validator("fields")
    @classmethod
    def _as_rules(cls, value: dict[str, Kind | FieldRule]) -> dict[str, Kind | FieldRule]:
        return {path: rule if isinstance(rule, FieldRule) else FieldRule(compare=rule) for path, rule in value.items()}


@dataclass(slots=True)
class _Tally:
    """What the walk over expected and given values has found so far."""

    total: float = 0.0
    right: float = 0.0
    wrong: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)


_ABSENT = object()


class JsonFields(CodeMetric[JsonFieldsOptions]):
    """The weighted share of the expected JSON object's fields that the answer has right.

    The row's expected answer is an object (or a text that holds one). Objects within it are compared field by field,
    lists as a whole unless a rule looks into them; an absent field equals null. The feedback names the wrong fields.
    """

    Options = JsonFieldsOptions
    needs_expected = True
    sample = (
        "{id: order, type: json_fields, fields: {total: {compare: numeric, absolute: 0.01, weight: 2}, note: ignore}}"
    )

    def judge(self, output: str, example: Example) -> Judgement:
        """The weighted share of right fields; None where the row expects no object."""
        if example.expected is None:
            return UNEXPECTED
        expected = _object_of(example.expected)
        if not expected:
            return judged(None, f"the expected answer {shown(example.expected)} is not a JSON object with fields")
        try:
            got = parse_json(output, self.options.lenient)
        except ValueError as error:
            return judged(0.0, f"{error}; got {shown(output)}")
        if not isinstance(got, dict):
            return judged(0.0, f"expected a JSON object with {', '.join(expected)[:100]}; got {shown(output)}")
        tally = _Tally()
        self._walk("", expected, got, tally)
        if not tally.total:
            return judged(None, "no field of this row can be compared under the rules")
        score = max(0.0, min(1.0, tally.right / tally.total) - self.options.extra * len(tally.extra))
        parts = [f"{len(tally.wrong)} wrong: " + "; ".join(tally.wrong[:5])] if tally.wrong else []
        if tally.extra and self.options.extra:
            parts.append("not expected: " + ", ".join(tally.extra[:5]))
        return judged(score, ". ".join(parts))

    def _walk(self, path: str, expected: Json, got: Json, tally: _Tally) -> None:
        """Compare at a rule or a leaf, else go down."""
        rule = self.options.fields.get(path) if path else None
        if rule is None and isinstance(expected, Mapping) and expected:
            given = got if isinstance(got, Mapping) else {}
            for key, value in expected.items():
                self._walk(_joined(path, key), value, given.get(key, _ABSENT), tally)
            extra = [_joined(path, key) for key in given if key not in expected]
            tally.extra += [name for name in extra if not self._ignored(name)]
        elif rule is None and isinstance(expected, list) and self._looked_into(path):
            for index, value in enumerate(expected):
                inside = got[index] if isinstance(got, list) and index < len(got) else _ABSENT
                self._walk(_joined(path, str(index)), value, inside, tally)
        else:
            rule = rule if isinstance(rule, FieldRule) else FieldRule(compare=self.options.default)
            _compare(path, rule, (expected, got), tally)

    def _looked_into(self, path: str) -> bool:
        return any(name.startswith(f"{path}.") for name in self.options.fields)

    def _ignored(self, path: str) -> bool:
        rule = self.options.fields.get(path)
        return isinstance(rule, FieldRule) and rule.compare == "ignore"


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else str(key)


def _object_of(expected: Json) -> Mapping[str, Json] | None:
    """The expected object, parsed if it is a text; none if it is nested too deeply."""
    try:
        expected = parse_json(expected) if isinstance(expected, str) else shallow(expected)
    except ValueError:
        return None
    return expected if isinstance(expected, Mapping) else None


def _compare(path: str, rule: FieldRule, pair: tuple[Json, Json], tally: _Tally) -> None:
    """Add one field to the tally, unless its rule cannot apply to what is expected."""
    expected, got = pair
    if rule.compare == "ignore" or not rule.weight:
        return
    absent = got is _ABSENT
    score = _similarity(rule, expected, None if absent else got)
    if score is None:
        return
    tally.total += rule.weight
    tally.right += rule.weight * score
    if score < 1:
        tally.wrong.append(f"{path}: expected {shown(expected, 40)}, got {'nothing' if absent else shown(got, 40)}")


def _similarity(rule: FieldRule, expected: Json, got: Json) -> float | None:
    """How right a value is, in [0, 1]; None if `expected` is not of the kind that the rule compares."""
    if expected is None or got is None:
        return float(expected is None and got is None)
    if rule.compare == "numeric":
        wanted, given = number_of(expected), number_of(got)
        if wanted is None:
            return None
        return closeness(given, wanted, rule.absolute, rule.relative, None) if given is not None else 0.0
    if rule.compare == "date":
        day = _day(expected, rule.formats)
        return None if day is None else float(day == _day(got, rule.formats))
    if rule.compare == "set":
        wanted_items, given_items = _items(expected), _items(got)
        union = wanted_items | given_items
        return len(wanted_items & given_items) / len(union) if union else 1.0
    if rule.compare == "casefold":
        return float(normalise(text_of(expected), _LOOSE) == normalise(text_of(got), _LOOSE))
    return float(identity(expected) == identity(got))


def _items(value: Json) -> set[str]:
    return {identity(item) for item in value} if isinstance(value, list | tuple) else {identity(value)}


def _day(value: Json, formats: tuple[str, ...]) -> dt.date | None:
    """The day that a text begins with: year first, or in one of the formats."""
    text = text_of(value).strip()
    for pattern in formats:
        try:
            return dt.datetime.strptime(text, pattern).date()  # noqa: DTZ007 - only the day is kept
        except ValueError:
            continue
    match = _DATE.match(text)
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups() if part is not None)
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None
