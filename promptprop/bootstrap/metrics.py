"""From configured metrics to the scorer of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptprop.domain.config import RunConfig
    from promptprop.metrics.scoring import Scorer


def build_run_scorer(config: RunConfig, folder: Path) -> Scorer:
    """The metrics as one loss; relative files of theirs start at `folder`. Raises ConfigError."""
    from promptprop.metrics.scoring import MetricSpec, build_scorer

    specs = [
        MetricSpec(metric.id, metric.type, metric.weight, metric.gate, metric.options) for metric in config.metrics
    ]
    return build_scorer(specs, folder)
