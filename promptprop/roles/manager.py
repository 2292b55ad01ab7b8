"""The manager: drafts the jury's rubric from the task and rows, and sums the task up."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from promptprop.domain.models import Json, Message, storable
from promptprop.domain.rubric import Rubric, RubricFeature
from promptprop.roles.envelope import data_lines, read_object
from promptprop.roles.template import fill

LONGEST = 600  # characters of what a feature says, of its grounds, and of the summary
MOST_FEATURES = 8
_ODD = re.compile(r"[^\w-]+")


class Manager:
    """Inputs: `task`, `rows` ([{inputs, expected, soft_negatives, hard_negatives}]), `most` features.

    Reply: `{"summary": text, "features": [{"id", "says", "weight", "grounding"}]}`.
    """

    name = "manager"
    summary = "drafts the jury's rubric from the task and train rows"
    reply_schema: Mapping[str, Json] = {
        "type": "object",
        "required": ["features"],
        "properties": {
            "summary": {"type": "string"},
            "features": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["id", "says"],
                    "properties": {
                        "id": {"type": "string"},
                        "says": {"type": "string", "minLength": 1},
                        "weight": {"type": "number", "exclusiveMinimum": 0},
                        "grounding": {"type": "string"},
                    },
                },
            },
        },
    }

    def __init__(self, template: str) -> None:
        """Take the template's text."""
        self.template = template

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """One user message."""
        shown = ("inputs", "expected", "soft_negatives", "hard_negatives")
        rows = [{key: row[key] for key in shown if row.get(key) not in (None, "", [], ())} for row in inputs["rows"]]
        values = {"task": inputs["task"], "rows": data_lines(rows), "most": inputs["most"]}
        return (Message("user", fill(self.template, values)),)

    def parse(self, text: str, inputs: Mapping[str, Json]) -> Rubric:
        """The rubric. Raises ValueError with what to mend."""
        value = read_object(text, "features")
        items = value["features"]
        if not isinstance(items, list) or not items:
            raise ValueError('"features" must be a list with at least one object')
        features = [_feature(item) for item in items[: int(inputs.get("most") or MOST_FEATURES)]]
        if len({one.id for one in features}) < len(features):
            raise ValueError("each feature needs an id of its own")
        summary = value.get("summary", "")
        if not isinstance(summary, str):
            raise ValueError("summary must be a text")
        return Rubric(storable(summary.strip()[:LONGEST]), tuple(features))


def _feature(item: Json) -> RubricFeature:
    if not isinstance(item, dict):
        raise ValueError("each feature must be an object with id, says, weight and grounding")
    name, says = item.get("id"), item.get("says")
    if not isinstance(name, str) or not isinstance(says, str) or not says.strip():
        raise ValueError("each feature needs the texts id and says")
    short = _ODD.sub("-", name.strip()).strip("-")[:60]
    if not short:
        raise ValueError("the id of a feature is a short name of letters and digits")
    weight = item.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise ValueError(f"the weight of {short} must be a number above 0")
    grounding = item.get("grounding", "")
    grounds = grounding if isinstance(grounding, str) else ""
    return RubricFeature(
        storable(short), storable(says.strip()[:LONGEST]), float(weight), storable(grounds.strip()[:LONGEST])
    )
