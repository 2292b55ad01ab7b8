"""What a run is asked to do: the configuration as frozen models, the same from YAML, from a snapshot and from the API.

Texts may hold references such as `${env:NAME}`, which stay references here and in snapshots: they are resolved late,
where a client or a database is opened. Paths are absolute once the loader has read them. Unknown keys are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from promptprop.domain.budget_config import BudgetConfig
from promptprop.domain.gate_config import GateConfig
from promptprop.domain.model_config import ModelConfig, ModelsConfig
from promptprop.domain.models import Json, RoleName, Split
from promptprop.domain.serve_config import ServeConfig
from promptprop.domain.settings import (
    REFERENCE,
    ConfigModel,
    Flag,
    Name,
    Names,
    Number,
    RolesConfig,
    Share,
    Variable,
    Whole,
    is_loopback,
    password_of,
    refused,
    repeated,
)


class MessageConfig(ConfigModel):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"] = Field(description="Who speaks.")
    content: str = Field(description="The text, with {{ variables }}.")


class PromptConfig(ConfigModel):
    """A prompt, from exactly one of a file, a text or messages; a bare string is a text."""

    shorthand = "text"
    file: Name | None = Field(None, description="A .md or .txt file (one message, or ### headings), or .yaml/.json.")
    text: str | None = Field(None, description="The prompt as one user message.")
    messages: tuple[MessageConfig, ...] | None = Field(None, min_length=1, description="The prompt as messages.")
    literal: Flag = Field(False, description="Send the text as it is, braces and all: no {{ variables }}.")
    frame: Name | None = Field(
        None, description="A template around a literal text: {{ instruction }} is the text, and variables as elsewhere."
    )

    @model_validator(mode="after")
    def _one_source(self) -> PromptConfig:
        given = [name for name in ("file", "text", "messages") if getattr(self, name) is not None]
        if len(given) != 1:
            said = "got " + " and ".join(given) if given else "got none"
            raise refused(f"a prompt takes exactly one of file, text and messages, {said}", *given[1:2])
        if self.frame and not self.literal:
            raise refused("a frame stands around a literal text", "frame", remedy="set literal: true")
        return self


def _seeds(value: Json) -> Json:
    """One prompt stands for a list of one seed."""
    return (value,) if isinstance(value, str | dict | PromptConfig) else value


class StepConfig(ConfigModel):
    """One step of a chain."""

    fallback = ("output", "id")
    id: Variable = Field(description="Names the step.")
    prompt: PromptConfig = Field(description="The step's prompt.")
    output: Variable = Field("", description="The variable that later steps see; the id unless given.")
    model: ModelConfig | None = Field(None, description="The model of this step; models.task unless given.")

    @property
    def endpoint(self) -> str:
        """The alias of the model that answers: `task`, or `step.ID` where the step has its own."""
        return f"step.{self.id}" if self.model else "task"


class SplitConfig(ConfigModel):
    """How rows are split: shares, or the column that says it (train, select or val, test)."""

    train: Share = Field(0.4, description="Share of rows to learn from.")
    select: Share = Field(0.3, description="Share of rows to choose by.")
    test: Share = Field(0.3, description="Share of rows that stay sealed until the end.")
    seed: Whole = Field(7, description="Changes which rows go where.")
    column: Name | None = Field(None, description="The column that names each row's split.")

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> SplitConfig:
        shares = (self.train, self.select, self.test)
        if self.column is not None and shares != (0.4, 0.3, 0.3):
            raise refused("a split is either shares or a column, not both", "column")
        if abs(sum(shares) - 1) > 1e-9:
            raise refused(f"train, select and test sum to {sum(shares):g}, not to 1")
        return self


class DataConfig(ConfigModel):
    """The dataset and what its columns mean."""

    file: Name | None = Field(
        None, description="The dataset: JSONL, JSON, CSV, TSV, YAML, Parquet, also gzipped; - is stdin."
    )
    files: dict[Split, Name] | None = Field(None, min_length=1, description="One file per split: train, select, test.")
    dataset: Name | None = Field(None, description="Id of a dataset in the database, such as one that was uploaded.")
    format: Literal["jsonl", "json", "csv", "tsv", "yaml", "parquet"] | None = Field(
        None, description="The file's format, where its name does not tell."
    )
    inputs: Names = Field(
        (), description="Columns that prompts can use as variables; those of a stored dataset are known."
    )
    expected: Name | None = Field(None, description="Column of the expected answer.")
    id: Name | None = Field(None, description="Column of the row's id; a content hash unless given.")
    cluster: Name | None = Field(None, description="Column of rows that belong together and are never split apart.")
    tags: Name | None = Field(None, description="Column of tags: a list, or a text split at commas.")
    weight: Name | None = Field(None, description="Column of the row's weight.")
    soft_negatives: Name | None = Field(None, description="Column of answers that lower the score.")
    hard_negatives: Name | None = Field(None, description="Column of answers that keep the score under 40.")
    split: SplitConfig = Field(SplitConfig(), description="How rows are split.")

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        given = [name for name in ("file", "files", "dataset") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refused("data takes exactly one of file, files and dataset", *given[1:2])
        if not self.inputs and self.dataset is None:
            raise refused("no column is named as input", "inputs", remedy="list the columns that the prompt uses")
        if twice := repeated(self.inputs):
            raise refused(f"the column {twice!r} is listed twice", "inputs")
        return self


class MetricConfig(ConfigModel):
    """A metric; keys beyond these four are the options of its type. A bare string is the type."""

    model_config = ConfigDict(extra="allow")
    shorthand = "type"
    fallback = ("id", "type")

    type: Name = Field(description="What is measured.")
    id: Name = Field("", description="How reports call it; the type unless given.")
    weight: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="Weight in the mean score; 1 unless given, 0 for a gate."
    )
    gate: Flag = Field(False, description="A row that fails this metric scores 0 in all.")

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_function(cls, value: Any) -> Any:
        kind = value.get("type") if isinstance(value, dict) else value
        if not isinstance(kind, str) or not kind.startswith("python:"):
            return value
        whole = value if isinstance(value, dict) else {"type": value}
        return whole if whole.get("id") else {**whole, "id": re.split(r"[.:]", kind)[-1]}

    @property
    def options(self) -> dict[str, Json]:
        """The options of the metric's type, as they were given."""
        return dict(self.model_extra or {})


