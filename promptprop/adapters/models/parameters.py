"""What a client sends besides messages: its own parameters, references resolved, under those of the request."""

from __future__ import annotations

from collections.abc import Mapping

from promptprop.adapters.logs import register_secret
from promptprop.adapters.models.keys import secrets_below
from promptprop.domain.budget import prompt_token_bound
from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Json, Message, Usage
from promptprop.domain.settings import REFERENCE, RESERVED

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


def usage_bound(messages: tuple[Message, ...], text: str) -> Usage:
    """What a call can have used at most, where the provider reports nothing: a budget must not be blind to it."""
    return Usage(prompt_token_bound(messages), len(text.encode("utf-8", "surrogatepass")))


def _refers(value: Json) -> bool:
    """True where there is a reference anywhere below."""
    if isinstance(value, str):
        return REFERENCE.search(value) is not None
    if isinstance(value, Mapping):
        return any(_refers(below) for below in value.values())
    return isinstance(value, list | tuple) and any(_refers(below) for below in value)
