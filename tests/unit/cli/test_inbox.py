"""A run on the command line takes what people leave for it elsewhere, and says how it ended."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.store import SqlStore, open_store
from promptprop.domain.events import StoredEvent
from promptprop.ports import Tick

DATABASE = ".promptprop/promptprop.db"


class Elsewhere:
    """Stands in for MLflow, and leaves a wish at the fourth event as another process would."""

    problem: str | None = None

    def __init__(self, kind: str, body: Mapping[str, Any]) -> None:
        self.wish = (kind, json.dumps(body))

    def accept(self, event: StoredEvent) -> None:
        if event.seq == 4:
            with closing(sqlite3.connect(DATABASE)) as connection, connection:
                connection.execute(
                    "INSERT INTO interventions (run_id, kind, body, author, created_at) "
                    "VALUES (?, ?, ?, 'alice', '2026-01-02 00:00:00.000000')",
                    (event.run_id, *self.wish),
                )

    def tick(self, tick: Tick) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.fixture
def optimize(cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Optimizes while somebody leaves a wish, in a run that looks for one all the time."""
    monkeypatch.setattr("promptprop.services.mail.EVERY", 0.0)

    def run(kind: str, body: Mapping[str, Any] | None = None, *more: str) -> Any:
        with monkeypatch.context() as tracked:
            tracked.setattr("promptprop.bootstrap.outputs.build_tracking", lambda *_: Elsewhere(kind, body or {}))
            return run_cli("optimize", "small.yaml", *more)

    return run


def store_of(project: Path) -> SqlStore:
    return open_store(f"sqlite:///{project / DATABASE}")


def test_a_note_left_elsewhere_is_an_event_of_the_run(cli_project: Path, optimize: Any) -> None:
    ended = optimize("note_left", {"text": "mind the tone"}, "--json")
    assert ended.code == 0, ended.err
    with closing(store_of(cli_project)) as store:
        (noted,) = [one for one in store.events(ended.json["run_id"]) if one.event.kind == "note_left"]
        assert noted.meta["author"] == "alice"
        assert store.wishes(ended.json["run_id"]) == []


@pytest.mark.no_cover
@pytest.mark.parametrize(("kind", "status"), [("paused", "stopped"), ("cancelled", "cancelled")])
def test_a_run_that_somebody_ends_says_so_and_goes_on_when_it_is_asked_to(
    optimize: Any, run_cli: Any, kind: str, status: str
) -> None:
    ended = optimize(kind, {}, "--json")
    assert ended.code == 130
    assert f"was {kind}" in ended.json["error"]["message"]
    assert (ended.json["run"]["status"], ended.json["run"]["stop_reason"]) == (status, kind)
    (listed,) = run_cli("runs", "list", "--json").json
    assert (listed["status"], listed["stop_reason"]) == (status, kind)
    assert f"it was {kind}" in run_cli("runs", "show", "latest").out
    assert run_cli("runs", "resume", "latest").code == 0


@pytest.mark.no_cover
def test_a_resumed_run_is_not_ended_by_what_was_asked_before(cli_project: Path, optimize: Any, run_cli: Any) -> None:
    run_id = optimize("paused", {}, "--json").json["run"]["run_id"]
    with closing(store_of(cli_project)) as store:
        wish = asyncio.run(store.leave_wish(run_id, "cancelled", {}))
        assert run_cli("runs", "resume", run_id).code == 0
        row = store.wish_row(run_id, wish.id)
        assert row is not None
        assert row.refused == "the run was resumed before it ended"
