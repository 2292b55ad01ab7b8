"""Prompts as the native API shows them: their texts, what differs between two, and files for others."""

from __future__ import annotations

from typing import Literal

from fastapi import Response
from pydantic import BaseModel, Field

from promptprop.domain.models import Candidate, Json, Program

ExportFormat = Literal["json", "yaml", "python", "markdown", "txt"]
MEDIA: dict[ExportFormat, tuple[str, str]] = {
    "json": ("application/json", "json"),
    "yaml": ("application/yaml", "yaml"),
    "python": ("text/x-python", "py"),
    "markdown": ("text/markdown", "md"),
    "txt": ("text/plain", "txt"),
}


class MessageText(BaseModel):
    """A message of a prompt."""

    role: str = Field(description="system, user or assistant.")
    content: str


class StepText(BaseModel):
    """A step's prompt."""

    id: str
    output: str = Field(description="The variable that the step's answer fills for later steps.")
    literal: bool = Field(description="Whether braces are meant as they are.")
    frame: str | None = Field(None, description="A template around a literal text.")
    messages: list[MessageText]


class DemoText(BaseModel):
    """A worked example that a prompt shows."""

    example_id: str
    inputs: Json
    output: str


class PromptDocument(BaseModel):
    """A prompt as `export?format=json` writes it."""

    version: int = Field(description="Of this form of document.")
    id: str
    steps: list[StepText]
    demos: list[DemoText]


class WordChange(BaseModel):
    """A piece of text that stayed, went or came, in reading order."""

    kind: Literal["same", "removed", "added"]
    text: str


class StepDifference(BaseModel):
    """What differs in one step."""

    step: str
    before: str | None = Field(description="Null where the step was added.")
    after: str | None = Field(description="Null where the step was removed.")
    equal: bool
    lines: list[str] | None = Field(description="A unified diff; null where a text is too long to compare.")
    words: list[WordChange] | None = Field(description="The same by words; null where a text is too long for it.")


class Difference(BaseModel):
    """What differs between two prompts."""

    before: str = Field(description="The name of the first.")
    after: str = Field(description="The name of the second.")
    equal: bool
    steps: list[StepDifference]


def document_of(candidate: Candidate, program: Program) -> PromptDocument:
    """A prompt with its texts, step by step."""
    from promptprop.adapters.files.exporters import prompt_document

    return PromptDocument.model_validate(prompt_document(candidate, program))


def difference_of(before: Candidate, after: Candidate, before_name: str, after_name: str) -> Difference:
    """What differs between two prompts, step by step as the second has them; demos stand where they are shown."""
    steps = [*after.prompts, *(step for step in before.prompts if step not in after.prompts)]
    found = [
        _step_difference(
            step,
            before.shown(step).text if step in before.prompts else None,
            after.shown(step).text if step in after.prompts else None,
            (before_name, after_name),
        )
        for step in steps
    ]
    equal = all(one.equal for one in found)
    return Difference(before=before_name, after=after_name, equal=equal, steps=found)


def _step_difference(step: str, before: str | None, after: str | None, names: tuple[str, str]) -> StepDifference:
    from promptprop.bootstrap.prompt_diff import changed_lines, changed_words

    old, new = before or "", after or ""
    lines, found = changed_lines(old, new, names), changed_words(old, new)
    words = None if found is None else [WordChange.model_validate({"kind": kind, "text": text}) for kind, text in found]
    return StepDifference(step=step, before=before, after=after, equal=before == after, lines=lines, words=words)


EXPORTED: dict[int | str, dict[str, Json]] = {
    200: {
        "description": "The prompt as a file.",
        "content": {media: {"schema": {"type": "string"}} for media, _ in MEDIA.values()},
    }
}
"""The `responses=` of a route that exports."""
for media in (MEDIA["json"][0], MEDIA["yaml"][0]):
    EXPORTED[200]["content"][media] = {"schema": {"$ref": "#/components/schemas/PromptDocument"}}


def exported(candidate: Candidate, program: Program, form: ExportFormat, name: str) -> Response:
    """A prompt as a file of this name, its ending apart. Raises UsageError where the format cannot hold it."""
    from promptprop.adapters.files.exporters import export_prompt

    data = export_prompt(candidate, program, form)
    media, ending = MEDIA[form]
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "-" for char in name[:100])
    headers = {"Content-Disposition": f'attachment; filename="{plain or "prompt"}.{ending}"'}
    return Response(data, media_type=media, headers=headers)
