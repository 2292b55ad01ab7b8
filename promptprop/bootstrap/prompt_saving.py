"""A prompt that somebody writes by hand: from its texts to a candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptprop.domain.errors import ConfigError, Place, Problem, UsageError
from promptprop.domain.models import Candidate, Json, Prompt


def candidate_from(given: Mapping[str, Json], steps: Sequence[Mapping[str, Json]] | None = None) -> Candidate:
    """The candidate of `{text | messages, literal}`, or of several such steps with ids.

    Raises UsageError where it is none of them or more than one, ConfigError where a text cannot be read.
    """
    from promptprop.adapters.files.prompts import MAIN

    alone = [name for name in ("text", "messages") if given.get(name) is not None]
    if len(alone) + (steps is not None) != 1 or (steps is not None and given.get("literal")):
        raise UsageError("exactly one of text, messages and steps is wanted", remedy="send the prompt in one form")
    wanted = [{**given, "id": MAIN.id}] if steps is None else steps
    ids = [str(step["id"]) for step in wanted]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        raise UsageError(f"two steps are called {twice}", remedy="give each step an id of its own")
    problems: list[Problem] = []
    prompts = {name: _prompt(step, name, problems) for name, step in zip(ids, wanted, strict=True)}
    if problems:
        raise ConfigError(problems)
    return Candidate({name: prompt for name, prompt in prompts.items() if prompt is not None})


def _prompt(step: Mapping[str, Json], name: str, problems: list[Problem]) -> Prompt | None:
    """A step's prompt, or None with what is wrong noted, so that all steps are reported at once."""
    from pydantic import ValidationError

    from promptprop.adapters.files.prompts import read_prompt
    from promptprop.domain.config import PromptConfig
    from promptprop.roles.template import prompt_variables

    given = {key: step[key] for key in ("text", "messages", "literal") if step.get(key) is not None}
    try:
        prompt = read_prompt(PromptConfig.model_validate(given))
        prompt_variables(prompt)
    except ValidationError as error:
        problems += [Problem(str(one["msg"]), Place(name)) for one in error.errors(include_url=False)]
    except ConfigError as error:
        problems += [Problem(one.message, one.place or Place(name), one.remedy) for one in error.problems]
    else:
        return prompt
    return None
