"""The `budget:` of a configuration: what a run may spend."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from promptprop.domain.budget import Budget
from promptprop.domain.settings import ConfigModel, Money, Number, Seconds, Whole, refused


class BudgetConfig(ConfigModel):
    """What a run may spend; a cap that is not given is no cap."""

    usd: Money | None = Field(None, description="Money in USD.")
    calls: Annotated[Whole, Field(ge=0)] | None = Field(None, description="Requests to models, retries included.")
    tokens: Annotated[Whole, Field(ge=0)] | None = Field(None, description="Prompt and completion tokens.")
    minutes: Annotated[Number, Field(gt=0)] | None = Field(None, description="Active time in minutes.")
    seconds: Seconds | None = Field(None, description="Active time in seconds.")

    @model_validator(mode="after")
    def _one_time(self) -> BudgetConfig:
        if self.minutes is not None and self.seconds is not None:
            raise refused("give the time in minutes or in seconds, not in both", "seconds")
        return self

    @property
    def budget(self) -> Budget:
        """These caps as the budget that a run counts against."""
        seconds = self.seconds if self.minutes is None else self.minutes * 60
        return Budget(calls=self.calls, tokens=self.tokens, usd=self.usd, seconds=seconds)
