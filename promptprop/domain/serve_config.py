"""The `serve:` of a configuration: what `promptprop serve` lends to requests, who may ask, and how much."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from promptprop.domain.budget_config import BudgetConfig
from promptprop.domain.model_config import JurorConfig, ModelConfig, ModelPrice
from promptprop.domain.settings import (
    REFERENCE,
    WHOLE_ADDRESS,
    ConfigModel,
    Name,
    Positive,
    Seconds,
    Whole,
    flaw_of,
    refused,
    repeated,
    written_out,
)

PORTS = {"http": 80, "https": 443}
FRONT_END = ("http://localhost:3000", "http://127.0.0.1:3000")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_PATH = re.compile(r"(/[A-Za-z0-9_~!$&'()*+,=:@.-]+)*/?")  # no escapes, no empty segments


class ServerAddress(NamedTuple):
    """An address in the one spelling that it is compared in."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, the scheme's own port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")

    def __str__(self) -> str:
        """The address that a client is given: nothing in it can be read in two ways."""
        return self.origin + self.path


def host_name(text: str) -> str | None:
    """A host as it is compared: lower case, without the final dot, IPv6 in short; None where it is no plain host.

    >>> host_name("Example.COM."), host_name("[0:0::1]"), host_name("a%2eb"), host_name("évil.com")
    ('example.com', '::1', None, None)
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare)) if "%" not in bare else None
    except ValueError:
        name = text.lower().removesuffix(".")
        return name if len(name) <= 253 and _NAME.fullmatch(name) else None


def read_address(url: str) -> ServerAddress | str:
    """An address in its one spelling, or what keeps it from having one, in words that do not repeat it.

    Refused is whatever two parsers may read differently: names and passwords, queries, fragments, backslashes, escapes,
    empty and dotted segments, hosts that are neither plain ASCII names nor addresses.

    >>> str(read_address("HTTPS://Example.com.:443/v1/")), read_address("http://a@b.example/")
    ('https://example.com/v1', 'holds a user name')
    """
    if flaw := flaw_of(url):
        return flaw
    if not url.isascii() or "\\" in url:
        return "holds characters that no address needs"
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return "holds a user name"
    if "?" in url or "#" in url:
        return "holds a query or a fragment"
    authority = re.fullmatch(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]{1,5}))?", parts.netloc)
    host = host_name(authority[1]) if authority else None
    if authority is None or host is None:
        return "names a host in a way that is not plain"
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        return "has a path with escapes, dots or empty parts"
    port = int(authority[2]) if authority[2] else PORTS[parts.scheme]
    return ServerAddress(parts.scheme, host, port, parts.path.rstrip("/"))


def _origin(text: str) -> str:
    """An origin in its one spelling."""
    found = read_address(text)
    if isinstance(found, str) or found.path:
        said = found if isinstance(found, str) else "has a path"
        raise refused(f"this origin {said}", remedy="write scheme, host and port, such as https://app.example.com")
    return found.origin


def _host(text: str) -> str:
    """A host in its one spelling."""
    if (host := host_name(text)) is None:
        raise refused("this is no host name", remedy="write the name alone, such as prompts.example.com")
    return host


class ApiBaseConfig(ConfigModel):
    """An address that requests may name as `api_base`, and all that is below it; a bare string is the URL."""

    shorthand = "url"
    url: Name = Field(description="Base URL of an OpenAI-compatible endpoint; what lies below its path is covered.")
    api_key: Name | None = Field(None, repr=False, description="${env:NAME}: the key that is sent there.")
    price: ModelPrice | None = Field(None, description="What its models cost, where the price list does not know.")

    @model_validator(mode="after")
    def _plain(self) -> ApiBaseConfig:
        if REFERENCE.search(self.url):
            raise refused("an allowed address cannot hold a reference", "url", remedy=WHOLE_ADDRESS)
        if isinstance(found := read_address(self.url), str):
            raise refused(f"this address {found}", "url", remedy=WHOLE_ADDRESS)
        if self.api_key and written_out(self.api_key):
            raise refused("the key of an allowed address is a reference", "api_key", remedy="write ${env:NAME}")
        return self

    @property
    def address(self) -> ServerAddress:
        """The address in the spelling that it is compared in."""
        found = read_address(self.url)
        assert isinstance(found, ServerAddress), "validated"  # noqa: S101
        return found

    def covers(self, asked: ServerAddress) -> bool:
        """Whether `asked` is this address or lies below it."""
        mine = self.address
        return mine[:3] == asked[:3] and (asked.path == mine.path or asked.path.startswith(f"{mine.path}/"))


class ServeModelsConfig(ConfigModel):
    """The models of the server: they play the roles that a request names no model for."""

    task: ModelConfig | None = Field(None, description="Runs prompts.")
    rewriter: ModelConfig | None = Field(None, description="Writes new prompts.")
    critic: ModelConfig | None = Field(None, description="Says why failures failed.")
    manager: ModelConfig | None = Field(None, description="Drafts the jury's rubric.")
    synthesizer: ModelConfig | None = Field(None, description="Invents rows.")
    jury: tuple[JurorConfig, ...] = Field((), description="Models that score answers.")
    embed: ModelConfig | None = Field(None, description="Embeds texts.")

    @model_validator(mode="after")
    def _jurors_differ(self) -> ServeModelsConfig:
        if twice := repeated(juror.name for juror in self.jury):
            raise refused(f"two jurors are called {twice!r}", "jury", remedy="give each a name")
        for name, model in self.lent.items():
            if model.api_key and written_out(model.api_key):
                at = (name, "api_key") if "." not in name else ("jury",)
                raise refused("the keys of a server's models are references", *at, remedy="write ${env:NAME}")
        return self

    @property
    def lent(self) -> dict[str, ModelConfig]:
        """The models by what they are called in `models`; jurors as `jury.0`, `jury.1`, …"""
        found = {name: getattr(self, name) for name in type(self).model_fields if name != "jury"}
        named = {name: model for name, model in found.items() if model is not None}
        return {**named, **{f"jury.{place}": juror for place, juror in enumerate(self.jury)}}


class LimitsConfig(ConfigModel):
    """How much requests may ask for."""

    runs: Positive = Field(20, description="Runs that one token may have queued and running at once.")
    body_mb: Positive = Field(100, description="Size of an uploaded dataset in megabytes.")
    json_mb: Positive = Field(8, description="Size of any other request's body in megabytes.")
    rate_per_minute: Positive = Field(12_000, description="Requests a minute of one token, and of one address.")
    guesses_per_minute: Positive = Field(10, description="Refused tokens a minute of one address.")
    open: Positive = Field(500, description="Requests of one address under way at once, streams among them.")
    rows: Positive = Field(100_000, description="Rows of a dataset that a run reads.")
    timeout: Seconds = Field(600.0, description="Longest timeout and patience of a request's model: 60s, 10m.")
    concurrency: Positive = Field(64, description="Most requests in flight to one model.")
    retries: Annotated[Whole, Field(ge=0)] = Field(10, description="Most retries of one request to a model.")
    max_tokens: Positive = Field(65_536, description="Longest answer in tokens that a request may ask a model for.")
    models: Positive = Field(32, description="Models, jurors and steps' models included, that one run may use.")
    metrics: Positive = Field(32, description="Metrics of one run.")
    steps: Positive = Field(32, description="Steps of one chain, and seeds of one run.")


class ServeConfig(ConfigModel):
    """Settings of `promptprop serve`."""

    models: ServeModelsConfig = Field(ServeModelsConfig(), description="Models for what a request names none for.")
    api_bases: tuple[ApiBaseConfig, ...] = Field((), description="Addresses that requests may name as api_base.")
    providers: tuple[Name, ...] = Field(
        (), description="Providers that requests may name besides those whose key is one variable: ollama, vertex_ai."
    )
    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        FRONT_END, description="Origins of pages that may call the server from a browser."
    )
    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = Field(
        (), description="Names that the server answers to besides localhost, without ports."
    )
    tokens: Literal["elsewhere", "always"] = Field(
        "elsewhere",
        description="Where a token is needed: elsewhere than on this machine; or always, as behind a proxy.",
    )
    limits: LimitsConfig = Field(LimitsConfig(), description="How much requests may ask for.")
    budget: BudgetConfig = Field(BudgetConfig(), description="What each run that is asked for over HTTP may spend.")
    audit_days: Annotated[Positive, Field(le=36_500)] = Field(
        365, description="Days for which the audit log tells who changed what; who was turned away: 30 at most."
    )
    workers: Annotated[Whole, Field(ge=0, le=64)] = Field(1, description="Worker processes; 0 leaves runs to others.")

    def allowed(self, asked: ServerAddress) -> ApiBaseConfig | None:
        """The entry of the allow-list that covers an address: the longest one; None where it is not listed."""
        covering = [entry for entry in self.api_bases if entry.covers(asked)]
        return max(covering, key=lambda entry: len(entry.address.path), default=None)
