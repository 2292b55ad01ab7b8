"""Whom to ask which models a key can reach: providers, their addresses, and how each lists its models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from promptprop.adapters.models.keys import KEYS, provider_of
from promptprop.adapters.models.openai_http.addresses import PROVIDERS, Provider
from promptprop.domain.settings import is_loopback

Dialect = Literal["openai", "anthropic", "gemini", "cohere"]

NATIVE: dict[str, Provider] = {
    "anthropic": Provider(("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"), "https://api.anthropic.com"),
    "gemini": Provider(("GEMINI_API_BASE",), "https://generativelanguage.googleapis.com"),
    "cohere": Provider(("COHERE_API_BASE",), "https://api.cohere.com/v1"),
    "huggingface": Provider((), "https://router.huggingface.co/v1"),
    "ollama": Provider(("OLLAMA_API_BASE",), "http://localhost:11434"),
    "ollama_chat": Provider(("OLLAMA_API_BASE",), "http://localhost:11434"),
}
"""Where providers list their models that are not, or not there, among those that speak OpenAI's protocol."""

SILENT = ("perplexity", "custom_openai")  # the first lists nothing; the second is OpenAI's address by another name
DIALECTS: dict[str, Dialect] = {"anthropic": "anthropic", "gemini": "gemini", "cohere": "cohere"}
BEARERS = ("ANTHROPIC_AUTH_TOKEN",)  # sent as a bearer token, where the provider's keys are not
_CALLS = ("/chat/completions", "/messages", "/v1/messages")


@dataclass(frozen=True, slots=True)
class Source:
    """One server to ask. `prefix` comes before the names it lists, so that they read as a configuration writes them.

    `variable` is the environment variable of the key, `alias` the model of a configuration that names this server.
    """

    provider: str
    base: str
    dialect: Dialect = "openai"
    key: str | None = field(default=None, repr=False)
    variable: str = ""
    alias: str = ""

    @property
    def prefix(self) -> str:
        """`gemini/` and the like; nothing where the configuration names a model without its provider."""
        return f"{self.provider}/" if self.provider else ""

    @property
    def custom(self) -> bool:
        """True where models of this server need `api_base` in a configuration."""
        return bool(self.alias) and self.base != base_of(self.provider, {})

    @property
    def bearer(self) -> bool:
        """True where the key goes into `Authorization`."""
        return self.dialect in ("openai", "cohere") or self.variable in BEARERS


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A provider with a key that has no listing to ask."""

    provider: str
    variable: str


def key_variable(provider: str, env: Mapping[str, str]) -> str | None:
    """The variable that holds this provider's key in `env`, None where there is none.

    >>> key_variable("gemini", {"GOOGLE_API_KEY": "k", "GEMINI_API_KEY": " "}), key_variable("gemini", {})
    ('GOOGLE_API_KEY', None)
    """
    return next((name for name in KEYS.get(provider, ()) if env.get(name, "").strip()), None)


def base_of(provider: str, env: Mapping[str, str]) -> str | None:
    """Where `provider` lists its models: a variable that moves it, else its known address; None where it has none.

    >>> base_of("groq", {"GROQ_API_BASE": "http://127.0.0.1:1/v1/"}), base_of("voyage", {})
    ('http://127.0.0.1:1/v1', None)
    """
    known = NATIVE.get(provider) or PROVIDERS.get(provider)
    if known is None or provider in SILENT:
        return None
    moved = next((env[name] for name in known.bases if env.get(name, "").strip()), known.base)
    return _listing_base(provider, moved) if moved else None


def key_sources(env: Mapping[str, str]) -> Iterator[Source | Unlisted]:
    """What the variables in `env` open: first by keys, in the order of their table, then servers of one's own."""
    for provider in KEYS:
        variable = key_variable(provider, env)
        if variable is None:
            continue
        base = base_of(provider, env)
        if base is None:
            yield Unlisted(provider, variable)
        else:
            yield Source(provider, base, DIALECTS.get(provider, "openai"), env[variable].strip(), variable)
    for provider, known in PROVIDERS.items():
        if provider not in KEYS and provider not in NATIVE and known.base is None and (base := base_of(provider, env)):
            variable = next((name for name in known.keys if env.get(name, "").strip()), "")
            yield Source(provider, base, "openai", env[variable].strip() if variable else None, variable)


def model_source(alias: str, model: str, api_base: str | None, api_key: str | None, env: Mapping[str, str]) -> Source:
    """The server that a configured model is on, references resolved. Its `base` is empty where none can be asked.

    A server of an `api_base` gets the key that a run would send it: none to a server on this machine.
    """
    provider = provider_of(model) or ""
    variable = "" if api_key or is_loopback(api_base) else key_variable(provider, env) or ""
    key = api_key or (env[variable].strip() if variable else None)
    base = _listing_base(provider, api_base) if api_base else base_of(provider, env) or ""
    return Source(provider, base, DIALECTS.get(provider, "openai"), key, variable, alias)


def _listing_base(provider: str, base: str) -> str:
    """The base below which `/models` lies: without the path of a call, and without the version that Anthropic adds."""
    base = base.strip().rstrip("/")
    for path in _CALLS:
        base = base.removesuffix(path)
    if provider == "anthropic":
        return base.removesuffix("/v1")
    if provider == "gemini":
        return base.removesuffix("/openai").removesuffix("/v1beta")
    return base.removesuffix("/beta") if provider == "deepseek" else base
