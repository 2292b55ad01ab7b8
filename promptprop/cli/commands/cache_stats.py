"""`promptprop cache stats`: what the ledger holds, and what it has saved."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from promptprop.cli.options import Database, EnvFile
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.storage.cache import CacheStats, CallSums

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def show_stats(shell: Shell, env_file: EnvFile = None, db: Database = None) -> None:
    """Count what the ledger holds, and what it has saved.

    Pinned calls belong to a run and stay; the others can be pruned. A hit is a call that a run took from another one
    instead of paying for it.
    """
    from promptprop.adapters.storage.connection import shown
    from promptprop.cli.running import opened

    with contextlib.closing(opened(db, env_file)) as store:
        stats, name = store.cache_stats(), shown(store.url)
    shell.show(_json(stats, name), lambda: _drawn(stats, name))


def _json(stats: CacheStats, name: str) -> Json:
    return {
        "database": name,
        "size_bytes": stats.size_bytes,
        **sums_json(stats.held),
        "shared": stats.shared,
        "pinned": stats.pinned,
        "prunable": stats.prunable,
        "saved": sums_json(stats.saved),
        "models": [
            {
                "model": one.model,
                **sums_json(one.held),
                "prunable": one.prunable,
                "pinned": one.held.calls - one.prunable,
            }
            for one in stats.models
        ],
    }


def sums_json(sums: CallSums) -> dict[str, Json]:
    """Calls, tokens and money for `--json`; calls without a known price apart."""
    from promptprop.domain.report import known_usd

    return {
        "calls": sums.calls,
        "tokens": sums.tokens,
        "usd": known_usd(sums.picousd, sums.unpriced),
        "unpriced_calls": sums.unpriced,
    }


def _drawn(stats: CacheStats, name: str) -> Iterable[RenderableType]:
    from promptprop.adapters.files.report_words import counted, spent
    from promptprop.cli.drawing import facts_table, table_of

    saved = (
        f"{sums_text(stats.saved)}, from {counted(stats.saved.calls, 'hit')}" if stats.saved.calls else "nothing yet"
    )
    shares = f"{stats.shared:,} shared, {stats.pinned:,} pinned, {stats.prunable:,} prunable"
    yield facts_table(
        [
            ("database", f"{name}, {size_text(stats.size_bytes)}"),
            ("calls", f"{stats.held.calls:,}: {shares}"),
            ("worth", sums_text(stats.held)),
            ("saved", saved),
        ]
    )
    if stats.models:
        rows = [
            [
                one.model,
                f"{one.held.calls:,}",
                f"{one.prunable:,}",
                f"{one.held.tokens:,}",
                spent(one.held.picousd, one.held.unpriced),
            ]
            for one in stats.models
        ]
        yield ""
        yield table_of(["model", "calls", "prunable", "tokens", "usd"], rows, right=(1, 2, 3, 4))


def sums_text(sums: CallSums) -> str:
    """Tokens and money for people; calls of unknown price are told apart."""
    from promptprop.adapters.files.report_words import counted, spent

    unknown = f" ({counted(sums.unpriced, 'call')} of unknown price not in it)" if sums.unpriced else ""
    return f"{counted(sums.tokens, 'token')}, {spent(sums.picousd, sums.unpriced)}{unknown}"


def size_text(size: int) -> str:
    """Bytes in a unit that fits.

    >>> size_text(999), size_text(1_230_000), size_text(20_400_000_000)
    ('999 bytes', '1.23 MB', '20.4 GB')
    """
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {UNITS[unit]}"
