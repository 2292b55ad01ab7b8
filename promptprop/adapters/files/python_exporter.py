"""A candidate as a Python module that needs the standard library alone."""

from __future__ import annotations

import keyword
import re
from pprint import pformat

from promptprop.adapters.files.exporters import prompt_document
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Candidate, Program, Prompt, demo_block
from promptprop.roles.template import INSTRUCTION, plain_parts

# A jinja variable, plain or dotted; \s holds the blanks that jinja allows around it.
_VARIABLE = re.compile(r"\{\{\s*([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*\}\}")
_CONSTANTS = ("true", "false", "none", "loop", "self", "super")

_MODULE = '''"""Prompt {id}, exported by PromptProp. It needs the standard library alone.

    messages = render({call})
"""

import json
import re

# The steps in the order of the chain: what each one is sent, and the variable that its answer fills.
PROMPTS = {prompts}

# Worked examples, shown before the last message of the last step.
DEMOS = {demos}

_VARIABLE = re.compile(r"{pattern}")


def render(step={first!r}, /, **variables):
    """The messages of a step with the variables filled in: a list of {{"role": …, "content": …}}.

    Raises KeyError where a variable is missing.
    """
    prompt = PROMPTS[step]
    messages = [dict(message) for message in prompt["messages"]]
{framing}    if not prompt["literal"]:
        for message in messages:
            text = re.sub(r"\\r\\n|\\r", "\\n", message["content"])
            message["content"] = _VARIABLE.sub(lambda match: _value(match[1], variables), text)
    if step == list(PROMPTS)[-1]:
        messages[-1]["content"] = DEMOS + messages[-1]["content"]
    return messages


def _value(name, variables):
    value = variables
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            raise KeyError(f"the variable {{name}} is missing")
        value = value[part]
    if value is None:
        return ""
    if isinstance(value, (dict, list, tuple, bool)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)
'''


_FRAMING = """    if "frame" in prompt:
        for message in messages:
            known = {**variables, "instruction": message["content"]}
            parts = (_value(part, known) if variable else part for part, variable in prompt["frame"])
            message["content"] = "".join(parts)
"""


def to_python(candidate: Candidate, program: Program) -> str:
    """A module with the constant `PROMPTS` and `render(**variables)`, which fills `{{ name }}`.

    Raises UsageError where a prompt uses more of the template language than variables.
    """
    steps = prompt_document(candidate, program)["steps"]
    names: dict[str, None] = {}
    for step in program.steps:
        prompt = candidate.prompts[step.id]
        if prompt.literal:
            names |= dict.fromkeys(name for name, variable in _frame(prompt) if variable and name != INSTRUCTION)
            continue
        for message in prompt.messages:
            names |= dict.fromkeys(_variables(step.id, message.content))
    filled = {step.output for step in program.steps}
    roots = dict.fromkeys(name.split(".")[0] for name in names)
    call = ", ".join(f"{name}=…" for name in roots if name not in filled and not keyword.iskeyword(name))
    prompts = {step["id"]: {key: step[key] for key in ("output", "literal", "messages")} for step in steps}
    for step in program.steps:
        if frame := _frame(candidate.prompts[step.id]):
            prompts[step.id]["frame"] = [list(part) for part in frame]
    return _MODULE.format(
        id=candidate.id,
        framing=_FRAMING if any(prompt.frame for prompt in candidate.prompts.values()) else "",
        call=call,
        prompts=pformat(prompts, width=110, sort_dicts=False),
        demos=pformat(demo_block(candidate.demos), width=110),
        pattern=_VARIABLE.pattern,
        first=program.steps[0].id,
    )


def _frame(prompt: Prompt) -> tuple[tuple[str, bool], ...]:
    """The frame in parts, each with whether it names a variable. Raises UsageError for one that does more."""
    parts = plain_parts(prompt.frame) if prompt.frame else ()
    if parts is None:
        raise UsageError(
            "the frame of the prompt uses more than {{ name }}",
            remedy="export it as json or yaml, and fill it with jinja",
        )
    return parts


def _variables(step: str, text: str) -> list[str]:
    """The variables of a template. Raises UsageError for anything else that the template language has."""
    names = _VARIABLE.findall(text)
    rest = _VARIABLE.sub("", text)
    odd = [name for name in names if name in _CONSTANTS or not all(map(str.isidentifier, name.split(".")))]
    mark = re.search(r"\{[{%#][^\n]{0,30}", rest)
    if mark or odd:
        raise UsageError(
            f"the prompt of step {step!r} uses more than {{{{ name }}}}: {odd[0] if odd else mark and mark[0]}",
            remedy="export it as json or yaml, and fill it with jinja",
        )
    return names
