"""A request as it goes over the wire: what does not change from call to call is written once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptprop.adapters.models.openai_http.families import suited, takes_system
from promptprop.domain.models import Json, Message, storable

APART = frozenset({"extra_body", "extra_headers", "extra_query", "organization"})
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=dict).encode


@dataclass(frozen=True, slots=True)
class Frame:
    """A request but for what is asked: the JSON around it, headers and query that come on top."""

    head: str
    tail: str
    headers: Mapping[str, str]
    query: Mapping[str, str]

    def chat(self, messages: Sequence[Message]) -> bytes:
        """The body for these messages, in UTF-8; characters that UTF-8 cannot carry are replaced."""
        said = [{"role": message.role, "content": storable(message.content)} for message in messages]
        return f"{self.head}{_encode(said)}{self.tail}".encode()

    def texts(self, texts: Sequence[str]) -> bytes:
        """The body for texts to embed."""
        return f"{self.head}{_encode([storable(text) for text in texts])}{self.tail}".encode()


def frame_chat(name: str, parameters: Mapping[str, Json], *, openai: bool) -> Frame:
    """The frame of a chat with model `name`; `openai` tells that OpenAI's own models answer to such names there."""
    fields, headers, query = _parted(parameters)
    return _framed(name, "messages", suited(name, fields) if openai else fields, headers, query)


def frame_texts(name: str, parameters: Mapping[str, Json]) -> Frame:
    """The frame of texts to embed with model `name`."""
    fields, headers, query = _parted(parameters)
    return _framed(name, "input", fields, headers, query)


def heard(messages: Sequence[Message], name: str) -> Sequence[Message]:
    """The messages under the roles that OpenAI's model `name` is sent."""
    if takes_system(name):
        return messages
    return [Message("user", said.content) if said.role == "system" else said for said in messages]


def _framed(name: str, what: str, fields: dict[str, Json], headers: dict[str, str], query: dict[str, str]) -> Frame:
    given = storable(_encode({key: value for key, value in fields.items() if value is not None}))
    tail = "}" if given == "{}" else f",{given[1:]}"
    return Frame(f'{{"model":{_encode(storable(name))},"{what}":', tail, headers, query)


def _parted(parameters: Mapping[str, Json]) -> tuple[dict[str, Json], dict[str, str], dict[str, str]]:
    """What belongs into the body, the headers and the query; `extra_body` outranks what is named beside it."""
    fields: dict[str, Any] = {key: value for key, value in parameters.items() if key not in APART}
    fields |= {key: value for key, value in _mapping(parameters.get("extra_body")).items() if key != "model"}
    for name in ("messages", "input", "stream"):
        fields.pop(name, None)  # the prompt says what is sent, and answers are read whole
    headers = {key: str(value) for key, value in _mapping(parameters.get("extra_headers")).items()}
    if organization := parameters.get("organization"):
        headers = {"OpenAI-Organization": str(organization), **headers}
    query = {key: str(value) for key, value in _mapping(parameters.get("extra_query")).items()}
    return fields, headers, query


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
