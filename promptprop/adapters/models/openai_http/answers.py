"""Answers of OpenAI's protocol, read with care: any JSON is a reply or a `ModelError`, nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptprop.adapters.models.failures import (
    Target,
    by_status,
    foreign,
    in_answer,
    said_in,
    spoken,
    textless,
    withheld,
)
from promptprop.adapters.models.parameters import reported_usage, token_count
from promptprop.domain.errors import ModelError, UnreadableAnswer
from promptprop.domain.models import Json, Usage, storable

REASONS = {
    **dict.fromkeys(("length", "max_tokens", "MAX_TOKENS", "compaction"), "length"),
    **dict.fromkeys(("content_filter", "content_filtered", "guardrail_intervened", "sensitive"), "content_filter"),
    **dict.fromkeys(("refusal", "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "content_filter"),
    **dict.fromkeys(("tool_calls", "tool_use"), "tool_calls"),
    "function_call": "function_call",
}
"""Why answers end, in OpenAI's words; any other reason is a normal end."""

_THOUGHT = re.compile(r"<(?:think|thinking|budget:thinking)>.*?</(?:think|thinking|budget:thinking)>(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says. `usage` is None where it names none; `tier` is the tier of service that it names.

    `written` prompt tokens filled the provider's cache, which some charge for.
    """

    text: str
    usage: Usage | None
    reason: str
    model: str
    tier: str | None
    written: int = 0


def read_json(body: bytes, target: Target) -> Json:
    """The JSON of an answer, whatever its content type says. Raises UnreadableAnswer."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise foreign(target) from error


def read_chat(said: Json, target: Target) -> Answer:
    """A chat completion. Raises ModelError: an error in its place, no choice, no text, or withheld by a filter."""
    if not isinstance(said, dict):
        raise foreign(target)
    choices = said.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    choice = choice if isinstance(choice, dict) else {}
    for holder in (said, choice):
        if error := _error_of(holder, target):
            raise error
    if not choice:
        raise UnreadableAnswer(f"{target.model}: an answer without choices")
    reason = _reason(choice.get("finish_reason"))
    if reason == "content_filter":
        raise withheld(target)
    text = _text_of(choice.get("message"))
    if text is None:
        raise textless(target, reason)
    model, tier = said.get("model"), said.get("service_tier")
    named = storable(model) if isinstance(model, str) else ""
    usage = said.get("usage")
    tier = tier if isinstance(tier, str) else None
    return Answer(storable(text), usage_of(usage), reason, named, tier, _written(usage))


def read_vectors(said: Json, count: int, target: Target) -> list[list[float]]:
    """`count` vectors in the order of their texts. Raises ModelError."""
    if not isinstance(said, dict):
        raise foreign(target)
    if error := _error_of(said, target):
        raise error
    rows = said.get("data")
    rows = rows if isinstance(rows, list) else []
    if len(rows) != count:
        raise UnreadableAnswer(f"{target.model}: {len(rows)} vectors for {count} texts")
    try:
        return [[float(value) for value in row["embedding"]] for row in sorted(rows, key=lambda row: int(row["index"]))]
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise foreign(target) from error


def _written(usage: Json) -> int:
    """Prompt tokens that filled the provider's cache, under either name that is in use."""
    if not isinstance(usage, dict):
        return 0
    names = ("cache_write_tokens", "cache_creation_tokens")
    counts = (token_count(_below(usage, "prompt_tokens_details", name)) for name in names)
    return next((count for count in counts if count > 0), 0)


def usage_of(usage: Json) -> Usage | None:
    """Tokens as reported; None where nothing was, or what cannot be.

    >>> usage_of({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}})
    Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=4, reasoning_tokens=0)
    """
    if not isinstance(usage, dict):
        return None
    cached = _below(usage, "prompt_tokens_details", "cached_tokens")
    reasoning = _below(usage, "completion_tokens_details", "reasoning_tokens")
    hit = cached if token_count(cached) else usage.get("prompt_cache_hit_tokens")
    return reported_usage(usage.get("prompt_tokens"), usage.get("completion_tokens"), hit, reasoning)


def refusal(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> ModelError:
    """The error for an HTTP status ≥ 400, with what the body says."""
    whole = body.decode("utf-8", "replace")
    try:
        said = json.loads(whole)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, list) and said:
        said = said[0]  # as Gemini wraps its errors
    text, code = _words(said.get("error", said) if isinstance(said, dict) else None)
    what = spoken(text or said_in(whole) or f"HTTP {status}", target, code)
    return by_status(status, headers, f"{target.model}: {what}", target, whole)


def _error_of(holder: dict[str, Any], target: Target) -> ModelError | None:
    """The error that stands where an answer should: gateways send it with status 200."""
    error = holder.get("error")
    text, code = _words(error)
    given = error if isinstance(error, dict) else {}
    if not (text or code or given.get("code")):
        return None  # some send an empty error with every answer
    return in_answer(text, given.get("code"), given.get("type"), target)


def _words(error: Json) -> tuple[str, str]:
    """What an error says, and its code where that is a word."""
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    message, code = error.get("message") or error.get("detail"), error.get("code")
    text = message if isinstance(message, str) else json.dumps(message) if message else ""
    return text, code if isinstance(code, str) and not code.isdigit() else ""


def _reason(reason: Json) -> str:
    return REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"


def _text_of(message: Json) -> str | None:
    """The words of a message without a leading thought; a refusal's are an answer too, to be judged as any other."""
    if not isinstance(message, dict):
        return None
    content = joined(message.get("content"))
    if content is None:
        content = message.get("refusal")
        return content if isinstance(content, str) else None
    if content.startswith("<") and (thought := _THOUGHT.match(content)) and message.get("reasoning_content") is None:
        return thought[1]
    return content


def joined(content: Json) -> str | None:
    """The text of a message's content, which may come in parts; None where there is none.

    >>> joined([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    'ab'
    """
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if texts else None
    return content if isinstance(content, str) else None


def _below(value: dict[str, Any], *names: str) -> Json:
    found: Json = value
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found
