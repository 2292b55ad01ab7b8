"""What a client sends besides messages: its own parameters, references resolved, under those of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptprop.adapters.logs import register_secret
from promptprop.adapters.models.keys import secrets_below
from promptprop.domain.budget import prompt_token_bound
from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Json, Message, Usage
from promptprop.domain.settings import REFERENCE, RESERVED

MOST_TOKENS = 10**9  # nobody's answer takes a thousandth of it, and what it costs still fits into a database
NO_KEY = "no-key-needed"  # what a server of one's own is sent where no key is set: some insist on any


class Parameters:
    """The parameters of one model. A request names its own as the configuration does, for it is stored."""

    def __init__(self, model: str, params: Mapping[str, Json] | None) -> None:
        """`params` have their references resolved. Raises ConfigError where they set what is not theirs: RESERVED."""
        for name in params or {}:
            if remedy := RESERVED.get(name):
                raise ConfigError(f"params of {model} cannot set {name}", remedy=remedy)
        self.own = dict(params or {})
        self._told = False

    def of(self, parameters: Mapping[str, Json]) -> dict[str, Json]:
        """What is sent for a request with these parameters; secrets among them are blacked out from now on."""
        if not self._told:
            self._told = True
            for secret in secrets_below(self.own, parameters):
                register_secret(secret)
        given = {k: v for k, v in parameters.items() if k not in self.own or not _refers(v)}
        return {**self.own, **given}


def token_count(value: object) -> int:
    """A number of tokens as a provider reports it; 0 where it reports none, -1 where it cannot be one.

    >>> token_count(5.0), token_count(None), token_count(-1), token_count(10**30)
    (5, 0, -1, -1)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value <= MOST_TOKENS else -1


def reported_usage(prompt: object, completion: object, cached: object, reasoning: object) -> Usage | None:
    """Tokens as a provider reports them; None where it reports none, or what cannot be: then the bound counts."""
    counts = [token_count(count) for count in (prompt, completion, cached, reasoning)]
    if min(counts) < 0 or not (counts[0] or counts[1]):
        return None
    return Usage(*counts)


def usage_bound(messages: tuple[Message, ...], text: str) -> Usage:
    """What a call can have used at most, where the provider reports nothing: a budget must not be blind to it."""
    return Usage(prompt_token_bound(messages), len(text.encode("utf-8", "surrogatepass")))


def embedding_usage(reported: object, texts: Sequence[str]) -> Usage:
    """The tokens of texts that were embedded: as reported, else what they can have been at most."""
    count = token_count(reported)
    return Usage(count) if count > 0 else usage_bound(tuple(Message("user", text) for text in texts), "")


def _refers(value: Json) -> bool:
    """True where there is a reference anywhere below."""
    if isinstance(value, str):
        return REFERENCE.search(value) is not None
    if isinstance(value, Mapping):
        return any(_refers(below) for below in value.values())
    return isinstance(value, list | tuple) and any(_refers(below) for below in value)
