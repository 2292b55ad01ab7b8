"""The refiner: reads the failures of a prompt and writes its next version in the same reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from promptprop.domain.models import Json, Message, Prompt, storable
from promptprop.roles.envelope import data_lines, fenced_blocks, read_object
from promptprop.roles.rewriter import JSON_TEXT, rewritten_prompts
from promptprop.roles.template import fill, prompt_variables

LONGEST = 4000  # characters of an explanation


@dataclass(frozen=True, slots=True)
class Refinement:
    """A refiner's reply: what was wrong and is mended, the whole new prompt, and why this change and no other."""

    explanation: str
    prompt: Prompt
    reasoning: str = ""


class Refiner:
    """Inputs: `task`, `prompts` {step: Prompt} of one step, `failures` (rows) or `said` (a text), `longest`.

    Reply: `{"explanation": text, "refinedPrompt": text, "deltaReasoning": text}`, or one fenced text.
    """

    name = "refiner"
    summary = "reads failures and rewrites the prompt in one reply, for the optimizer `iterate`"
    reply_schema: Mapping[str, Json] = {
        "type": "object",
        "required": ["refinedPrompt"],
        "properties": {
            "explanation": {"type": "string"},
            "refinedPrompt": {"type": "string", "minLength": 1},
            "deltaReasoning": {"type": "string"},
        },
    }

    def __init__(self, template: str) -> None:
        """Take the template's text."""
        self.template = template

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """One user message."""
        ((step, prompt),) = inputs["prompts"].items()
        shown = [{key: value for key, value in row.items() if key != "id"} for row in inputs.get("failures", ())]
        values = {
            "task": inputs["task"],
            "notes": data_lines([{"note": text} for text in inputs.get("notes", ())]),
            "step": step,
            "prompt": prompt.text,
            "several_messages": len(prompt.messages) > 1,
            "variables": sorted(prompt_variables(prompt)),
            "failures": data_lines(shown),
            "said": data_lines([{"failures": inputs["said"]}]) if inputs.get("said") else "",
            "longest": inputs["longest"],
        }
        return (Message("user", fill(self.template, values)),)

    def parse(self, text: str, inputs: Mapping[str, Json]) -> Refinement:
        """The refinement. Raises ValueError: unreadable, empty, a placeholder broken, or too long."""
        parents: Mapping[str, Prompt] = inputs["prompts"]
        ((step, _),) = parents.items()
        value = _envelope(text)
        if not isinstance(value["refinedPrompt"], str):
            raise ValueError("refinedPrompt must be a text")
        prompt = rewritten_prompts({step: value["refinedPrompt"]}, parents)[step]
        if prompt.length > inputs["longest"]:
            raise ValueError(f"the prompt has {prompt.length} characters; shorten to at most {inputs['longest']}")
        return Refinement(_text(value, "explanation"), prompt, _text(value, "deltaReasoning"))


def _envelope(text: str) -> Mapping[str, Json]:
    """The object of a reply; a fenced text alone is the prompt. Raises ValueError."""
    try:
        return read_object(text, "refinedPrompt")
    except ValueError:
        blocks = [block for block in fenced_blocks(text) if not JSON_TEXT.match(block)]
        if not blocks:
            raise
        return {"refinedPrompt": max(blocks, key=len)}


def _text(value: Mapping[str, Json], name: str) -> str:
    """One of the texts beside the prompt; nothing where there is none. Raises ValueError."""
    said = value.get(name) or ""
    if not isinstance(said, str):
        raise ValueError(f"{name} must be a text")
    return storable(said.strip()[:LONGEST])
