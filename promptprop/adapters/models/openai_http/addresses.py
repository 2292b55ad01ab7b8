"""Which models the fast client serves, and where: providers that speak OpenAI's protocol, and their addresses.

Addresses and variables are those that LiteLLM knows, so that a model is found in the same place by both clients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from promptprop.adapters.models.keys import KEYS, find_key, provider_of
from promptprop.adapters.models.parameters import NO_KEY
from promptprop.domain.models import Json
from promptprop.domain.settings import is_loopback


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider is: the variables that move it, its own address, the variables of its key.

    `plain` tells that LiteLLM changes nothing in a chat that goes there but parameters that are not in `KEPT`; `own`
    that all parameters pass.
    """

    bases: tuple[str, ...] = ()
    base: str | None = None
    keys: tuple[str, ...] = ()
    plain: bool = False
    own: bool = False


PROVIDERS: dict[str, Provider] = {
    "openai": Provider(("OPENAI_BASE_URL", "OPENAI_API_BASE"), "https://api.openai.com/v1", own=True),
    "hosted_vllm": Provider(("HOSTED_VLLM_API_BASE",), keys=("HOSTED_VLLM_API_KEY",), own=True),
    "lm_studio": Provider(("LM_STUDIO_API_BASE",), keys=("LM_STUDIO_API_KEY",), own=True),
    "litellm_proxy": Provider(("LITELLM_PROXY_API_BASE",), keys=("LITELLM_PROXY_API_KEY",), own=True),
    "custom_openai": Provider(("OPENAI_BASE_URL", "OPENAI_API_BASE"), keys=("OPENAI_API_KEY",), own=True),
    "openai_like": Provider(("OPENAI_LIKE_API_BASE",), keys=("OPENAI_LIKE_API_KEY",), own=True),
    "ollama": Provider(keys=("OLLAMA_API_KEY",)),
    "ollama_chat": Provider(keys=("OLLAMA_API_KEY",)),
    "groq": Provider(("GROQ_API_BASE",), "https://api.groq.com/openai/v1", plain=True),
    "together_ai": Provider(("TOGETHER_AI_API_BASE",), "https://api.together.ai/v1", plain=True),
    "deepinfra": Provider(("DEEPINFRA_API_BASE",), "https://api.deepinfra.com/v1/openai", plain=True),
    "cerebras": Provider(("CEREBRAS_API_BASE",), "https://api.cerebras.ai/v1", plain=True),
    "nvidia_nim": Provider(("NVIDIA_NIM_API_BASE",), "https://integrate.api.nvidia.com/v1", plain=True),
    # those below only on demand: LiteLLM rewrites messages, parameters, usage or money on the way
    "openrouter": Provider(("OPENROUTER_API_BASE", "OR_API_BASE"), "https://openrouter.ai/api/v1"),
    "deepseek": Provider(("DEEPSEEK_API_BASE",), "https://api.deepseek.com/beta"),
    "fireworks_ai": Provider(("FIREWORKS_API_BASE",), "https://api.fireworks.ai/inference/v1"),
    "mistral": Provider(("MISTRAL_API_BASE",), "https://api.mistral.ai/v1"),
    "moonshot": Provider(("MOONSHOT_API_BASE",), "https://api.moonshot.ai/v1"),
    "perplexity": Provider(("PERPLEXITY_API_BASE",), "https://api.perplexity.ai"),
    "xai": Provider(("XAI_API_BASE",), "https://api.x.ai/v1"),
    "gemini": Provider((), "https://generativelanguage.googleapis.com/v1beta/openai"),
}

KEPT = frozenset({"stop", "extra_headers", "extra_body", "extra_query"})
"""Parameters that LiteLLM passes on to every plain provider."""

