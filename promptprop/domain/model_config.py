"""The `models:` of a configuration: endpoints, how they are called and what they cost, and which role each plays."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from promptprop.domain.models import RoleName
from promptprop.domain.settings import (
    REFERENCE,
    RESERVED,
    Address,
    ConfigModel,
    Money,
    Name,
    Number,
    Positive,
    Seconds,
    Share,
    Whole,
    is_loopback,
    names_secret,
    refused,
    repeated,
    texts_below,
    written_out,
)

MAX_TOKENS = {"task": 512, "critic": 4096, "rewriter": 4096, "juror": 1024, "manager": 4096, "synthesizer": 4096}


class ModelPrice(ConfigModel):
    """What a model costs, where the provider's price list does not know it."""

    prompt_usd_per_million: Money = Field(description="USD per million prompt tokens.")
    completion_usd_per_million: Money = Field(description="USD per million completion tokens.")
    cached_usd_per_million: Money | None = Field(
        None, description="USD per million prompt tokens found in the provider's cache; as the others unless given."
    )


class ModelConfig(ConfigModel):
    """A model endpoint and how to call it; a bare string is the model's name."""

    shorthand = "model"
    model: Name = Field(description="provider/name, such as openai/gpt-5; offline/NAME is a simulated model.")
    api_base: Address | None = Field(None, description="Base URL of an OpenAI-compatible endpoint.")
    api_key: Name | None = Field(None, repr=False, description="${env:NAME}; written out only for a loopback api_base.")
    temperature: Annotated[Number, Field(ge=0)] | None = Field(None, description="Sampling temperature.")
    top_p: Annotated[Share, Field(gt=0)] | None = Field(None, description="Nucleus sampling.")
    max_tokens: Positive | None = Field(None, description="Longest answer in tokens; the default depends on the role.")
    timeout: Seconds = Field(60.0, description="Deadline of one attempt in seconds, or 60s, 2m.")
    rpm: Positive | None = Field(None, description="Requests per minute at most.")
    tpm: Positive | None = Field(None, description="Tokens per minute at most.")
    concurrency: Positive = Field(32, description="Requests in flight at most.")
    retries: Annotated[Whole, Field(ge=0)] = Field(4, description="Attempts after the first one.")
    patience: Seconds = Field(
        45.0, description="How long an endpoint that answers nothing is waited for, before the run stops: 45s, 10m."
    )
    client: Literal["litellm", "http"] | None = Field(
        None, description="Which client calls it; http, the fast one, wherever it applies, unless given."
    )
    params: dict[str, Any] = Field({}, description="Passed through to the provider.")
    price: ModelPrice | None = Field(None, description="Overrides the known price.")
    world: Name | None = Field(None, description="World file of a simulated model.")

    @model_validator(mode="after")
    def _secrets_and_worlds(self) -> ModelConfig:
        local = self.api_base is not None and is_loopback(self.api_base)
        remedy = "write ${env:NAME} and set the variable, so that no file or database holds the key"
        if self.api_key and written_out(self.api_key) and not local:
            raise refused("a key is written out only for a loopback api_base", "api_key", remedy=remedy)
        for name in self.params:
            if instead := RESERVED.get(name):
                raise refused(f"params cannot set {name}", "params", name, remedy=instead)
        for path, text in texts_below(self.params):
            if any(names_secret(part) for part in path) and written_out(text) and not local:
                raise refused("a key is written out only for a loopback api_base", "params", *path, remedy=remedy)
        if self.world and not self.simulated and not REFERENCE.search(self.model):
            raise refused("only a simulated model (offline/…) has a world file", "world")
        return self

    @property
    def simulated(self) -> bool:
        """True for a simulated model: its numbers say nothing about real models."""
        return self.model.startswith("offline/")


class JurorConfig(ModelConfig):
    """A model of the jury; its name defaults to the model's."""

    fallback = ("name", "model")
    name: Name = Field("", description="How reports call this juror.")
    weight: Annotated[Number, Field(gt=0)] = Field(1.0, description="Weight in a weighted mean.")


class ModelsConfig(ConfigModel):
    """Which model plays which role."""

    task: ModelConfig = Field(description="Runs the prompt.")
    rewriter: ModelConfig | None = Field(None, description="Writes new prompts.")
    critic: ModelConfig | None = Field(None, description="Says why failures failed; the rewriter unless given.")
    manager: ModelConfig | None = Field(None, description="Drafts the jury's rubric; the critic unless given.")
    synthesizer: ModelConfig | None = Field(None, description="Invents rows; the manager unless given.")
    jury: tuple[JurorConfig, ...] = Field((), description="Models that score answers.")
    embed: ModelConfig | None = Field(None, description="Embeds texts.")

    @model_validator(mode="after")
    def _jurors_differ(self) -> ModelsConfig:
        if twice := repeated(juror.name for juror in self.jury):
            raise refused(f"two jurors are called {twice!r}", "jury", remedy="give each a name")
        return self

    def of(self, role: RoleName) -> ModelConfig | None:
        """The model that plays `role`, its stand-in where none is given, or None; jurors are listed in `jury`."""
        critic = self.critic or self.rewriter
        manager = self.manager or critic
        return {
            "task": self.task,
            "rewriter": self.rewriter,
            "critic": critic,
            "manager": manager,
            "synthesizer": self.synthesizer or manager,
            "embed": self.embed,
        }.get(role)


def max_tokens_of(role: RoleName, model: ModelConfig) -> int:
    """The longest answer of `model` in this role, in tokens; embeddings answer with none."""
    return MAX_TOKENS.get(role, 0) if model.max_tokens is None else model.max_tokens
