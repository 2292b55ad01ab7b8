"""The reflector: a library's own question in its own words, answered by the model of the rewriter."""

from __future__ import annotations

from collections.abc import Mapping

from promptprop.domain.models import Json, Message


class Reflector:
    """Inputs: `prompt`, the complete text of the question. Reply: any text; the library reads it itself."""

    name = "reflector"
    summary = "answers the question of a library in its own words"
    reply_schema: Mapping[str, Json] = {"type": "string"}

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """One user message."""
        return (Message("user", str(inputs["prompt"])),)

    def parse(self, text: str, inputs: Mapping[str, Json]) -> str:  # noqa: ARG002 - the port's
        """The reply as it is. Raises ValueError where there is none."""
        if not text.strip():
            raise ValueError("the reply is empty")
        return text
