"""The `gate:` of a configuration: what `check` promises, and which rows must pass whatever the average says."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from promptprop.domain.gate import GateRule
from promptprop.domain.models import Json
from promptprop.domain.settings import ConfigModel, Flag, Name, Names, Number, Positive, refused

_POINTS = re.compile(r"\s*\+?([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*(pp|%)\s*")
_PLAIN = re.compile(r"\s*[0-9]{0,3}\.?[0-9]{1,6}\s*")  # of a flag
_REQUIRED = re.compile(r"\s*([0-9]{1,3})\s*/\s*([0-9]{1,3})\s*")


def points_of(value: Json) -> Json:
    """A difference of scores: numbers as they are, `5pp` and `5%` as hundredths.

    >>> points_of("5pp"), points_of(0.02), points_of("0.02")
    (0.05, 0.02, 0.02)
    """
    if not isinstance(value, str):
        return value
    if _PLAIN.fullmatch(value):
        return float(value)
    match = _POINTS.fullmatch(value)
    if not match:
        raise refused(f"expected a difference such as 0.05 or 5pp, got the text {value!r}")
    return float(match[1]) / 100


Limit = Annotated[Number, Field(ge=0, le=10), BeforeValidator(points_of, json_schema_input_type=float | str)]


class CriticalConfig(ConfigModel):
    """Rows that must pass, whatever the average: those with a tag, in so many of so many answers."""

    tag: Name = Field(description="Rows with this tag are critical.")
    require: Name = Field("3/3", description="How many of how many answers must score 1, such as 2/3.")

    @model_validator(mode="after")
    def _possible(self) -> CriticalConfig:
        match = _REQUIRED.fullmatch(self.require)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise refused(f"expected so many of so many, such as 2/3, got {self.require!r}", "require")
        return self

    @property
    def passes(self) -> int:
        """Answers that must score 1."""
        return int(self.require.split("/")[0])

    @property
    def answers(self) -> int:
        """Answers that are asked for."""
        return int(self.require.split("/")[1])


class GateConfig(ConfigModel):
    """What `check` promises."""

    metric: Names = Field((), description="The metrics that decide, by id; the score as a whole unless given.")
    margin: Annotated[Number, Field(ge=0, lt=1), BeforeValidator(points_of, json_schema_input_type=float | str)] = (
        Field(0.05, description="The drop that must not pass, such as 5pp.")
    )
    alpha: Annotated[Number, Field(gt=0, lt=0.5)] = Field(
        0.05, description="How often an equal candidate may fail, and one that is worse by the margin pass."
    )
    power: Annotated[Number, Field(gt=0, lt=1)] = Field(
        0.8, description="How surely a drop is to be seen, for the figure that is told beforehand."
    )
    replicates: tuple[Positive, ...] = Field(
        (1, 3, 5), min_length=1, max_length=6, description="Answers to each row at each look, while it is undecided."
    )
    fail_when: Literal["worse", "beyond_margin"] = Field(
        "worse", description="Fail what is surely worse at all, or only what is surely worse by more than the margin."
    )
    guards: dict[Name, Limit] = Field(
        default_factory=dict,
        description="What must not grow by more (cost, latency, length: 20%) or fall by more (a metric: 2pp).",
    )
    critical: CriticalConfig | None = Field(None, description="Rows that must pass, whatever the average.")
    require_power: Flag = Field(False, description="Refuse to check where a drop of margin would not be seen.")

    @model_validator(mode="after")
    def _growing(self) -> GateConfig:
        if any(b <= a for a, b in zip(self.replicates, self.replicates[1:], strict=False)):
            raise refused("replicates grow from look to look, such as [1, 3, 5]", "replicates")
        return self

    @property
    def rule(self) -> GateRule:
        """What the statistics need of it."""
        return GateRule(self.margin, self.alpha, self.replicates, self.fail_when)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON from which an equal one is validated."""
        return dict(self.model_dump(mode="json"))
