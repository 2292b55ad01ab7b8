"""What LiteLLM says that an answer costs, worked out once a call: its sums are a tenth of what a call takes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from promptprop.adapters.models.prices import billed_price
from promptprop.domain.models import PICO, Json

# parameters that no price hangs on
PLAIN = frozenset({
    "frequency_penalty", "logit_bias", "max_completion_tokens", "max_tokens", "presence_penalty", "reasoning_effort",
    "response_format", "seed", "stop", "temperature", "thinking", "top_k", "top_p", "user",
})  # fmt: skip
# providers whose prices depend on a place that LiteLLM also looks for in the environment
PLACED = ("bedrock", "sagemaker", "vertex_ai")
# in an answer's headers: a cost that its server claims, which LiteLLM takes over unseen
CLAIMED = "llm_provider-x-litellm-response-cost"
# models that LiteLLM asks a server about, blocking, where its list does not know what they cost
ASKING = ("ollama/", "ollama_chat/", "huggingface/")


def cost_of(response: Any, model: str, sent: Mapping[str, Json]) -> int | None:
    """LiteLLM's `completion_cost` of its response in 10⁻¹² USD; None where it knows no price.

    `model` and `sent` are the name and the parameters of the request.
    """
    summed = is_summed(response, model, sent)
    usd = response._hidden_params["response_cost"] if summed else None
    if usd:
        return picousd(usd)
    listed = billed_price(model, str(response.model or ""), parameters=sent)
    if listed is None and (summed or model.startswith(ASKING)):
        return None
    if usd is None:
        usd = _sum(response, model, sent)
    # 0 is also what it says where it lists no price
    return picousd(usd) if usd or (usd is not None and listed is not None) else None


def is_summed(response: Any, model: str, sent: Mapping[str, Json]) -> bool:
    """True where the cost that LiteLLM has left with a response is what `completion_cost` says of it."""
    hidden = getattr(response, "_hidden_params", None)
    if not isinstance(hidden, dict) or "response_cost" not in hidden or not sent.keys() <= PLAIN:
        return False
    provider = str(hidden.get("custom_llm_provider") or model.rpartition("/")[0])
    if not provider or provider.startswith(PLACED):
        return False
    return CLAIMED not in (hidden.get("additional_headers") or {})


def picousd(usd: float) -> int:
    """LiteLLM's money, exactly as it prints it.

    >>> picousd(3e-07)
    300000
    """
    return int((Decimal(str(usd)) * PICO).to_integral_value())


def _sum(response: Any, model: str, sent: Mapping[str, Json]) -> float | None:
    import litellm

    try:
        usd = litellm.completion_cost(
            completion_response=response,
            model=model,
            optional_params={"service_tier": sent.get("service_tier")},
            vertex_location=sent.get("vertex_location"),
        )
    except Exception:  # noqa: BLE001 - LiteLLM raises whatever its table lookup happened to meet
        return None
    return float(usd)
