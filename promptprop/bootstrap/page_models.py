"""Models as the front end names them: a bare name with its provider, and settings of which each model takes some."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptprop.domain.errors import ConfigError, Problem
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.domain.model_config import ModelConfig
    from promptprop.domain.serve_config import ServeConfig

log = logging.getLogger("promptprop.server")

FAMILIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"gemini"), "gemini"),
    (re.compile(r"gpt|o1|o3|o4"), "openai"),
    (re.compile(r"claude"), "anthropic"),
)
"""How bare names begin, and whose they are."""
ALIASES = {"google": "gemini"}
TAKE_TOP_K = frozenset(
    {
        *("gemini", "vertex_ai", "anthropic", "bedrock", "ollama", "ollama_chat", "hosted_vllm", "openrouter"),
        *("together_ai", "fireworks_ai", "deepinfra", "huggingface", "lm_studio"),
    }
)
LONGEST = {"task": 4096, "juror": 4096, "rewriter": 8192}  # tokens: models that think count their thoughts


@dataclass(frozen=True, slots=True)
class PageModel:
    """A model with its settings; None is the provider's default. `provider` counts for unknown bare names alone."""

    model: str
    provider: str = ""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None

    @property
    def settings(self) -> dict[str, Json]:
        """The settings as the page writes them."""
        given = {"topP": self.top_p, "topK": self.top_k}
        return {"temperature": self.temperature, **{name: one for name, one in given.items() if one is not None}}


def full_name(model: str, provider: str = "") -> str:
    """The name with its provider. Raises ConfigError where nobody can tell whose model it is.

    >>> full_name("gemini-2.5-flash", "openai"), full_name("o3"), full_name("groq/x", "y"), full_name("sonar", "mine")
    ('gemini/gemini-2.5-flash', 'openai/o3', 'groq/x', 'mine/sonar')
    """
    name = model.strip()
    if "/" in name:
        return name
    known = next((owner for pattern, owner in FAMILIES if pattern.match(name)), None)
    owner = known or ALIASES.get(provider.strip().lower(), provider.strip().lower())
    if not owner:
        remedy = "write provider/name, or name the provider"
        raise ConfigError(f"whose model {name[:80]!r} is cannot be told", remedy=remedy)
    return f"{owner}/{name}"


def supported(name: str, settings: Mapping[str, Json]) -> dict[str, Json]:
    """Those of the settings that a model takes; what is dropped is logged."""
    from promptprop.adapters.models.openai_http.families import suited

    provider, _, bare = name.partition("/")
    kept = {key: value for key, value in settings.items() if value is not None}
    if provider not in TAKE_TOP_K:
        kept.pop("top_k", None)
    if provider == "openai":
        kept = {key: value for key, value in suited(bare, kept).items() if key in settings}
    if provider == "anthropic":
        if float(kept.get("temperature", 0)) > 1:
            del kept["temperature"]
        if "temperature" in kept:
            kept.pop("top_p", None)  # newer ones take one of both
    dropped = {key: value for key, value in settings.items() if value is not None and key not in kept}
    if dropped:
        log.info("%s does not take %s: left out", name, ", ".join(dropped), extra={"model": name, "dropped": dropped})
    return kept


def lent(wanted: PageModel, role: str, serve: ServeConfig) -> ModelConfig:
    """The model as a run may call it; `role` is task, juror or rewriter. Raises ConfigError with every problem."""
    from promptprop.bootstrap.request_models import lent_model
    from promptprop.domain.model_config import ModelConfig

    name = full_name(wanted.model, wanted.provider)
    settings = {"temperature": wanted.temperature, "top_p": wanted.top_p, "top_k": wanted.top_k}
    kept = supported(name, settings)
    params = {"top_k": kept["top_k"]} if "top_k" in kept else {}
    found = ModelConfig(
        model=name,
        temperature=kept.get("temperature"),
        top_p=kept.get("top_p"),
        params=params,
        max_tokens=min(LONGEST[role], serve.limits.max_tokens),
    )
    found, problems = lent_model(found, serve, role)
    if found.simulated:
        problems.append(Problem(f"{role}: a simulated model knows no rows but its own", remedy="name another model"))
    if problems:
        raise ConfigError(problems)
    return found


def server_rewriter(serve: ServeConfig) -> ModelConfig | None:
    """The model that writes prompts where a request names none."""
    return serve.models.rewriter
