"""Trying a model with the client that a run would use: one cheap call, and one that asks for structured output."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from promptprop.domain.errors import (
    ConfigError,
    ModelError,
    PromptPropError,
    RequestRefused,
    UnreadableAnswer,
    UsageError,
)
from promptprop.domain.models import Json, Message, ModelRequest, Reply, Usage

if TYPE_CHECKING:
    from promptprop.domain.budget import Price
    from promptprop.domain.config import RunConfig
    from promptprop.domain.model_config import ModelConfig
    from promptprop.domain.serve_config import ServeConfig
    from promptprop.ports import ModelClient

Structured = Literal["json_schema", "json_object", "none", "unknown"]

MAX_TOKENS = 1024  # room for a model's thoughts; only what is used is paid for
GREETING = "Answer with the single word: ready"
QUESTION = "Which colour does a clear sky have at noon?"  # that nobody would answer in JSON of his own accord
ASKED_FOR_JSON = f'{QUESTION} Answer with a JSON object such as {{"colour": "green"}}.'
SCHEMA: Json = {
    "type": "object",
    "properties": {"colour": {"type": "string"}},
    "required": ["colour"],
    "additionalProperties": False,
}
FORMATS: Mapping[Literal["json_schema", "json_object"], tuple[str, Json]] = {
    "json_schema": (
        QUESTION,
        {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}},
    ),
    "json_object": (ASKED_FOR_JSON, {"type": "json_object"}),
}
EMBEDDERS = ("voyage",)  # providers whose models do nothing but embed


@dataclass(frozen=True, slots=True)
class Ping:
    """What became of trying one model. `aliases` are its names in a configuration.

    `seconds` is the latency of the first call, `usage` and `picousd` hold all calls together (None: the price, or for
    embeddings the usage, is not known). `dimensions` is the length of an embedding. A simulated model is not called.
    """

    model: str
    aliases: tuple[str, ...]
    client: str = ""
    calls: int = 0
    seconds: float | None = None
    usage: Usage = field(default_factory=Usage)
    picousd: int | None = 0
    price: Price | None = None
    answered_as: str = ""
    structured: Structured = "unknown"
    structured_error: ModelError | None = None
    dimensions: int | None = None
    simulated: bool = False
    error: PromptPropError | None = None

    @property
    def embeds(self) -> bool:
        """True for a model that was asked for an embedding."""
        return self.dimensions is not None


def ping_json(ping: Ping, told: Callable[[PromptPropError], Json]) -> dict[str, Json]:
    """A ping as `models ping --json` and the API tell it; `told` writes errors down."""
    from promptprop.domain.report import per_million, usd

    price = ping.price
    return {
        "model": ping.model,
        "aliases": list(ping.aliases),
        "client": ping.client,
        "simulated": ping.simulated,
        "ok": ping.error is None,
        "answered_as": ping.answered_as,
        "latency_seconds": None if ping.seconds is None else round(ping.seconds, 3),
        "calls": ping.calls,
        "prompt_tokens": ping.usage.prompt_tokens,
        "completion_tokens": ping.usage.completion_tokens,
        "reasoning_tokens": ping.usage.reasoning_tokens,
        "usd": None if ping.picousd is None else usd(ping.picousd),
        "prompt_usd_per_million": per_million(price.prompt) if price else None,
        "completion_usd_per_million": per_million(price.completion) if price else None,
        "structured_output": None if ping.embeds or ping.simulated else ping.structured,
        "structured_error": told(ping.structured_error) if ping.structured_error else None,
        "dimensions": ping.dimensions,
        "error": told(ping.error) if ping.error else None,
    }


def config_of(model: str, api_base: str | None = None, client: str | None = None) -> RunConfig:
    """The smallest configuration with this model: for a client, not for a run. Raises UsageError."""
    from pydantic import ValidationError

    from promptprop.domain.config import RunConfig

    task = {"model": model, "api_base": api_base, "client": client}
    document = {
        "task": "ping",
        "prompt": GREETING,
        "data": {"file": "ping.jsonl", "inputs": ["text"]},
        "models": {"task": {name: value for name, value in task.items() if value is not None}},
        "metrics": ["exact"],
    }
    try:
        return RunConfig.model_validate(document)
    except ValidationError as error:
        reason = str(error.errors(include_url=False)[0]["msg"])
        raise UsageError(f"{model!r} cannot be called: {reason}", remedy="name it as in openai/gpt-5") from error


def distinct_models(config: RunConfig, alias: str | None = None) -> list[tuple[tuple[str, ...], ModelConfig]]:
    """The models of a configuration, each once, with its aliases. Raises UsageError for an alias that it lacks."""
    found: dict[str, tuple[list[str], ModelConfig]] = {}
    if alias is not None and alias not in config.endpoints:
        known = ", ".join(config.endpoints)
        raise UsageError(f"the configuration has no model {alias!r}", remedy=f"it has {known}")
    for name, model in config.endpoints.items():
        if alias not in (None, name):
            continue
        same = model.model_dump(mode="json", include={"model", "api_base", "api_key", "client", "params"})
        kind = "embed" if name == "embed" else "chat"
        found.setdefault(json.dumps([kind, same], sort_keys=True), ([], model))[0].append(name)
    return [(tuple(names), model) for names, model in found.values()]


async def ping(
    config: RunConfig, aliases: tuple[str, ...], model: ModelConfig, env: Mapping[str, str], seconds: float | None
) -> Ping:
    """Try one model: at most three calls of one attempt each, `seconds` for each (the model's own timeout if None).

    What goes wrong is the ping's `error`.
    """
    from promptprop.adapters.files.environment import resolve_model
    from promptprop.bootstrap.models import choose_client, is_simulated, open_client

    key = f"models.{aliases[0]}"
    begun = Ping(model.model, aliases)
    if is_simulated(model, env):
        return replace(begun, client="offline", simulated=True)
    try:
        resolved = resolve_model(model, env, key)
        begun = replace(begun, model=resolved.model)
        _require_key(resolved, env, key)
        begun = replace(begun, client=choose_client(resolved, env, key))
        client = await open_client(config, model, env, key)
    except PromptPropError as error:
        return replace(begun, error=error)
    try:
        begun = replace(begun, price=client.price())
        within = seconds or model.timeout
        embeds = "embed" in aliases or _embeds(begun.model)
        return await (_embedded(client, begun, within) if embeds else _asked(client, begun, model, within))
    finally:
        await client.close()


def _require_key(model: ModelConfig, env: Mapping[str, str], key: str) -> None:
    from promptprop.bootstrap.models import lacking_key

    variable = lacking_key(model, env)
    if variable:
        raise ConfigError(
            f"{key}: {model.model} needs a key, and {variable} is not set",
            remedy=f"export {variable}=…, put it into .env, or set api_key",
        )


def _embeds(model: str) -> bool:
    """True for a model that can only embed, as its name tells.

    >>> _embeds("openai/text-embedding-3-small"), _embeds("openai/gpt-5")
    (True, False)
    """
    provider, _, name = model.partition("/")
    return provider in EMBEDDERS or "embed" in (name or provider).lower()


async def _embedded(client: ModelClient, begun: Ping, seconds: float) -> Ping:
    started = time.monotonic()
    try:
        vectors = (await client.embed(["ready"], seconds)).rows
    except ModelError as error:
        return replace(begun, calls=1, picousd=None, error=error)
    taken = time.monotonic() - started
    return replace(begun, calls=1, seconds=taken, dimensions=len(vectors[0]), picousd=None)


async def _asked(client: ModelClient, begun: Ping, model: ModelConfig, seconds: float) -> Ping:
    parameters: dict[str, Json] = {"max_tokens": MAX_TOKENS, **model.params}
    try:
        reply = await client.complete(_request(begun, GREETING, parameters), seconds)
    except ModelError as error:
        return replace(_failed(begun, error), error=error)
    found = replace(_counted(begun, reply), seconds=reply.latency, answered_as=reply.model)
    for name, (question, form) in FORMATS.items():
        try:
            reply = await client.complete(_request(begun, question, {**parameters, "response_format": form}), seconds)
        except (RequestRefused, UnreadableAnswer) as refused:
            found = replace(_failed(found, refused), structured="none", structured_error=refused)
            continue
        except ModelError as error:
            return replace(_failed(found, error), structured="unknown", structured_error=error)
        found = _counted(found, reply)
        if _fits(reply.text):
            return replace(found, structured=name, structured_error=None)
        found = replace(found, structured="none")
    return found


def _request(begun: Ping, question: str, parameters: Mapping[str, Json]) -> ModelRequest:
    return ModelRequest("ping", begun.model, (Message("user", question),), parameters)


def _counted(found: Ping, reply: Reply) -> Ping:
    """With one answered call more."""
    known = found.picousd is not None and reply.picousd is not None
    money = (found.picousd or 0) + (reply.picousd or 0) if known else None
    return replace(found, calls=found.calls + 1, usage=found.usage + reply.usage, picousd=money)


def _failed(found: Ping, error: ModelError) -> Ping:
    """With one failed call more: a refusal costs nothing; what the provider may have worked on, nobody knows."""
    return replace(found, calls=found.calls + 1, picousd=None if error.unconfirmed else found.picousd)


def _fits(text: str) -> bool:
    """True where the answer is the object that was asked for."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and isinstance(value.get("colour"), str)


async def ping_lent(
    name: str, api_base: str | None, serve: ServeConfig, env: Mapping[str, str], seconds: float
) -> Ping:
    """Try a model that a request names, where the server lends it; on a thread, since its client may load for seconds.

    Raises ConfigError with what keeps it from being lent.
    """
    from promptprop.bootstrap.request_models import lent_model
    from promptprop.domain.model_config import ModelConfig

    own = next((model for model in serve.models.lent.values() if api_base is None and model.model == name), None)
    config = config_of(name, api_base)
    model = own or config.models.task
    if own is None:
        model, problems = lent_model(ModelConfig(model=name, api_base=api_base), serve, "ping")
        if problems:
            raise ConfigError(problems)
    return await asyncio.to_thread(lambda: asyncio.run(ping(config, ("task",), model, env, seconds)))
