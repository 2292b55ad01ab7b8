"""A rubric: what a good answer does, feature by feature, with weights and the grounds for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from promptprop.domain.models import Json, digest


@dataclass(frozen=True, slots=True)
class RubricFeature:
    """One thing that jurors score by itself. `grounding` tells what in the task or the rows speaks for it."""

    id: str
    says: str
    weight: float = 1.0
    grounding: str = ""


@dataclass(frozen=True, slots=True)
class Rubric:
    """Features, and what the task comes to in a few sentences."""

    summary: str
    features: tuple[RubricFeature, ...]

    @property
    def id(self) -> str:
        """Names the contents: 16 hex digits."""
        return digest(self.as_json(), 16)

    def as_json(self) -> Json:
        """Plain JSON, from which `from_json` makes an equal rubric."""
        return {
            "summary": self.summary,
            "features": [
                {"id": one.id, "says": one.says, "weight": one.weight, "grounding": one.grounding}
                for one in self.features
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Rubric:
        """The rubric of `as_json`."""
        return cls(value["summary"], tuple(RubricFeature(**one) for one in value["features"]))
