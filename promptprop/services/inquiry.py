"""Models asked beside a search, as calibration, synthesis and lint do: behind ledger and budget like every call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from promptprop.domain.errors import BudgetSpent, raise_failure
from promptprop.domain.models import Answer, Ask, ModelRequest, Outcome
from promptprop.ports import Ledger, Role
from promptprop.services.asking import ask_roles
from promptprop.services.reserve import EndpointSpec


@dataclass(frozen=True, slots=True)
class Inquiry:
    """The models of an inquiry. Calls are recorded under `run_id`; `on_tick(phase, done, total)` is told of them."""

    run_id: str
    ledger: Ledger
    endpoints: Mapping[str, EndpointSpec]
    roles: Mapping[str, Role]
    on_tick: Callable[[str, int, int], None]

    async def answers(
        self, requests: Iterator[ModelRequest], planned: int, phase: str, take: Callable[[Outcome], None]
    ) -> str | None:
        """Hand `take` the outcomes in order; returns the cap that refused. Raises ModelError where going on is vain."""
        done = 0
        async with aclosing(self.ledger.complete_all(requests)) as stream:
            async for outcome in stream:
                failure = outcome.failure
                if failure is not None and failure.code.startswith("budget:"):
                    return failure.code.partition(":")[2]
                if failure is not None and failure.stops:
                    raise_failure(failure)
                take(outcome)
                done += 1
                self.on_tick(phase, done, planned)
        return None

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Ask roles; answers in the order asked. Raises BudgetSpent, ModelError."""
        return await ask_roles(asks, self.roles, self.endpoints, self._outcomes)

    async def _outcomes(self, requests: Sequence[ModelRequest], phase: str) -> list[Outcome]:
        found: list[Outcome] = []
        cap = await self.answers(iter(requests), len(requests), phase, found.append) if requests else None
        if cap:
            raise BudgetSpent(cap)
        return found
