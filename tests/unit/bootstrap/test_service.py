"""The runs of a server, without a server."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving import Station, config, station

from promptprop.bootstrap import preparation
from promptprop.bootstrap.service import Order, TooManyRuns
from promptprop.domain.errors import ConfigError, DataError, UsageError
from promptprop.domain.serve_config import ServeConfig


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Station]:
    """A server that takes 24 rows, two runs and 50 calls."""
    monkeypatch.chdir(tmp_path)
    serve = ServeConfig.model_validate({"limits": {"rows": 24, "runs": 2}, "budget": {"calls": 50}})
    async with station(tmp_path, serve) as made:
        yield made


def test_a_configuration_comes_as_an_object_or_as_yaml(served: Station) -> None:
    service = served.context.service
    assert service.load(config()).config == service.load(None, yaml.safe_dump(config())).config
    for given in ((None, None), (config(), "a: b")):
        with pytest.raises(UsageError, match="exactly one"):
            service.load(*given)


def test_a_configuration_is_held_to_the_servers_project_and_budget(served: Station) -> None:
    service, folder = served.context.service, served.context.settings.folder
    loaded = service.load(config())
    assert loaded.config.data.file == str(folder.resolve() / "desks.jsonl")
    assert loaded.config.budget.calls == 50
    for wrong in (config(data__file="../desks.jsonl"), config(data__file=".env"), config(output="/tmp")):
        with pytest.raises(ConfigError):
            service.load(wrong)


def test_a_stored_dataset_stands_in_for_the_file(served: Station) -> None:
    loaded = served.context.service.load(config(models={"task": "openai/gpt-5"}), None, "abc")
    assert (loaded.config.data.file, loaded.config.data.dataset) == (None, "abc")


async def test_a_run_is_prepared_off_the_loop(served: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    reading = preparation.limited_examples

    def noted(*given: Any) -> Any:
        threads.append(threading.current_thread())
        return reading(*given)

    monkeypatch.setattr(preparation, "limited_examples", noted)
    service = served.context.service
    await service.begin(service.load(config()), "optimize", {}, Order())
    assert threads
    assert threading.main_thread() not in threads


async def test_a_file_of_too_many_rows_is_refused_and_leaves_nothing(served: Station, tmp_path: Path) -> None:
    lines = (tmp_path / "desks.jsonl").read_text().splitlines()
    one_more = json.dumps({**json.loads(lines[0]), "id": "one more"})
    (tmp_path / "desks.jsonl").write_text("\n".join([*lines, one_more]))
    service = served.context.service
    loaded = service.load(config())
    with pytest.raises(DataError, match="more than 24 rows"):
        await service.begin(loaded, "optimize", {}, Order())
    assert served.store.run_page(10) == []
    assert served.store.dataset_heads(10) == []


async def test_an_owner_has_no_more_runs_than_it_may(served: Station) -> None:
    service = served.context.service
    for _ in range(2):
        await service.begin(service.load(config()), "optimize", {}, Order("t"))
    with pytest.raises(TooManyRuns):
        await service.begin(service.load(config()), "optimize", {}, Order("t"))
    with pytest.raises(TooManyRuns):
        await service.begin(service.load(config()), "optimize", {}, Order("other", max_runs=0))
    assert len(served.store.run_page(10)) == 2
