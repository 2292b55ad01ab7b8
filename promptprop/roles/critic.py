"""The critic: reads failures of one kind and writes the textual gradient, cause and fix."""

from __future__ import annotations

from collections.abc import Mapping

from promptprop.domain.models import Critique, Json, Message, storable
from promptprop.roles.envelope import data_lines, read_object
from promptprop.roles.template import fill

LONGEST = 600  # characters of a cause or a fix: a critique that says everything says nothing


class Critic:
    """Inputs: `task`, `prompts` {step: text}, `failures` and `successes` (see `evidence_line`).

    Reply: `{"critiques": [{"step", "cause", "fix", "failures": [n, …]}]}`.
    """

    name = "critic"
    summary = "says why failures failed, and how to mend the prompt"
    reply_schema: Mapping[str, Json] = {
        "type": "object",
        "required": ["critiques"],
        "properties": {
            "critiques": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["cause", "fix"],
                    "properties": {
                        "step": {"type": "string", "description": "The step to mend; in a chain it is required."},
                        "cause": {"type": "string"},
                        "fix": {"type": "string", "minLength": 1},
                        "failures": {"type": "array", "items": {"type": "integer"}},
                    },
                },
            }
        },
    }

    def __init__(self, template: str) -> None:
        """Take the template's text."""
        self.template = template

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """One user message."""
        values = {
            "task": inputs["task"],
            "notes": data_lines([{"note": text} for text in inputs.get("notes", ())]),
            "prompts": inputs["prompts"],
            "chain": len(inputs["prompts"]) > 1,
            "failures": data_lines([_shown(item) for item in inputs["failures"]]),
            "successes": data_lines([_shown(item) for item in inputs["successes"]]),
        }
        return (Message("user", fill(self.template, values)),)

    def parse(self, text: str, inputs: Mapping[str, Json]) -> tuple[Critique, ...]:
        """The critiques. Raises ValueError with what to mend."""
        items = read_object(text, "critiques")["critiques"]
        if not isinstance(items, list) or not items:
            raise ValueError('"critiques" must be a list with at least one object')
        return tuple(_critique(item, inputs) for item in items[:8])


def _shown(item: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in item.items() if key != "id" and value not in (None, "", [], ())}


def _critique(item: Json, inputs: Mapping[str, Json]) -> Critique:
    if not isinstance(item, dict):
        raise ValueError("each critique must be an object with step, cause and fix")
    cause, fix = item.get("cause"), item.get("fix")
    if not isinstance(cause, str) or not isinstance(fix, str) or not fix.strip():
        raise ValueError("each critique needs the texts cause and fix")
    steps = list(inputs["prompts"])
    step = item.get("step", steps[0])
    if step not in steps:
        if len(steps) > 1:
            raise ValueError(f"step must be one of: {', '.join(steps)}")
        step = steps[0]
    named = item.get("failures", [])
    numbers = named if isinstance(named, list) else []
    ids = {failure["n"]: failure["id"] for failure in inputs["failures"]}
    examples = tuple(ids[number] for number in numbers if isinstance(number, int) and number in ids)
    return Critique(step, storable(cause.strip()[:LONGEST]), storable(fix.strip()[:LONGEST]), examples)
