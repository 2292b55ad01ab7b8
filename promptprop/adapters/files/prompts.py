"""Prompt files: reading the seeds and the program of a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from promptprop.adapters.files.config_problems import complaints_of, keys_at, problem_at
from promptprop.adapters.files.yaml_strict import Node, node_of, parse_yaml, read_text
from promptprop.domain.config import PromptConfig, RunConfig
from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.models import Candidate, Message, Program, Prompt, Step, storable

MAIN = Step(id="main", output="output")

_HEADING = re.compile(r"^### (system|user|assistant)[ \t]*$", re.MULTILINE)


def read_prompts(config: RunConfig) -> tuple[Program, tuple[Candidate, ...]]:
    """The program of a configuration and the seeds that fill it, each once; a chain has one seed.

    Raises ConfigError with the problems of every prompt file.
    """
    if config.steps is not None:
        texts = _read_all({step.id: step.prompt for step in config.steps})
        steps = tuple(Step(step.id, step.output, step.endpoint) for step in config.steps)
        return Program(steps), (Candidate(texts),)
    if config.prompt is None:
        return Program((MAIN,)), (Candidate({MAIN.id: plain_prompt(config.task, config.data.inputs)}),)
    prompts = _read_all({str(index): seed for index, seed in enumerate(config.prompt or ())})
    seeds = (Candidate({MAIN.id: prompt}) for prompt in prompts.values())
    return Program((MAIN,)), tuple({seed.id: seed for seed in seeds}.values())


def plain_prompt(task: str, inputs: Iterable[str]) -> Prompt:
    """The task and the inputs, and nothing else: what drafts are measured against where no prompt is given."""
    shown = "\n".join(f"{name}: {{{{ {name} }}}}" for name in inputs)
    return Prompt.of(storable(f"{task.strip()}\n\n{shown}"))


def _read_all(sources: dict[str, PromptConfig]) -> dict[str, Prompt]:
    problems: list[Problem] = []
    read = {key: _read_or_note(source, problems) for key, source in sources.items()}
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return {key: prompt for key, prompt in read.items() if prompt is not None}


def _read_or_note(source: PromptConfig, problems: list[Problem]) -> Prompt | None:
    """The prompt, or None and its problems noted, so that all files are reported at once."""
    try:
        return read_prompt(source)
    except ConfigError as error:
        problems += error.problems
        return None


def read_prompt(source: PromptConfig) -> Prompt:
    """The prompt that a configuration names, in its frame. Raises ConfigError."""
    return replace(_read_text(source), frame=storable(source.frame or ""))


def _read_text(source: PromptConfig) -> Prompt:
    if source.file is not None:
        path = Path(source.file)
        documents = {".yaml": parse_yaml, ".yml": parse_yaml, ".json": _parse_json}
        text = read_text(path)
        parse = documents.get(path.suffix.lower())
        if parse is None:
            prompt = parse_prompt(text, literal=source.literal)
        else:
            prompt = _document(parse(text, str(path)), str(path), literal=source.literal)
    elif source.messages is not None:
        messages = tuple(Message(message.role, storable(message.content)) for message in source.messages)
        prompt = Prompt(messages, source.literal)
    else:
        prompt = Prompt.of(storable(source.text or ""), literal=source.literal)
    if not any(message.content.strip() for message in prompt.messages):
        raise ConfigError(Problem("the prompt is empty", Place(source.file) if source.file else None, "write one"))
    return prompt


def parse_prompt(text: str, *, literal: bool = False) -> Prompt:
    """A prompt from its text: one user message, or several where the text begins with a `### role` line.

    The inverse of `Prompt.text`; blank lines around a message are not part of it.
    """
    text = storable(text.replace("\r\n", "\n"))
    first = _HEADING.match(text.lstrip())
    if first is None:
        return Prompt.of(text.removesuffix("\n"), literal=literal)
    parts = _HEADING.split(text)
    messages = (Message(role, content.strip("\n")) for role, content in zip(parts[1::2], parts[2::2], strict=True))
    return Prompt(tuple(messages), literal)


def _parse_json(text: str, file: str) -> Node:
    try:
        return node_of(json.loads(text), Place(file))
    except json.JSONDecodeError as error:
        raise ConfigError(Problem(f"not valid JSON: {error.msg}", Place(file, error.lineno, error.colno))) from None
    except (RecursionError, ValueError):
        raise ConfigError(Problem("not valid JSON: nested too deep, or a number too long", Place(file))) from None


def _document(root: Node, file: str, *, literal: bool) -> Prompt:
    """A prompt from a document: a list of messages, or a map with `messages` or `text`."""
    if root.kind == "list":
        root = Node("map", root.place, entries={"messages": root}, keys={"messages": root.place})
    if root.kind != "map" or "file" in root.entries:
        raise ConfigError(Problem("expected a list of messages, each with role and content", Place(file)))
    try:
        found = PromptConfig.model_validate(root.plain())
    except ValidationError as error:
        problems = [problem_at(root, c, lambda loc: keys_at(PromptConfig, loc)) for c in complaints_of(error)]
        raise ConfigError(problems) from None
    prompt = read_prompt(found)
    return replace(prompt, literal=literal or prompt.literal)
