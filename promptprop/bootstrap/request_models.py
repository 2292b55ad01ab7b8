"""The models that a request names: at allowed addresses, of known providers, within limits, and without keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

from promptprop.adapters.models.keys import KEYS, provider_of
from promptprop.domain.errors import Problem
from promptprop.domain.model_config import ModelConfig
from promptprop.domain.models import Json
from promptprop.domain.serve_config import ApiBaseConfig, ServeConfig, read_address
from promptprop.domain.settings import is_loopback

PARAMS = frozenset(
    {
        *("stop", "seed", "top_k", "top_a", "min_p", "typical_p", "presence_penalty", "frequency_penalty"),
        *("repetition_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "reasoning_effort"),
        *("verbosity", "thinking", "dimensions", "encoding_format", "safety_settings", "parallel_tool_calls"),
    }
)
"""What a request may pass through to a provider: how an answer is drawn, never where it comes from or who pays."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]*(/[A-Za-z0-9][A-Za-z0-9._:@+-]*)*")
LONGEST_NAME = 200
OFFLINE = "offline"


def lent_model(model: ModelConfig, serve: ServeConfig, key: str) -> tuple[ModelConfig, list[Problem]]:
    """The model of a request as it may be called, and what keeps it from being called.

    An `api_base` is replaced by the spelling that was compared, and gets the key and the price of the entry that allows
    it. `key` is the dotted path that problems name.
    """
    problems = [*_name_problems(model, serve), *_limit_problems(model, serve), *_parameter_problems(model)]
    if model.price is not None and serve.budget.usd is not None:
        problems.append(Problem("price: the server caps money by its own prices", remedy="leave it out"))
    if model.api_base is not None:
        model, found = _addressed(model, serve)
        problems += found
    return model, [Problem(f"{key}.{problem.message}", remedy=problem.remedy) for problem in problems]


def _name_problems(model: ModelConfig, serve: ServeConfig) -> Iterator[Problem]:
    if len(model.model) > LONGEST_NAME or not _NAME.fullmatch(model.model) or ".." in model.model:
        yield Problem("model: not the name of a model", remedy="write provider/name, such as openai/gpt-5")
        return
    provider = provider_of(model.model)
    known = {*KEYS, OFFLINE, *serve.providers}
    if model.api_base is None and provider not in known and model.model not in lent_names(serve):
        yield Problem(
            f"model: the server lends no models of {provider!r}" if provider else "model: names no provider",
            remedy="name another provider as in openai/gpt-5, or have serve.providers list this one",
        )


def lent_names(serve: ServeConfig) -> set[str]:
    """The names of the server's own models, which requests may use without more ado."""
    return {model.model for model in serve.models.lent.values()}


def _limit_problems(model: ModelConfig, serve: ServeConfig) -> Iterator[Problem]:
    limits = serve.limits
    asked: dict[str, tuple[float, float]] = {
        "timeout": (model.timeout, limits.timeout),
        "patience": (model.patience, limits.timeout),
        "concurrency": (model.concurrency, limits.concurrency),
        "retries": (model.retries, limits.retries),
        "max_tokens": (model.max_tokens or 0, limits.max_tokens),
    }
    for name, (value, most) in asked.items():
        if value > most:
            yield Problem(f"{name}: must be at most {most:g} here, got {value:g}", remedy="ask for less")


def _parameter_problems(model: ModelConfig) -> Iterator[Problem]:
    for name in model.params:
        if name not in PARAMS:
            yield Problem(f"params: a request cannot set {name[:60]!r}", remedy=f"known: {', '.join(sorted(PARAMS))}")


def _addressed(model: ModelConfig, serve: ServeConfig) -> tuple[ModelConfig, list[Problem]]:
    address = read_address(model.api_base or "")
    if isinstance(address, str):
        return model, [Problem(f"api_base: this address {address}", remedy="write a plain address")]
    entry = serve.allowed(address)
    if entry is None:
        remedy = "leave it out, or have the server list it under serve.api_bases"
        return model, [Problem("api_base: the server lends no models at this address", remedy=remedy)]
    if model.client == "litellm":  # it follows redirects, to wherever they lead
        return model, [Problem("client: only the http client calls an api_base of a request", remedy="leave it out")]
    if problem := _key_problem(model, entry):
        return model, [problem]
    found: dict[str, Json] = {"api_base": str(address), "api_key": entry.api_key, "client": "http"}
    return model.model_copy(update={**found, "price": model.price or entry.price}), []


def _key_problem(model: ModelConfig, entry: ApiBaseConfig) -> Problem | None:
    """Without a key of its own, an address must not be sent the key of the provider that a request happens to name."""
    if entry.api_key is not None or is_loopback(entry.url) or provider_of(model.model) not in KEYS:
        return None
    return Problem(
        f"model: the server has no key of {provider_of(model.model)!r} for this address",
        remedy="name it hosted_vllm/NAME or openai_like/NAME, or have its entry in serve.api_bases give an api_key",
    )