LITELLMS = re.compile(
    r"_|.*cost|.*_router_|(?:litellm|aws|azure|anthropic|arize|bedrock|langfuse|langsmith|posthog|newrelic|signoz|s3|gcs"
    r"|dd|humanloop|weave|wandb|regional|auto_router|openai|gemini|vertex|fireworks|hf|max_agentic|max_file|mock|stream)_"
    r"|prompt_(?:id|label|variables|version|environment)$|.*_timeout$"
)
LITELLMS_OWN = frozenset(
    {
        *("acompletion", "aembedding", "aimg_generation", "allm_passthrough_route", "allow_client_keepalive_override"),
        *("allowed_model_region", "allowed_openai_params", "additional_drop_params", "drop_params", "api_version"),
        *("assistant_continue_message", "async_call", "atext_completion", "attempted_targets", "azure", "base_model"),
        *("bos_token", "budget_duration", "cache_control_injection_points", "cache_key", "caching_groups", "client"),
        *("client_id", "client_secret", "client_side_timeout", "complete_response", "completion_call_id"),
        *("configurable_clientside_auth_params", "context_management", "cooldown_time", "custom_llm_provider"),
        *("custom_prompt_dict", "data_residency", "default_api_key_rpm_limit", "default_api_key_tpm_limit"),
        *("default_headers", "deployment_id", "disable_add_transform_inline_image_block"),
        *("enable_json_schema_validation", "enable_prompt_caching", "enable_tag_filtering"),
        *("ensure_alternating_roles", "eos_token", "fallback_depth", "fastest_response", "final_prompt_value"),
        *("force_timeout", "guardrails", "headers", "id", "itpm", "keepalive_seconds", "log_client_error_tracebacks"),
        *("max_budget", "max_fallbacks", "max_parallel_requests", "merge_reasoning_content_in_choices", "metadata"),
        *("model_alias_map", "model_config", "model_file_id_mapping", "model_info", "model_list", "no-log", "order"),
        *("otpm", "output_vector_size", "preset_cache_key", "provider_affinity_header", "provider_specific_header"),
        *("proxy_server_request", "region_name", "roles", "routing_strategy", "rpm", "rust", "search_tool_name"),
        *("secret_fields", "self", "shared_session", "silent_model", "ssl_verify", "supports_system_message"),
        *("tag_regex", "tags", "tenant_id", "text_completion", "tiered_pricing", "timeout_by_service_tier", "tpm"),
        *("ttl", "turn_off_message_logging", "use_chat_completions_api", "use_client", "use_in_pass_through"),
        *("use_litellm_proxy", "use_xai_oauth", "user_continue_message", "weight"),
    }
)
"""What LiteLLM takes for itself and does not send."""

ELSEWHERE = frozenset(
    {"tools", "functions", "function_call", "tool_choice", "web_search_options", "audio", "modalities"}
)
"""Parameters for which LiteLLM may choose another of OpenAI's protocols."""

_NOT_CHAT = re.compile(
    r"responses/|azure/|text-completion|(?:ft:)?(?:davinci|babbage)|codex-|computer-use|tts-|whisper|dall-e|sora|container"
    r"|(?:omni|text)-moderation|gpt-(?:live|image|daybreak)|(?:gpt-|chatgpt-|o\d).*"
    r"(?:audio|realtime|-tts|transcribe|-image|-instruct|-codex|-pro(?:-|$)|deep-research)"
)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model is: its name there, the address, and the key, None where none is known."""

    name: str
    api_base: str
    key: str | None
    provider: str


def applies(model: str, api_base: str | None, params: Mapping[str, Json], environment: Mapping[str, str]) -> bool:
    """True where the fast client surely sends what LiteLLM would, and to where it would.

    >>> applies("gpt-4o-mini", None, {}, {}), applies("anthropic/claude-sonnet-4-5", None, {}, {})
    (True, False)
    """
    name = provider_of(model) or ""
    provider = PROVIDERS.get(name)
    if provider is None or find_route(model, api_base, None, environment) is None:
        return False
    if environment.get("USE_LITELLM_PROXY", "").lower() in ("1", "true"):
        return False
    if any(takes_for_itself(param) or param in ELSEWHERE for param in params):
        return False
    if name.startswith("ollama"):
        return _speaks_v1(api_base)
    if name == "openai" and (_NOT_CHAT.match(_bare(model)) or isinstance(params.get("reasoning_effort"), Mapping)):
        return False
    return provider.own or (provider.plain and set(params) <= KEPT)


def takes_for_itself(param: str) -> bool:
    """True for a parameter that is meant for LiteLLM and never for a provider.

    >>> takes_for_itself("input_cost_per_token"), takes_for_itself("top_k"), takes_for_itself("prompt_cache_key")
    (True, False, False)
    """
    return param in LITELLMS_OWN or LITELLMS.match(param) is not None


def find_route(model: str, api_base: str | None, key: str | None, environment: Mapping[str, str]) -> Route | None:
    """Where this model is; None where no address is known that speaks OpenAI's protocol.

    >>> find_route("groq/llama-3.3-70b", None, "k", {})
    Route(name='llama-3.3-70b', api_base='https://api.groq.com/openai/v1', key='k', provider='groq')
    """
    name = provider_of(model) or ""
    provider = PROVIDERS.get(name, Provider())
    moved = next((environment[variable] for variable in provider.bases if environment.get(variable)), None)
    base = api_base or moved or provider.base
    if not base:
        return None
    known = name in PROVIDERS or name in KEYS
    key = key or find_key(model, base, environment) or _own_key(provider, base, environment)
    if key is None and (is_loopback(base) or (known and not KEYS.get(name))):
        key = NO_KEY
    return Route(_bare(model) if known else model, base.rstrip("/"), key, name)


def _own_key(provider: Provider, base: str, environment: Mapping[str, str]) -> str | None:
    if is_loopback(base) and provider.keys == ("OPENAI_API_KEY",):
        return None
    return next((environment[name].strip() for name in provider.keys if environment.get(name, "").strip()), None)


def _bare(model: str) -> str:
    return model.partition("/")[2] or model


def _speaks_v1(api_base: str | None) -> bool:
    return (api_base or "").rstrip("/").endswith("/v1")
