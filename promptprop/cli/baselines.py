"""What the commands of stored baselines share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.adapters.files.baselines import baseline_path, read_baseline
from promptprop.domain.errors import BaselineMissing

if TYPE_CHECKING:
    from promptprop.domain.baseline import Baseline
    from promptprop.domain.models import Json


def baseline_named(name: str) -> Path:
    """The file that a name stands for; a path stands for itself."""
    return Path(name) if name.endswith(".json") else baseline_path(name)


def readable(path: Path) -> Baseline | None:
    """The baseline of a file, if there is one that can be read."""
    try:
        return read_baseline(path)
    except BaselineMissing:
        return None


def summary_json(path: Path, baseline: Baseline) -> dict[str, Json]:
    """A baseline in short."""
    return {
        "name": baseline.name,
        "file": str(path),
        "prompt": baseline.candidate.id,
        "score": baseline.score,
        "rows": len(baseline.rows),
        "missing": sum(row.mean is None for row in baseline.rows),
        "answers": baseline.replicates,
        "split": baseline.split,
        "models": {alias: settings["model"] for alias, settings in baseline.conditions.models.items()},
    }


def model_names(baseline: Baseline) -> list[str]:
    """The models that answered the prompt, each once."""
    return list(dict.fromkeys(settings["model"] for settings in baseline.conditions.models.values()))


def score_words(baseline: Baseline | None) -> str:
    """The score in points; a dash where there is none."""
    return "–" if baseline is None or baseline.score is None else f"{100 * baseline.score:.1f}"
