"""The seam to experiments: what the front end calls a run, or rows that wait for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from promptprop.ports.service import DatasetHead
from promptprop.ports.storage import RunRow


@dataclass(frozen=True, slots=True)
class Experiment:
    """A run, or rows under an id that no run has yet; `rows` is how many there are."""

    id: str
    created_at: datetime
    updated_at: datetime
    dataset_id: str
    rows: int
    run: RunRow | None = None


class Experiments(Protocol):
    """Runs and rows by the ids of experiments."""

    def experiment_page(self, limit: int, offset: int, activities: Sequence[str]) -> tuple[list[Experiment], int]:
        """Experiments, newest first, and how many there are: runs of these activities, and rows without a run."""
        ...

    def experiment(self, experiment_id: str) -> Experiment | None:
        """The run of exactly this id, else the rows that were stored under it; None where there is neither."""
        ...

    def experiment_rows(self, experiment_id: str) -> DatasetHead | None:
        """The rows that were stored under an id last; None where there are none."""
        ...
