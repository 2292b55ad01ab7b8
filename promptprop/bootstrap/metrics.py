"""From configured metrics to the scorer of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptprop.domain.config import RunConfig
    from promptprop.domain.rubric import Rubric
    from promptprop.metrics.scoring import Scorer


def build_run_scorer(
    config: RunConfig, folder: Path, templates: Mapping[str, str] | None = None, rubric: Rubric | None = None
) -> Scorer:
    """The metrics as one loss; relative files of theirs start at `folder`. Raises ConfigError.

    `templates` holds the roles' templates by name, the shipped ones elsewhere; `rubric` is one that was drafted.
    """
    from promptprop.metrics.base import Seat, Setting
    from promptprop.metrics.scoring import MetricSpec, build_scorer

    specs = [
        MetricSpec(metric.id, metric.type, metric.weight, metric.gate, metric.options) for metric in config.metrics
    ]
    setting = Setting(
        task=config.task,
        jury=tuple(Seat(juror.name, juror.weight) for juror in config.models.jury),
        juror_template=(templates or {}).get("juror", ""),
        embeds=config.models.embed is not None,
        rubric=rubric,
    )
    return build_scorer(specs, folder, setting)
