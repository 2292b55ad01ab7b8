"""Which environment variable holds a model's key: known without loading any vendor library.

So a model without a key is an error before anything starts, and not after the first calls have been paid for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from promptprop.domain.models import Json
from promptprop.domain.settings import is_loopback, names_secret

KEYS: dict[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "mistral": ("MISTRAL_API_KEY",),
    "codestral": ("CODESTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY", "OR_API_KEY"),
    "azure": ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_AD_TOKEN"),
    "azure_ai": ("AZURE_AI_API_KEY",),
    "cohere": ("COHERE_API_KEY", "CO_API_KEY"),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
    "cerebras": ("CEREBRAS_API_KEY",),
    "deepinfra": ("DEEPINFRA_API_KEY",),
    "nvidia_nim": ("NVIDIA_NIM_API_KEY",),
    "huggingface": ("HF_TOKEN", "HUGGINGFACE_API_KEY"),
    "voyage": ("VOYAGE_API_KEY",),
    "moonshot": ("MOONSHOT_API_KEY",),
    "replicate": ("REPLICATE_API_KEY", "REPLICATE_API_TOKEN"),
}
"""Providers whose key is one variable; any of those named will do, the first is the one to recommend."""

TOKENS = ("AZURE_AD_TOKEN", "ANTHROPIC_AUTH_TOKEN")
"""Variables that authenticate in another way than a key does: the vendor library must read them itself."""

WIRE = ("extra_headers", "extra_query", "extra_body")
"""Parameters that are sent as they are: who writes a reference there keeps something out of the configuration."""

FAMILIES: tuple[tuple[str, str], ...] = (
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("claude-", "anthropic"),
)
"""Names that stand for a provider without its prefix."""


def provider_of(model: str) -> str | None:
    """The provider that a model's name stands for, None where it cannot be told.

    >>> provider_of("gemini/gemini-2.5-flash"), provider_of("gpt-5"), provider_of("mine")
    ('gemini', 'openai', None)
    """
    prefix, slash, _ = model.partition("/")
    if slash:
        return prefix
    return next((provider for start, provider in FAMILIES if model.startswith(start)), None)


def missing_key(model: str, api_base: str | None, env: Mapping[str, str]) -> str | None:
    """The environment variable that this model needs and `env` lacks; None where nothing is known to be missing.

    Servers on this machine need no key, and of providers that are not listed (clouds with credential files, local
    runtimes) nothing is known.

    >>> missing_key("openai/gpt-5", None, {}), missing_key("openai/gpt-5", None, {"OPENAI_API_KEY": "k"})
    ('OPENAI_API_KEY', None)
    """
    if is_loopback(api_base):
        return None
    names = KEYS.get(provider_of(model) or "", ())
    if not names or any(env.get(name, "").strip() for name in names):
        return None
    return names[0]


def find_key(model: str, api_base: str | None, env: Mapping[str, str]) -> str | None:
    """The key for this model in `env`, for a client that must not depend on the process environment (a `.env` file).

    None where there is none, or where the model's server is on this machine.
    """
    if is_loopback(api_base):
        return None
    names = [name for name in KEYS.get(provider_of(model) or "", ()) if name not in TOKENS]
    return next((env[name].strip() for name in names if env.get(name, "").strip()), None)


def secrets_below(resolved: Json, written: Json, name: str = "", *, wire: bool = False) -> Iterator[str]:
    """The secrets in a model's parameters: texts under a secret's name, and what references in WIRE stand for.

    `written` is the same as the configuration has it, with references. Of a header such as `Bearer KEY` the words are
    secrets as well.

    >>> written = {"extra_headers": {"x-team": "Bearer ${env:T}", "x-title": "shop"}, "token": "k2", "mode": "m"}
    >>> list(secrets_below({**written, "extra_headers": {"x-team": "Bearer k1", "x-title": "shop"}}, written))
    ['Bearer k1', 'k1', 'k2']
    """
    if isinstance(resolved, Mapping):
        for key, value in resolved.items():
            below = written.get(key) if isinstance(written, Mapping) else None
            yield from secrets_below(value, below, key, wire=wire or name in WIRE or "header" in name.lower())
    elif isinstance(resolved, list | tuple):
        for index, value in enumerate(resolved):
            below = written[index] if isinstance(written, list | tuple) and index < len(written) else None
            yield from secrets_below(value, below, name, wire=wire)
    elif isinstance(resolved, str) and (names_secret(name) or (wire and resolved != written)):
        yield resolved
        yield from resolved.split()[1:]
