"""Rows invented over HTTP: what the server saw is what is told, and what was answered is not asked again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from runs_over_http import ROOT, database_in, write_config
from world_server import WorldProcess

from promptprop.bootstrap.configuration import load, open_database
from promptprop.bootstrap.synthesis import Proposals, invent_rows

WORLD = ROOT / "datasets" / "support.world.yaml"


def config_at(folder: Path, url: str, **changes: Any) -> Path:
    path = write_config(folder, url, **changes)
    config = json.loads(path.read_text())
    config["models"]["synthesizer"] = {**config["models"]["critic"], "model": "openai/synthesizer"}
    path.write_text(json.dumps(config))
    return path


def invented(config: Path, database: str, file: Path, count: int) -> Proposals:
    loaded = load(config, [], {"database.url": database}, None)
    with contextlib.closing(open_database(database)) as store:
        return asyncio.run(invent_rows(store, loaded, count, (), file, lambda *_: None))


def test_calls_and_money_are_those_that_the_server_saw_and_a_second_time_asks_nobody(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    with WorldProcess(WORLD) as world:
        config = config_at(tmp_path, world.url)
        first = invented(config, database, tmp_path / "a.jsonl", 20)
        seen = world.stats()["models"]["synthesizer"]
        again = invented(config, database, tmp_path / "b.jsonl", 20)
        assert world.stats()["models"]["synthesizer"] == seen
    assert len(first.rows) == 20
    assert first.spend.total.calls == seen
    assert (again.spend.total.calls, again.rows) == (0, first.rows)
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "b.jsonl").read_text()
