"""Templates: `{{ variables }}` filled in a sandbox. Values are data: what they contain is never evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Json, Message, Prompt, text_of

if TYPE_CHECKING:
    from jinja2 import Environment, Template


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Prompts are plain text for a model: nothing is escaped for HTML.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_shown)


def _shown(value: Json) -> Json:
    return "" if value is None else text_of(value) if isinstance(value, dict | list | tuple | bool) else value


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Template:
    return _environment().from_string(text)


@lru_cache(maxsize=4096)
def variables_of(text: str) -> frozenset[str]:
    """The names that a template needs. Raises ConfigError where the template cannot be read."""
    from jinja2 import TemplateError, meta

    try:
        return frozenset(meta.find_undeclared_variables(_environment().parse(text)))
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f" (line {line} of the prompt)" if line else ""
        raise ConfigError(
            f"the template cannot be read{where}: {error.args[0] if error.args else error}",
            remedy="write variables as {{ name }}; set `literal: true` where braces are meant as they are",
        ) from error


def prompt_variables(prompt: Prompt) -> frozenset[str]:
    """The names that a prompt needs; a literal prompt needs none."""
    if prompt.literal:
        return frozenset()
    return frozenset().union(*(variables_of(message.content) for message in prompt.messages))


def fill(text: str, values: Mapping[str, Json]) -> str:
    """The template with its values in. Raises ConfigError where a value is missing or the sandbox refuses."""
    from jinja2 import TemplateError

    try:
        return _compiled(text).render(values)
    except (TemplateError, TypeError, ArithmeticError, ValueError, OverflowError, MemoryError) as error:
        raise ConfigError(
            f"the template cannot be filled: {error}",
            remedy="use only variables that a data column or an earlier step supplies",
        ) from error


def fill_prompt(prompt: Prompt, values: Mapping[str, Json]) -> tuple[Message, ...]:
    """The messages of a prompt with its values in."""
    if prompt.literal:
        return prompt.messages
    return tuple(Message(message.role, fill(message.content, values)) for message in prompt.messages)
