"""The rewriter: turns critiques into a complete new prompt that tests one hypothesis."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Json, Message, Prompt, storable
from promptprop.roles.envelope import data_lines, fenced_blocks, read_object
from promptprop.roles.template import fill, prompt_variables

JSON_TEXT = re.compile(r"\s*\{(?![{%#])")  # a block that begins with a placeholder is a prompt
INSTRUCTIONS = {
    "cause": "Change the prompt so that the failures with this cause are answered right. Keep everything else.",
    "causes": "Change the prompt so that all the causes above are mended at once. Keep what already works.",
    "consolidate": "Rewrite the prompt shorter: merge rules that say the same, delete filler and rules that the "
    "evidence does not support, keep every rule that carries weight.",
    "format": "Make the form of the answer unmistakable: say exactly what the answer consists of, and that nothing "
    "else may be written. Keep the rules.",
    "draft": "Write a complete prompt for the task. The rows below are labelled: say what decides about their expected "
    "answers, and what form an answer has.",
    "restart": "Write a new prompt from scratch for the task. Use what the evidence shows; do not copy the wording of "
    "the current prompt.",
}


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A rewriter's reply: one sentence of hypothesis, and the complete text of every step's prompt."""

    hypothesis: str
    prompts: Mapping[str, Prompt]


class Rewriter:
    """Inputs: `task`, `prompts` {step: Prompt}, `critiques`, `failures`, `tried`, `kind`, `longest` (characters).

    Reply: `{"hypothesis": text, "prompts": {step: text}}`; a program of one step may answer with one fenced text.
    """

    name = "rewriter"
    summary = "writes the whole prompt anew, with the fixes of a round"
    reply_schema: Mapping[str, Json] = {
        "type": "object",
        "required": ["prompts"],
        "properties": {
            "hypothesis": {"type": "string"},
            "prompts": {
                "type": "object",
                "minProperties": 1,
                "description": "The complete new text of each step that changes, by its name.",
                "additionalProperties": {"type": "string", "minLength": 1},
            },
        },
    }

    def __init__(self, template: str) -> None:
        """Take the template's text."""
        self.template = template

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """One user message."""
        prompts: Mapping[str, Prompt] = inputs["prompts"]
        shown = [
            {key: value for key, value in item.items() if key != "id" and value not in (None, "", [], ())}
            for item in inputs["failures"]
        ]
        values = {
            "task": inputs["task"],
            "notes": data_lines([{"note": text} for text in inputs.get("notes", ())]),
            "prompts": {step: prompt.text for step, prompt in prompts.items()},
            "several_messages": any(len(prompt.messages) > 1 for prompt in prompts.values()),
            "variables": sorted(set().union(*(prompt_variables(prompt) for prompt in prompts.values()))),
            "critiques": data_lines(inputs["critiques"]),
            "failures": data_lines(shown),
            "tried": data_lines(inputs["tried"]),
            "heading": "Labelled rows" if inputs["kind"] == "draft" else "Some failures",
            "kind": inputs["kind"],
            "instruction": INSTRUCTIONS[inputs["kind"]],
            "longest": inputs["longest"],
        }
        return (Message("user", fill(self.template, values)),)

    def parse(self, text: str, inputs: Mapping[str, Json]) -> Rewrite:
        """The rewrite. Raises ValueError: unreadable, a step missing, a placeholder broken, or too long."""
        parents: Mapping[str, Prompt] = inputs["prompts"]
        hypothesis, texts = _envelope(text, list(parents))
        prompts = rewritten_prompts(texts, parents)
        length, longest = sum(prompt.length for prompt in prompts.values()), inputs["longest"]
        if length > longest:
            what = "prompts have" if len(prompts) > 1 else "prompt has"
            raise ValueError(f"the {what} {length} characters; shorten to at most {longest}")
        return Rewrite(storable(" ".join(hypothesis.split())[:300]), prompts)


def _envelope(text: str, steps: list[str]) -> tuple[str, Mapping[str, str]]:
    try:
        value = read_object(text, "prompts")
    except ValueError:
        blocks = [block for block in fenced_blocks(text) if not JSON_TEXT.match(block)]
        if len(steps) == 1 and blocks:
            return "", {steps[0]: max(blocks, key=len)}
        raise
    prompts = value["prompts"]
    if isinstance(prompts, str) and len(steps) == 1:
        prompts = {steps[0]: prompts}
    if not isinstance(prompts, dict):
        raise ValueError('"prompts" must be an object with the complete text of each step')
    unknown = sorted(set(prompts) - set(steps))
    if unknown:
        raise ValueError(f"unknown step {unknown[0]!r}; the steps are: {', '.join(steps)}")
    hypothesis = value.get("hypothesis")
    return hypothesis if isinstance(hypothesis, str) else "", prompts


def rewritten_prompts(texts: Mapping[str, Json], parents: Mapping[str, Prompt]) -> dict[str, Prompt]:
    """Each step's prompt with its new text, or as it is where there is none, in the form of its parent.

    Raises ValueError: a text is empty, a message is lost, or a placeholder.
    """
    prompts = {step: _rewritten(step, texts.get(step), parent) for step, parent in parents.items()}
    for step, prompt in prompts.items():
        _check_placeholders(step, prompt, parents[step])
    return prompts


def _rewritten(step: str, text: Json, parent: Prompt) -> Prompt:
    if text is None:
        return parent
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"the prompt of step {step!r} must be a text that is not empty")
    text = storable(text.strip())  # JSON can spell what no database can hold
    if len(parent.messages) == 1:
        return replace(parent, messages=(Message(parent.messages[0].role, text),))
    prompt = replace(parent, messages=Prompt.from_text(text).messages)
    if [message.role for message in prompt.messages] != [message.role for message in parent.messages]:
        headings = ", ".join(f"### {message.role}" for message in parent.messages)
        raise ValueError(f"the prompt of step {step!r} must keep its messages, each under its heading: {headings}")
    return prompt


def _check_placeholders(step: str, prompt: Prompt, parent: Prompt) -> None:
    """A rewrite uses what its parent uses, no more and no less. Raises ValueError."""
    needed = prompt_variables(parent)
    try:
        found = prompt_variables(prompt)
    except ConfigError as error:
        why = error.problems[0].message
        raise ValueError(f"step {step!r}: {why}; use double braces for {_named(needed)} only") from error
    if needed - found:
        raise ValueError(f"the prompt of step {step!r} has lost {_named(needed - found)}: put the placeholder back")
    if found - needed:
        allowed = f"use only {_named(needed)}" if needed else "use no placeholder"
        raise ValueError(f"the prompt of step {step!r} uses {_named(found - needed)}, which nothing fills: {allowed}")


def _named(variables: frozenset[str]) -> str:
    return ", ".join(f"{{{{ {name} }}}}" for name in sorted(variables)) or "nothing"
