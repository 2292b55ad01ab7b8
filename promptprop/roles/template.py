"""Templates: `{{ variables }}` filled in a sandbox. Values are data: what they contain is never evaluated.

Prompts may be written by a model and get the narrow environment of `sandbox`; role templates get Jinja's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from promptprop.domain.errors import ConfigError, Problem
from promptprop.domain.models import Demo, Json, Message, Prompt, demo_block

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from jinja2.nodes import Template as TemplateNode

    from promptprop.roles.sandbox import PromptEnvironment

INSTRUCTION = "instruction"  # the variable of a frame that the prompt's own text fills


@lru_cache(maxsize=1)
def _role_environment() -> Environment:
    from promptprop.roles.sandbox import role_environment

    return role_environment()


@lru_cache(maxsize=1)
def _prompt_environment() -> PromptEnvironment:
    from promptprop.roles.sandbox import PromptEnvironment

    return PromptEnvironment()


@lru_cache(maxsize=64)
def _role_template(text: str) -> Template:
    return _role_environment().from_string(text)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A prompt's text, ready to be filled. `plain` holds its parts where they are texts and variables alone."""

    template: Template
    names: frozenset[str]
    plain: tuple[tuple[str, bool], ...] | None


@lru_cache(maxsize=4096)
def _read(text: str) -> _Compiled:
    """A prompt's text compiled, and the names that it needs. Raises ConfigError."""
    from jinja2 import meta

    try:
        environment = _prompt_environment()
        tree = environment.read(text)
        names = frozenset(meta.find_undeclared_variables(tree))
        return _Compiled(environment.from_string(tree), names, _plain(tree))
    except Exception as error:  # the text may be anything: parser and compiler fail in their own ways
        raise ConfigError(_unreadable(error)) from error


def plain_parts(text: str) -> tuple[tuple[str, bool], ...] | None:
    """The parts of a template that only puts variables between texts; None for one that does more."""
    return _read(text).plain


def _plain(tree: TemplateNode) -> tuple[tuple[str, bool], ...] | None:
    """The parts of a template that only puts variables between texts: each with whether it names a variable."""
    from jinja2 import nodes

    parts: list[tuple[str, bool]] = []
    for output in tree.body:
        for node in output.nodes if isinstance(output, nodes.Output) else [output]:
            if isinstance(node, nodes.TemplateData):
                parts.append((node.data, False))
            elif isinstance(node, nodes.Name):
                parts.append((node.name, True))
            elif isinstance(node, nodes.Const) and isinstance(node.value, str):
                parts.append((node.value, False))
            else:
                return None
    return tuple(parts)


def _unreadable(error: Exception) -> Problem:
    from jinja2 import TemplateSyntaxError

    from promptprop.roles.sandbox import FILTERS

    line = error.lineno if isinstance(error, TemplateSyntaxError) else None
    where = f" (line {line} of the prompt)" if line else ""
    deep = isinstance(error, RecursionError)
    why = "its parts are nested too deeply" if deep else error.args[0] if error.args else error
    return Problem(
        f"the template cannot be read{where}: {why}",
        remedy="write variables as {{ name }}, with if, for and the filters "
        f"{', '.join(FILTERS)}; set `literal: true` where braces are meant as they are",
    )


def variables_of(text: str) -> frozenset[str]:
    """The names that a prompt's text needs. Raises ConfigError where it cannot be read, or uses what it may not."""
    return _read(text).names


def prompt_variables(prompt: Prompt) -> frozenset[str]:
    """The names that a prompt needs; a literal prompt needs none. Raises ConfigError."""
    if prompt.literal:
        return frozenset()
    return frozenset().union(*(variables_of(message.content) for message in prompt.messages))


def variables_sent(prompt: Prompt) -> frozenset[str]:
    """The names that must be known before a prompt is sent: its own, or those of its frame. Raises ConfigError."""
    return variables_of(prompt.frame) - {INSTRUCTION} if prompt.frame else prompt_variables(prompt)


def escaped(text: str) -> str:
    """The template that gives this text, whatever braces are in it.

    >>> escaped("a {{ b }}")
    "a {{ '{' }}{{ '{' }} b }}"
    """
    return text.replace("{", "{{ '{' }}").replace("\r", "{{ '\\r' }}")


def fill(text: str, values: Mapping[str, Json]) -> str:
    """A role's template with its values in. Raises ConfigError where a value is missing or the sandbox refuses."""
    try:
        return _role_template(text).render(values)
    except Exception as error:  # a template of the user's own may fail in any way
        raise ConfigError(
            f"the role's template cannot be filled: {error}",
            remedy="use only the variables that the shipped template of this role uses",
        ) from error


def fill_prompt(prompt: Prompt, values: Mapping[str, Json], demos: Sequence[Demo] = ()) -> tuple[Message, ...]:
    """The messages of a prompt with its values in, the demos before the last one, which no template can touch.

    Raises ConfigError where a value is missing or grows too large.
    """
    if prompt.frame:
        told = [(message.role, {**values, INSTRUCTION: message.content}) for message in prompt.messages]
        messages = tuple(Message(role, _filled(prompt.frame, known)) for role, known in told)
    elif prompt.literal:
        messages = prompt.messages
    else:
        messages = tuple(Message(message.role, _filled(message.content, values)) for message in prompt.messages)
    if not demos:
        return messages
    *before, last = messages
    return (*before, Message(last.role, demo_block(demos) + last.content))


def _filled(text: str, values: Mapping[str, Json]) -> str:
    from promptprop.roles.sandbox import METER, Meter

    compiled = _read(text)
    if compiled.plain is not None and (filled := _joined(compiled.plain, values)) is not None:
        return filled
    meter, parts = Meter(), list[str]()
    try:
        for part in compiled.template.generate({**values, METER: meter}):
            meter.take(len(part))
            parts.append(part)
    except Exception as error:  # what a model wrote may fail in any way
        raise ConfigError(
            f"the template cannot be filled: {error}",
            remedy="use only variables that a data column or an earlier step supplies",
        ) from error
    return "".join(parts)


def _joined(parts: tuple[tuple[str, bool], ...], values: Mapping[str, Json]) -> str | None:
    """What the sandbox would make of a plain template, in a fraction of its time; None where it would refuse."""
    from promptprop.roles.sandbox import MOST_WORK, shown

    pieces, length = [], 0
    for part, variable in parts:
        if variable and part not in values:
            return None
        piece = str(shown(values[part])) if variable else part
        length += len(piece)
        pieces.append(piece)
    return "".join(pieces) if length <= MOST_WORK else None
