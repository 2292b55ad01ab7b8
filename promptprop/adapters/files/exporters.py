"""Candidates as files for others: JSON, YAML, a Python module, Markdown and plain text.

A new format is one function from candidate and program to text, and one line in `EXPORTERS`.
"""

from __future__ import annotations

import difflib
import importlib
import json
import re
from collections.abc import Callable
from typing import Any, cast

from promptprop.domain.errors import UsageError
from promptprop.domain.models import Candidate, Json, Program

_HERE = "promptprop.adapters.files.exporters"
EXPORTERS: dict[str, str] = {
    "json": f"{_HERE}:to_json",
    "yaml": f"{_HERE}:to_yaml",
    "python": "promptprop.adapters.files.python_exporter:to_python",
    "markdown": f"{_HERE}:to_markdown",
    "txt": f"{_HERE}:to_txt",
}

Exporter = Callable[[Candidate, Program], "str | bytes"]


def export_prompt(
    candidate: Candidate,
    program: Program,
    format: str,  # noqa: A002  (the word of the command line)
) -> str | bytes:
    """The candidate in one of the registered formats.

    Raises UsageError where the format is unknown, or cannot hold this prompt.
    """
    if format not in EXPORTERS:
        close = difflib.get_close_matches(format, EXPORTERS, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"use one of {', '.join(EXPORTERS)}"
        raise UsageError(f"there is no export format {format!r}", remedy=remedy)
    module, function = EXPORTERS[format].split(":")
    return cast("Exporter", getattr(importlib.import_module(module), function))(candidate, program)


def prompt_document(candidate: Candidate, program: Program) -> Json:
    """The candidate as plain JSON: steps in the order of the chain, with their messages, and the demos."""
    steps = []
    for step in program.steps:
        prompt = candidate.prompts[step.id]
        messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
        framed = {"frame": prompt.frame} if prompt.frame else {}
        steps.append({"id": step.id, "output": step.output, "literal": prompt.literal, **framed, "messages": messages})
    demos = [
        {"example_id": demo.example_id, "inputs": dict(demo.inputs), "output": demo.output} for demo in candidate.demos
    ]
    return {"version": 1, "id": candidate.id, "steps": steps, "demos": demos}


def to_json(candidate: Candidate, program: Program) -> str:
    """`prompt_document` as indented JSON."""
    return json.dumps(prompt_document(candidate, program), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def to_yaml(candidate: Candidate, program: Program) -> str:
    """`prompt_document` as YAML, texts of several lines in blocks; every text reads back exactly."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks."""

    class Quoter(yaml.SafeDumper):
        """Writes every text quoted."""

    def block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    def quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')

    Dumper.add_representer(str, block)
    Quoter.add_representer(str, quoted)
    document = prompt_document(candidate, program)
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 1_000_000}
    text: str = yaml.dump(document, Dumper=Dumper, **options)
    # The emitter has been seen to write blocks that read back otherwise; quotes hold every text.
    if not _reads_back(text, document):
        text = yaml.dump(document, Dumper=Quoter, **{**options, "allow_unicode": False})
    return text


def _reads_back(text: str, document: Json) -> bool:
    """Whether YAML gives the document back."""
    import yaml

    try:
        return bool(yaml.safe_load(text) == document)
    except yaml.YAMLError:
        return False


def to_markdown(candidate: Candidate, program: Program) -> str:
    """A page to read: each message in a fence that its text cannot close."""
    lines = [f"# Prompt {candidate.id}", ""]
    for step in program.steps:
        lines += [f"## Step `{step.id}` → `{step.output}`", ""]
        if frame := candidate.prompts[step.id].frame:
            lines += ["### Frame", "", _fenced(frame, "text"), ""]
        for message in candidate.prompts[step.id].messages:
            lines += [f"### {message.role}", "", _fenced(message.content, "text"), ""]
    if candidate.demos:
        lines += ["## Demos", ""]
    for demo in candidate.demos:
        inputs = json.dumps(dict(demo.inputs), ensure_ascii=False, indent=2)
        lines += ["Inputs:", "", _fenced(inputs, "json"), "", "Output:", "", _fenced(demo.output, "text"), ""]
    return "\n".join(lines)


def _fenced(text: str, language: str) -> str:
    """The text in a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def to_txt(candidate: Candidate, program: Program) -> str:
    """The texts alone, steps and messages under headings where there are several; demos where they are shown.

    A single message without demos is its text, to the last character.
    """
    parts = []
    for step in program.steps:
        messages = candidate.shown(step.id).messages
        one = len(messages) == 1
        text = messages[0].content if one else "\n\n".join(f"### {each.role}\n{each.content}" for each in messages)
        parts.append(text if len(program.steps) == 1 else f"## {step.id}\n{text}")
    return "\n\n".join(parts)
