"""What OpenAI's reasoning models do not take: the same parameters are dropped or renamed as by LiteLLM.

OpenAI refuses a request with, say, a temperature for such a model. A parity test compares the bodies of both clients
for every chat model of OpenAI that LiteLLM lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from promptprop.domain.models import Json

DATED = r"(?:-\d{4}-\d{2}-\d{2})?"
SAMPLING = frozenset({"logprobs", "top_logprobs", "top_p"})
_O_SERIES = re.compile(rf"o\d(?:-mini|-pro|-deep-research|-mini-deep-research)?{DATED}")
_NO_THOUGHT = re.compile(r"(?:gpt-3\.5|gpt-4|gpt-5-chat|chatgpt-4)")
_O_DROPS = SAMPLING | {"presence_penalty", "frequency_penalty", "parallel_tool_calls", "verbosity", "thinking"}
_GPT5_DROPS = frozenset(
    {
        *("presence_penalty", "frequency_penalty", "stop", "logit_bias", "modalities", "prediction", "audio"),
        *("web_search_options", "thinking"),
    }
)
_SEARCH_KEEPS = frozenset(
    {
        *("max_tokens", "max_completion_tokens", "web_search_options", "service_tier", "safety_identifier"),
        *("response_format", "user", "store", "verbosity"),
    }
)
_SEARCH_DROPS = _O_DROPS | _GPT5_DROPS | {"temperature", "seed", "reasoning_effort", "prompt_cache_key"}


@dataclass(frozen=True, slots=True)
class Efforts:
    """Which efforts of reasoning a model takes besides the usual ones, which it refuses, and whether none is usual."""

    takes: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    none_by_default: bool = False

    def refused(self, level: str) -> bool:
        """True for a level that this model does not take: `xhigh` unless it is said to, others if said not to."""
        return level not in self.takes if level == "xhigh" else level in self.refuses

    def silent(self, level: str | None) -> bool:
        """True where the model does not think before it answers, and so can be sampled as others are."""
        thinks = not self.none_by_default if level is None else level != "none"
        return "none" in self.takes and not thinks


_NONE, _MINIMAL, _MORE = frozenset({"none"}), frozenset({"minimal"}), frozenset({"none", "xhigh"})
_EFFORTS: tuple[tuple[re.Pattern[str], Efforts], ...] = tuple(
    (re.compile(pattern), efforts)
    for pattern, efforts in (
        (rf"gpt-5(?:-mini|-nano)?{DATED}|gpt-5-search-api{DATED}", Efforts(refuses=_NONE)),
        (rf"gpt-5\.1{DATED}", Efforts(_NONE, _MINIMAL, none_by_default=True)),
        (rf"gpt-5\.2{DATED}|gpt-5\.4(?:-mini|-nano)?{DATED}", Efforts(_MORE, _MINIMAL, none_by_default=True)),
        (rf"gpt-5\.5{DATED}|gpt-5\.6(?:-sol|-terra|-luna)?|gpt-6-(?:sol|luna)", Efforts(_MORE, _MINIMAL)),
        (r"gpt-6-astra|gpt-6\.1-sol", Efforts(frozenset({"xhigh"}), _NONE | _MINIMAL)),
    )
)


def suited(name: str, parameters: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters as OpenAI's model `name` takes them.

    >>> suited("gpt-5", {"temperature": 0, "max_tokens": 9})
    {'max_completion_tokens': 9}
    >>> suited("gpt-4o", {"temperature": 0, "max_tokens": 9})
    {'temperature': 0, 'max_tokens': 9}
    """
    bare = name.rpartition("/")[2]
    if _O_SERIES.fullmatch(bare):
        return _capped(_cool(_without(parameters, _O_DROPS)))
    if ("gpt-5" in name or "gpt-6" in name) and "gpt-5-chat" not in bare:
        return _capped(_thinking(name, bare, parameters))
    drops = {"response_format"} if name in ("gpt-4", "gpt-3.5-turbo-16k") else set()
    if _NO_THOUGHT.match(name):
        drops |= {"reasoning_effort", "verbosity", "thinking"}
    return _without(parameters, drops)


def takes_system(name: str) -> bool:
    """False where LiteLLM sends the system's words as the user's: OpenAI's o-series after o1."""
    return not _O_SERIES.fullmatch(name) or name.startswith("o1")


def _thinking(name: str, bare: str, parameters: Mapping[str, Json]) -> dict[str, Json]:
    if "gpt-5" in name and "search" in name:
        return {key: value for key, value in parameters.items() if key in _SEARCH_KEEPS or key not in _SEARCH_DROPS}
    efforts = next((efforts for pattern, efforts in _EFFORTS if pattern.fullmatch(bare)), Efforts())
    kept = _without(parameters, _GPT5_DROPS)
    level = kept.get("reasoning_effort")
    if isinstance(level, str) and efforts.refused(level):
        level = kept.pop("reasoning_effort") and None
    if efforts.silent(level if isinstance(level, str) else None):
        return kept
    return _cool(_without(kept, SAMPLING))


def _cool(parameters: dict[str, Json]) -> dict[str, Json]:
    """Without a temperature, unless it is the only one that these models have."""
    return parameters if parameters.get("temperature") == 1 else _without(parameters, {"temperature"})


def _capped(parameters: dict[str, Json]) -> dict[str, Json]:
    """With the bound on the answer under the name that these models know."""
    if "max_tokens" not in parameters:
        return parameters
    longest = parameters["max_tokens"]
    return {**_without(parameters, {"max_tokens"}), "max_completion_tokens": longest}


def _without(parameters: Mapping[str, Json], names: frozenset[str] | set[str]) -> dict[str, Json]:
    return {name: value for name, value in parameters.items() if name not in names}
