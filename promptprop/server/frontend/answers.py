"""What the contract answers, as models for the OpenAPI document. Routes answer plain values of these shapes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from promptprop.server.times import Time


class Answer(BaseModel):
    """An answer whose names are camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SettingsAnswer(Answer):
    """How a model is sampled."""

    temperature: float | None
    top_p: float | None = None
    top_k: float | None = None


class ModelAnswer(Answer):
    """A model."""

    provider: str
    model: str
    settings: SettingsAnswer


class MemberAnswer(ModelAnswer):
    """A juror; of a run that was begun elsewhere, a metric."""

    id: str
    name: str


class Head(Answer):
    """An experiment: a run, or rows that wait for one."""

    id: str
    name: str | None
    task_description: str
    base_prompt: str
    runner_model: ModelAnswer
    is_complete: bool
    created_at: Time
    updated_at: Time


class ListedExperiment(Head):
    """An experiment in the list. Scores are points of 100."""

    iteration_count: int
    best_score: float | None
    final_score: float | None
    dataset_size: int


class ExperimentList(Answer):
    """A part of all experiments, newest first."""

    experiments: list[ListedExperiment]
    total: int


class RowAnswer(Answer):
    """A row of the dataset."""

    id: str
    split: Literal["train", "val", "test"]
    query: str
    expected_output: str
    soft_negatives: str | None
    hard_negatives: str | None


class VoteAnswer(Answer):
    """A juror's word on one answer."""

    id: str
    jury_member_id: str
    jury_name: str
    score: float
    reasoning: str


class ResultAnswer(Answer):
    """One answer with what was said of it; the score is null where the row is missing."""

    id: str
    dataset_row_id: str
    actual_output: str
    average_score: float | None
    combined_feedback: str | None
    jury_evaluations: list[VoteAnswer]


class RefinementMeta(Answer):
    """Why a refinement changed what it did."""

    delta_reasoning: str


class VersionAnswer(Answer):
    """A prompt that has a score. The refinement is the one that followed on it."""

    id: str
    iteration_number: int
    prompt_text: str
    average_score: float | None
    refinement_feedback: str | None
    refinement_meta: RefinementMeta | None
    results: list[ResultAnswer]


class ExperimentDetail(Head):
    """An experiment with everything that is known of it."""

    jury_members: list[MemberAnswer]
    dataset_rows: list[RowAnswer]
    prompt_versions: list[VersionAnswer]


class SplitAnswer(BaseModel):
    """How many rows each split has."""

    train: int
    val: int
    test: int
    total: int


class DatasetAnswer(Answer):
    """The rows of an experiment, counted, and the ids of those that were added."""

    experiment_id: str
    splits: SplitAnswer
    row_ids: list[str]


class InferenceAnswer(BaseModel):
    """What the model said."""

    output: str


class JuryAnswer(BaseModel):
    """What the juror said."""

    score: float
    reasoning: str


class RefinementAnswer(Answer):
    """A better prompt, what was wrong with the one before, and why this should be better."""

    explanation: str
    refined_prompt: str
    delta_reasoning: str


class MetricsAnswer(Answer):
    """Figures over an iteration's scores."""

    metrics: dict[str, float]
    mlflow_run_id: str | None


class ListedModelAnswer(BaseModel):
    """A model that a key reaches."""

    id: str
    name: str


class ProviderAnswer(BaseModel):
    """A provider with its models."""

    provider: str
    label: str
    models: list[ListedModelAnswer]


class ModelsAnswer(BaseModel):
    """Providers with a key whose listing worked."""

    providers: list[ProviderAnswer]


class ProviderHealth(BaseModel):
    """Whether a provider can be used."""

    configured: bool
    status: Literal["ok", "error", "not_configured"]
    message: str


class HealthAnswer(BaseModel):
    """Whether the server is well; with `deep`, whether providers accept its keys."""

    status: Literal["healthy", "healthy (with warnings)", "degraded"]
    providers: dict[str, ProviderHealth] | None = None
