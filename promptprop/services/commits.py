"""Evaluations on their way to the store: by the slice, while later answers are still under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from promptprop.domain.models import Evaluation

Write: TypeAlias = Callable[[Sequence[Evaluation]], Coroutine[Any, Any, None]]

SLICE = 250


class Commits:
    """Collects evaluations and writes full slices in the background; `settle` waits for all."""

    def __init__(self, write: Write) -> None:
        """`write` commits some evaluations in one transaction."""
        self._write = write
        self._fresh: list[Evaluation] = []
        self._under_way: list[asyncio.Task[None]] = []

    def add(self, evaluation: Evaluation) -> None:
        """Take one more evaluation."""
        self._fresh.append(evaluation)
        if len(self._fresh) >= SLICE:
            self._begin()

    async def settle(self) -> None:
        """Write what is left and wait until all is committed. Raises what the first failed write raised."""
        if self._fresh:
            self._begin()
        tasks, self._under_way = self._under_way, []
        failures = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, BaseException):
                raise failure

    def _begin(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._under_way.append(asyncio.get_running_loop().create_task(self._write(fresh)))
