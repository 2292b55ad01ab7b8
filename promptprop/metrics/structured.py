"""JSON in answers: finding it, and validating it against a schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Json, Judgement
from promptprop.metrics.base import CodeMetric, MetricOptions, judged, shown
from promptprop.metrics.validator import SchemaValidator, TooMuch, brief, pointer

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)^[ \t]*\1", re.MULTILINE | re.DOTALL)
DEEPEST = 100  # levels of nesting, as many as a dataset may have
_ATTEMPTS = 20  # places in a text at which a JSON value may begin; each costs a pass over the rest


class TooDeep(ValueError):
    """A JSON value is nested in more levels than are read."""


def parse_json(text: str, lenient: bool = False, openers: str = "{[") -> Json:
    """The JSON value of an answer. Raises ValueError with a sentence.

    Strictly the whole text is one value; NaN and infinities are refused, and what is nested in more than `DEEPEST`
    levels. With `lenient`, a fenced block is taken instead, or else the first value in the text that opens with one of
    `openers`, tried in their order.

    >>> parse_json('Sure: {"a": 1}.', lenient=True)
    {'a': 1}
    """
    decoder = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
    try:
        return shallow(decoder.decode(text))
    except (RecursionError, TooDeep):
        raise ValueError("the JSON is nested too deeply") from None
    except ValueError as error:
        if not lenient:
            raise ValueError(f"the answer is not JSON: {error}") from error
        strict = error
    for block in _FENCE.finditer(text):
        value = _first_of([block[2].strip()], decoder)
        if value is not None:
            return value[0]
    for opener in openers:
        value = _first_of(_starts(text, opener), decoder)
        if value is not None:
            return value[0]
    raise ValueError(f"no JSON was found in the answer: {strict}")


def shallow(value: Json) -> Json:
    """The value, if it is not nested in too many levels. Raises TooDeep.

    Deeper ones overflow the stack of whoever walks them, sooner or later by how deep the stack is at that time.
    """
    level = [value]
    for _ in range(DEEPEST + 1):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [item for items in inner for item in items]
        if not level:
            return value
    raise TooDeep


def _first_of(texts: Iterator[str] | Sequence[str], decoder: json.JSONDecoder) -> tuple[Json] | None:
    """The first text that begins with a JSON value, as a tuple of one since the value may be null."""
    for text in texts:
        try:
            return (shallow(decoder.raw_decode(text)[0]),)
        except (ValueError, RecursionError):
            continue
    return None


def _starts(text: str, opener: str) -> Iterator[str]:
    position = text.find(opener)
    for _ in range(_ATTEMPTS):
        if position < 0:
            return
        yield text[position:]
        position = text.find(opener, position + 1)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"{literal[:20]} is too large")
    return value


class JsonSchemaOptions(MetricOptions):
    """The schema, and how strictly the answer must be JSON."""

    inline: dict[str, Any] | None = Field(default=None, alias="schema", description="The JSON schema itself.")
    file: str | None = Field(default=None, description="A file that holds it, relative to the configuration's folder.")
    lenient: bool = Field(
        default=False, description="Accept JSON in a fenced block or within other text; else the answer must be JSON."
    )
    partial: bool = Field(default=False, description="Score the share of top-level properties that are valid.")

    @model_validator(mode="after")
    def _one_schema(self) -> JsonSchemaOptions:
        if (self.inline is None) == (self.file is None):
            raise ValueError("give either `schema` or `file`")
        return self


class JsonSchema(CodeMetric[JsonSchemaOptions]):
    """1 if the answer is JSON that is valid under a JSON schema, else 0.

    The draft is 2020-12 unless `$schema` says otherwise. The feedback names the first three
    violations by JSON pointer. `format` is not asserted; remote `$ref`s are refused.
    """

    Options = JsonSchemaOptions
    sample = "{id: form, type: json_schema, gate: true, schema: {type: object, required: [desk]}}"

    def __init__(self, metric_id: str, options: JsonSchemaOptions, folder: Path = Path()) -> None:
        """Read and check the schema."""
        super().__init__(metric_id, options, folder)
        self._schema = options.inline if options.inline is not None else _read(folder / str(options.file))
        self._validator = SchemaValidator(self._schema)
        self._openers = "[{" if self._schema.get("type") == "array" else "{["

    @property
    def sources(self) -> Json:
        """The schema, wherever it was written."""
        return self._schema

    def judge(self, output: str, example: Example) -> Judgement:  # noqa: ARG002 - the port's signature
        """1, 0, or with `partial` the share of valid properties; None if the schema itself cannot be applied."""
        from referencing.exceptions import Unresolvable

        try:
            value = parse_json(output, self.options.lenient, self._openers)
        except ValueError as error:
            return judged(0.0, f"{error}; got {shown(output)}")
        try:
            errors, all_of_them = self._validator.errors(value)
        except Unresolvable as error:
            return judged(None, f"the schema has a reference that leads nowhere: {error}")
        except TooMuch as error:
            return judged(None, f"the answer is too much to be checked against this schema: {error}")
        except (RecursionError, ArithmeticError) as error:
            return judged(0.0, f"the answer is too extreme to be checked: {type(error).__name__}")
        if not errors:
            return judged(1.0)
        if self.options.partial and not all_of_them:
            return judged(None, f"the answer has more than {len(errors):,} schema violations, too many to be weighed")
        score = self._share(value, errors) if self.options.partial else 0.0
        named = "; ".join(f"at {pointer(e.absolute_path)}: {brief(e.message)}" for e in errors[:3])
        more = f" and {len(errors) - 3} more" if len(errors) > 3 else ""
        many = f"{len(errors)} schema violation{'s' if len(errors) > 1 else ''}"
        return judged(score, f"{many if all_of_them else f'more than {many}'}: {named}{more}")

    def _share(self, value: Json, errors: Sequence[Any]) -> float:
        """Valid properties over those required or present; each other fault of the whole counts as one more."""
        if not isinstance(value, dict):
            return 0.0
        required = {str(name) for name in self._schema.get("required", ())}
        counted = required | set(value)
        wrong = required - set(value)
        others = 0
        for error in errors:
            if error.absolute_path:
                wrong.add(str(error.absolute_path[0]))
            elif error.validator in ("additionalProperties", "unevaluatedProperties"):
                known = self._schema.get("properties", {})
                patterns = self._schema.get("patternProperties", {})
                wrong |= {k for k in value if k not in known and not any(re.search(p, k) for p in patterns)}
            elif error.validator != "required":
                others += 1
        return max(0.0, 1 - (len(wrong & counted) + others) / (len(counted) + others)) if counted else 0.0


def _read(path: Path) -> dict[str, Any]:
    remedy = "`file` holds a JSON schema as JSON; its path starts at the configuration's folder."
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the schema {path} cannot be read: {error.strerror}", remedy=remedy) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the schema {path} is not JSON: {error}", remedy=remedy) from error
    if not isinstance(schema, dict):
        raise ConfigError(f"the schema {path} is not a JSON object", remedy=remedy)
    return schema
