"""The juror: scores one answer from 0 to 100, with a reason that a critic can use."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from promptprop.domain.models import Json, Message, storable
from promptprop.roles.envelope import data_lines, read_object
from promptprop.roles.template import fill

LONGEST_REASON = 400
_NUMBER = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(?:/\s*100|%)?\s*")


@dataclass(frozen=True, slots=True)
class Vote:
    """A juror's word on one answer: score in [0, 1], reason, score by feature, numbers of the hard negatives hit."""

    score: float
    reason: str = ""
    features: Mapping[str, float] = field(default_factory=dict)
    hard: tuple[int, ...] = ()


class Juror:
    """Inputs: `task`, `inputs`, `answer`, and where there are any `expected` (a list), `soft_negatives`,
    `hard_negatives` (texts), `rubric` (a text) or `features` ([{id, says, weight}]); `answer_first` tells the order.

    Reply: `{"score": 0-100, "hard": [n, …], "reason"}`, or `"scores": {feature: 0-100}` in place of the score, of which
    the weighted mean counts.
    """  # noqa: D205

    name = "juror"
    summary = "scores one answer from 0 to 100, with a reason"
    reply_schema: Mapping[str, Json] = {
        "type": "object",
        "description": "`score`, or with a rubric of features `scores`, of which the weighted mean counts.",
        "anyOf": [{"required": ["score"]}, {"required": ["scores"]}],
        "properties": {
            "score": {"type": "number", "minimum": 0, "maximum": 100},
            "scores": {
                "type": "object",
                "additionalProperties": {"type": "number", "minimum": 0, "maximum": 100},
            },
            "hard": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "reason": {"type": "string"},
        },
    }

    def __init__(self, template: str) -> None:
        """Take the template's text."""
        self.template = template

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """One user message."""
        expected, soft, hard = (list(inputs.get(key) or ()) for key in ("expected", "soft_negatives", "hard_negatives"))
        parts = [_part("inputs", [{"inputs": inputs["inputs"]}])]
        known = [
            _part("expected", [{"expected": one} for one in expected]),
            _part("soft_negatives", [{"n": n, "says": one} for n, one in enumerate(soft, 1)]),
            _part("hard_negatives", [{"n": n, "says": one} for n, one in enumerate(hard, 1)]),
        ]
        answer = [_part("answer", [{"answer": inputs["answer"]}])]
        shown = [part for part in known if part["lines"]]
        values = {
            "task": inputs["task"],
            "rubric": inputs.get("rubric") or "",
            "features": list(inputs.get("features") or ()),
            "parts": [*parts, *answer, *shown] if inputs.get("answer_first") else [*parts, *shown, *answer],
            "expected": bool(expected),
            "several": len(expected) > 1,
            "soft": bool(soft),
            "hard": bool(hard),
        }
        return (Message("user", fill(self.template, values)),)

    def parse(self, text: str, inputs: Mapping[str, Json]) -> Vote:
        """The vote as it was cast; what a hard negative does to it is for the panel to say. Raises ValueError."""
        features: Sequence[Mapping[str, Json]] = inputs.get("features") or ()
        value = read_object(text, "scores" if features else "score")
        scores = _feature_scores(value["scores"], features) if features else {}
        if features:
            total = math.fsum(float(one["weight"]) for one in features)
            score = math.fsum(scores[str(one["id"])] * float(one["weight"]) for one in features) / total
        else:
            score = _share(value["score"], "score")
        hard = _numbers(value.get("hard"), len(inputs.get("hard_negatives") or ()))
        reason = value.get("reason", "")
        if not isinstance(reason, str):
            raise ValueError("reason must be a text")
        return Vote(score, storable(reason.strip()[:LONGEST_REASON]), scores, hard)


def _part(name: str, lines: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    return {"name": name, "lines": data_lines(lines)}


def _feature_scores(value: Json, features: Sequence[Mapping[str, Json]]) -> dict[str, float]:
    names = [str(one["id"]) for one in features]
    if not isinstance(value, dict) or any(name not in value for name in names):
        raise ValueError(f"scores must be an object with the keys {', '.join(names)}")
    return {name: _share(value[name], f"scores.{name}") for name in names}


def _share(value: Json, name: str) -> float:
    """A score from 0 to 100 as a share; texts such as "85" and "85/100" are taken, too."""
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        value = float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError(f"{name} must be a number from 0 to 100")
    return float(value) / 100


def _numbers(value: Json, most: int) -> tuple[int, ...]:
    """The numbers of hard negatives that were hit; a text such as "1" counts, what names none is left out."""
    listed = value if isinstance(value, list) else []
    found = (int(one) for one in listed if isinstance(one, int | str) and str(one).strip().isdigit())
    return tuple(sorted({one for one in found if 1 <= one <= most}))