class OptimizerConfig(ConfigModel):
    """The search strategy; a bare string is its name."""

    shorthand = "name"
    name: Name = Field("backprop", description="Which optimizer.")
    options: dict[str, Any] = Field({}, description="Its options.")


class MlflowConfig(ConfigModel):
    """Tracking with MLflow; `false` turns it off."""

    uri: Name | None = Field(None, description="Where runs are tracked.")
    experiment: Name | None = Field(None, description="The experiment's name; the run's unless given.")
    enabled: Flag = Field(True, description="Whether runs are tracked.")

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return {"enabled": value} if isinstance(value, bool) else value


class TrackingConfig(ConfigModel):
    """Who else hears of a run's events."""

    mlflow: MlflowConfig | None = Field(None, description="MLflow.")


class DatabaseConfig(ConfigModel):
    """Where runs are stored."""

    url: Name | None = Field(None, description="sqlite:///… or postgresql+psycopg://…, passwords as ${env:NAME}.")

    @model_validator(mode="after")
    def _no_password(self) -> DatabaseConfig:
        url = self.url or ""
        if password_of(url) and not REFERENCE.search(password_of(url)) and not is_loopback(url):
            raise refused("a password is written out only for a loopback database", "url", remedy="write ${env:NAME}")
        return self


class RunConfig(ConfigModel):
    """Everything that a run is asked to do."""

    version: Literal[1] = Field(1, description="Version of this format.")
    name: Name = Field("run", description="Names the run; the file's name unless given.")
    task: str = Field(description="What the prompt is for, in a sentence or two.")
    prompt: Annotated[tuple[PromptConfig, ...], BeforeValidator(_seeds)] | None = Field(
        None, min_length=1, description="The prompt to improve, or a list of seeds."
    )
    from_scratch: Flag = Field(False, description="Draft seeds from task and train rows; the prompt, if any, competes.")
    steps: tuple[StepConfig, ...] | None = Field(None, min_length=1, description="A chain, instead of prompt.")
    data: DataConfig = Field(description="The dataset.")
    models: ModelsConfig = Field(description="The models.")
    metrics: tuple[MetricConfig, ...] = Field(min_length=1, description="What a good answer is.")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="The search strategy.")
    budget: BudgetConfig = Field(BudgetConfig(), description="What the run may spend.")
    seed: Whole = Field(7, description="Seed of all randomness.")
    max_error_rate: Share = Field(0.1, description="Share of missing rows past which a run stops.")
    tracking: TrackingConfig = Field(TrackingConfig(), description="Who else hears of a run's events.")
    database: DatabaseConfig = Field(DatabaseConfig(), description="Where runs are stored.")
    output: Name | None = Field(None, description="Folder for what a run writes.")
    roles: RolesConfig = Field(RolesConfig(), description="Overrides of the model roles.")
    serve: ServeConfig | None = Field(None, description="Settings of `promptprop serve`.")
    gate: GateConfig | None = Field(None, description="What `promptprop check` promises.")
    rubric: dict[str, Any] | None = Field(None, description="The jury's rubric.")

    @model_validator(mode="after")
    def _one_program(self) -> RunConfig:
        if self.from_scratch and (self.steps is not None or self.optimizer.name != "backprop"):
            raise refused("from_scratch drafts one prompt for backprop: no chain, no other optimizer", "from_scratch")
        if not self.from_scratch and (self.prompt is None) == (self.steps is None):
            said = "got both" if self.steps else "got none"
            raise refused(f"a run takes exactly one of prompt and steps, {said}", *(["steps"] if self.steps else []))
        if twice := repeated(metric.id for metric in self.metrics):
            raise refused(f"two metrics are called {twice!r}", "metrics", remedy="give each an id")
        if twice := repeated(step.id for step in self.steps or ()):
            raise refused(f"two steps are called {twice!r}", "steps")
        if twice := repeated([step.output for step in self.steps or ()] + list(self.data.inputs)):
            raise refused(f"two steps or columns fill the variable {twice!r}", *(["steps"] if self.steps else ["data"]))
        return self

    @property
    def endpoints(self) -> dict[str, ModelConfig]:
        """Every model by its alias: task, rewriter, critic, …, `juror.NAME` and `step.ID`; stand-ins included."""
        names: tuple[RoleName, ...] = ("task", "rewriter", "critic", "manager", "synthesizer", "embed")
        found: dict[str, ModelConfig] = {name: model for name in names if (model := self.models.of(name))}
        found |= {f"juror.{juror.name}": juror for juror in self.models.jury}
        return found | {step.endpoint: step.model for step in self.steps or () if step.model}

    @property
    def simulated(self) -> bool:
        """True where all models are simulated: nothing can be spent, and no number is about a real model."""
        return all(model.simulated for model in self.endpoints.values())

    def snapshot(self) -> Json:
        """Plain JSON from which `RunConfig.model_validate` rebuilds an equal configuration; references stay."""
        return self.model_dump(mode="json")
