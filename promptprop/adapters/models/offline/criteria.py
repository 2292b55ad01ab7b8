"""The simulated manager: writes criteria that fit the kind of task, grounded in what the request shows of rows."""

from __future__ import annotations

from collections.abc import Sequence

from promptprop.adapters.models.offline.chance import draw
from promptprop.adapters.models.offline.evidence import read_evidence
from promptprop.adapters.models.offline.roles import Mind, opened, written
from promptprop.adapters.models.offline.world import World
from promptprop.domain.models import Json, Message

FEATURES: dict[str, tuple[tuple[str, str, float], ...]] = {
    "classify": (("label", "Names the right label.", 3.0), ("bare", "Holds the label and nothing else.", 1.0)),
    "extract": (("facts", "Every field is there, with its right value.", 3.0), ("form", "Is one bare object.", 1.0)),
    "write": (
        ("complete", "Says everything that the case calls for.", 3.0),
        ("true", "Says nothing that is not so.", 2.0),
        ("closing", "Ends as letters of this house do.", 1.0),
    ),
}


def answer_manager(world: World, messages: Sequence[Message], replicate: int) -> str:
    """The reply of the manager; at times in a form that does not parse, as the world has it."""
    text, about, form = opened("manager", messages)
    mind = Mind(world, world.rewriter, about, form, replicate)
    shown = len(read_evidence(world, text).quoted)
    if not shown:
        return "I cannot write criteria without having seen a row of the task."
    features: list[Json] = [
        {"id": name, "says": says, "weight": weight, "grounding": f"seen in {shown} rows"}
        for name, says, weight in FEATURES[world.task]
    ]
    if draw(world.name, about, replicate, "brief") < 0.2:
        features = features[:2]
    return written(mind, {"summary": f"Good answers of {world.name}.", "features": features}, "features")
