"""What the front end and its scripts send: names are camelCase, null means default, and unknown fields are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from promptprop.bootstrap.experiments import PageJuror, PageRow
from promptprop.bootstrap.page_models import PageModel
from promptprop.domain.models import Split

LONG = 1_000_000  # characters of one text
MOST_JURORS = 32
Value = TypeVar("Value")
Text = Annotated[str, Field(max_length=LONG)]
NAMES: dict[str, Split] = {"train": "train", "val": "select", "test": "test"}


def _one_text(value: Any) -> Any:
    """Negatives as one text: several are its lines, null is none."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    return value


Negatives = Annotated[Text, BeforeValidator(_one_text)]


class Body(BaseModel):
    """A body of the contract. A field that is null has its default, where it has one."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fields = [name for name, info in cls.model_fields.items() if not info.is_required()]
        optional = {*fields, *map(to_camel, fields)}
        return {name: one for name, one in value.items() if one is not None or name not in optional}


class Settings(Body):
    """How a model is sampled; what it does not take is left out."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=1, le=100_000)


class Model(Body):
    """A model: `provider` counts for bare names that begin like none that is known."""

    provider: str = Field("", max_length=100)
    model: str = Field(min_length=1, max_length=200)
    settings: Settings = Settings()

    @property
    def page_model(self) -> PageModel:
        """The model as bootstrap takes it."""
        return page_model(self.model, self.settings, self.provider)


def page_model(model: str, settings: Settings, provider: str = "") -> PageModel:
    """A model with its settings."""
    return PageModel(model, provider, settings.temperature, settings.top_p, settings.top_k)


class Juror(Model):
    """A member of the jury; its name defaults to the model's."""

    name: str = Field("", max_length=200)

    @property
    def juror(self) -> PageJuror:
        """The member as bootstrap takes it."""
        return PageJuror(self.name.strip() or self.model, self.page_model)


class Row(Body):
    """A row of the dataset."""

    query: Text
    expected_output: Text
    soft_negatives: Negatives = ""
    hard_negatives: Negatives = ""

    @property
    def page_row(self) -> PageRow:
        """The row as bootstrap takes it."""
        return PageRow(self.query, self.expected_output, self.soft_negatives, self.hard_negatives)


class SplitRow(Row):
    """A row that may name its split."""

    split: Literal["train", "val", "test"] | None = None

    @property
    def page_row(self) -> PageRow:
        """The row as bootstrap takes it."""
        split = NAMES[self.split] if self.split else None
        return PageRow(self.query, self.expected_output, self.soft_negatives, self.hard_negatives, split)


class DatasetBody(Body):
    """Rows for an experiment; with `autoSplit` those that name no split are shared out by the ratios."""

    experiment_id: str = Field(min_length=1, max_length=100)
    rows: list[SplitRow] = Field(min_length=1)
    auto_split: bool = False
    train_ratio: float = Field(0.7, ge=0, le=1)
    val_ratio: float = Field(0.15, ge=0, le=1)
    test_ratio: float = Field(0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _ratios_sum_up(self) -> DatasetBody:
        total = self.train_ratio + self.val_ratio + self.test_ratio
        if self.auto_split and abs(total - 1) > 0.01:
            raise ValueError(f"trainRatio, valRatio and testRatio sum to {total:g}, not to 1")
        return self


class InferenceBody(Body):
    """One answer that is wanted."""

    model: str = Field(min_length=1, max_length=200)
    provider: str = Field("", max_length=100)
    task_description: Text
    prompt_template: Text
    query: Text
    settings: Settings = Settings()


class JuryBody(Body):
    """One answer that is to be judged."""

    jury_model: str = Field(min_length=1, max_length=200)
    provider: str = Field("", max_length=100)
    jury_settings: Settings = Settings()
    task_description: Text
    row: Row
    actual_output: Text


class RefineBody(Body):
    """A prompt that is to be improved, and what is known of its failures."""

    task_description: Text
    current_prompt: Text
    failures: Text


class JudgedResult(Body):
    """A score from 0 to 100 with its reason."""

    score: float = Field(ge=0, le=100, allow_inf_nan=False)
    reasoning: str = ""


class MetricsBody(Body):
    """The scores of an iteration that a script has run by itself."""

    experiment_id: str = Field(max_length=200)
    iteration: int
    results: list[JudgedResult] = Field(max_length=100_000)
    prompt_text: str = ""
    token_usage: dict[str, Any] = {}


class OptimizeBody(Body):
    """A search: with rows of its own, or those of a stored experiment. Thresholds are points of 100."""

    task_description: Text | None = None
    base_prompt: Text | None = None
    dataset: list[Row] = []
    jury_members: list[Juror] = Field([], max_length=MOST_JURORS)
    runner_model: Model | None = None
    manager_model: Model | None = None
    experiment_id: str | None = Field(None, max_length=100)
    max_iterations: int = Field(5, ge=1, le=20)
    convergence_threshold: float = Field(0.2, ge=0, le=100)
    pass_threshold: float = Field(90, ge=0, le=100)
    perfect_score: float = Field(98, ge=0, le=100)

    @field_validator("experiment_id")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None
