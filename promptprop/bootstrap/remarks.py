"""Composes `lint --model`: prompts with what their data tells, read by a model behind a ledger."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.bootstrap.configuration import load
from promptprop.bootstrap.data import rows_of
from promptprop.bootstrap.inquiries import Tick, open_inquiry
from promptprop.bootstrap.linting import Located, Text, is_config, located, sources
from promptprop.bootstrap.preparation import templates_of
from promptprop.domain.errors import ConfigError, UsageError
from promptprop.domain.models import Example, Json, digest
from promptprop.domain.sampling import row_of, spread, stream

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.budget import Spend
    from promptprop.services.lint import Surroundings

ACTIVITY = "lint"
CRITIC = "critic"  # stands for the configuration's own
ROWS = 5  # train rows that the model sees


@dataclass(frozen=True, slots=True)
class ModelReading:
    """What a model found in all prompts, how much of it quoted what is not there, and what it cost."""

    found: tuple[Located, ...]
    unplaced: int
    model: str
    spend: Spend


def load_for_remarks(path: Path, model: str, sets: Sequence[str], env_file: Path | None) -> LoadedConfig:
    """The configuration with this model as its critic; for a prompt alone, one that holds no more than that.

    Raises UsageError where no model is named, ConfigError.
    """
    if model != CRITIC and "/" not in model:
        raise UsageError(
            f"{model!r} names no model", remedy="such as openai/gpt-5, or `critic` for the configuration's"
        )
    if is_config(path):
        loaded = load(path, sets, {} if model == CRITIC else {"models.critic.model": model}, env_file)
        if loaded.config.models.of("critic") is None:
            raise ConfigError(f"{path.name} has no critic", remedy="add models.critic, or name a model")
        return loaded
    if model == CRITIC:
        raise UsageError("a prompt alone has no critic", remedy="name a model, such as openai/gpt-5")
    whole = str(path.resolve())
    alone = {
        "name": path.stem,
        "task": "What the prompt says.",
        "prompt": {"file": whole},
        "data": {"file": whole, "inputs": ["input"]},
        "models": {"task": {"model": model}, "critic": {"model": model}},
        "metrics": ["exact"],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lint.yaml"
        file.write_text(json.dumps(alone), encoding="utf-8")  # JSON is YAML
        return load(file, sets, None, env_file)


async def read_by_model(
    store: SqlStore,
    loaded: LoadedConfig,
    path: Path,
    ignored: frozenset[str],
    sets: Sequence[str],
    env_file: Path | None,
    on_tick: Tick,
) -> ModelReading:
    """Have a model read all prompts of a file or a configuration. Raises ConfigError, UnusableReplies, ModelError."""
    from promptprop.services.remarks import REMARK_RULES, read_prompts

    texts = sources(path, sets if is_config(path) else (), env_file)
    rows = _rows(loaded) if is_config(path) else []
    task = loaded.config.task
    inputs = [_inputs(task if rows else "", text, around, rows) for text, around in texts]
    looked_at = [
        Example(digest([place, one.file, one.text], 16), {"prompt": one.text}) for place, (one, _) in enumerate(texts)
    ]
    templates = templates_of(loaded.config, ("linter",))
    dataset_id = await store.put_dataset(f"{loaded.config.name}-prompts", looked_at)
    async with open_inquiry(store, loaded, ACTIVITY, dataset_id, templates, on_tick) as inquiry:
        read = await read_prompts(inquiry.ask, inputs, ignored)
    found = [
        located(text, REMARK_RULES[finding.id], finding)
        for (text, _), one in zip(texts, read, strict=True)
        for finding in one.findings
    ]
    critic = loaded.config.models.of("critic")
    name = critic.model if critic else ""
    return ModelReading(tuple(found), sum(one.unplaced for one in read), name, inquiry.ledger.spend)


def _rows(loaded: LoadedConfig) -> list[Example]:
    """A few train rows; those of select and test are shown to no model."""
    rows = rows_of(loaded)
    train = {one.id: one for one in rows.examples if rows.splits.get(one.id) == "train"}
    chosen = spread([row_of(one) for one in train.values()], ROWS, stream(loaded.config.seed, "lint"))
    return [train[row.id] for row in chosen]


def _inputs(task: str, text: Text, around: Surroundings, rows: Sequence[Example]) -> dict[str, Json]:
    return {
        "task": task or "The prompt itself says what it is for.",
        "prompt": text.text,
        "variables": sorted(around.variables or ()),
        "labels": sorted(around.labels),
        "rows": [{"inputs": dict(one.inputs), "expected": one.expected} for one in rows],
    }
