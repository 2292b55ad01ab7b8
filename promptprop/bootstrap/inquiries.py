"""Composes inquiries: calls that no search makes, such as those of `judge calibrate`, `data synth` and `lint --model`.

An inquiry is a run of its own: its calls are recorded, answer the next one for free, and keep to the caps. It cannot be
resumed, since starting it again costs nothing for what is on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from promptprop import __version__
from promptprop.bootstrap.models import open_endpoints, require_priced
from promptprop.bootstrap.preparation import fresh_run
from promptprop.domain.errors import BudgetExhausted, BudgetSpent

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.config import RunConfig
    from promptprop.services.inquiry import Inquiry

Tick = Callable[[str, int, int], None]


@asynccontextmanager
async def open_inquiry(
    store: SqlStore,
    loaded: LoadedConfig,
    activity: str,
    dataset_id: str,
    templates: Mapping[str, str],
    on_tick: Tick,
    config: RunConfig | None = None,
) -> AsyncIterator[Inquiry]:
    """An inquiry under a run of its own, which ends as the block does; `config` stands in for the one that was loaded.

    Raises ConfigError where a key or a price is missing, before there is a run; BudgetExhausted, ModelError.
    """
    from promptprop.adapters.models.ledger import LedgerModels
    from promptprop.adapters.models.purse import Purse
    from promptprop.roles.registry import load_roles
    from promptprop.services.inquiry import Inquiry

    asked = config or loaded.config
    endpoints, specs = await open_endpoints(asked, loaded.environment, activity)
    snapshot = {
        "engine": __version__,
        "config": asked.snapshot(),
        "path": str(loaded.path),
        "folder": str(loaded.path.resolve().parent),
        "roles": dict(templates),
    }
    run = fresh_run(asked.name, activity, asked.seed, snapshot, dataset_id)
    try:
        require_priced(asked, specs)
        await store.create_run(run)
        await store.update_run(run.id, status="running")
    except BaseException:
        for endpoint in endpoints.values():
            await endpoint.client.close()
        raise
    ledger = LedgerModels(store, run.id, Purse(asked.budget.budget), endpoints)
    reason = "failed"
    try:
        yield Inquiry(run.id, ledger, specs, load_roles(templates), on_tick)
        await store.commit_block(run.id, [], ledger.take_failures(), "")
        reason = "done"
    except asyncio.CancelledError:
        reason = "interrupted"
        raise
    except BudgetSpent as spent:
        reason = "budget"
        raise BudgetExhausted(
            f"the {spent.cap} cap leaves no room for the calls that are left",
            remedy=f"raise budget.{spent.cap} and run it again: what is on record is free",
        ) from spent
    finally:
        await ledger.close()
        await store.update_run(run.id, status="finished" if reason == "done" else "stopped", stop_reason=reason)
