"""Several processes on one database, SQLite's and PostgreSQL's: they lose nothing, and none is in another one's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest
from postgres_server import PATIENCE, find_binaries
from store_rows import run_row

from promptprop.adapters.storage.migrate import check
from promptprop.adapters.storage.store import open_store
from promptprop.domain.models import Example

FIXTURES = Path(__file__).parents[1] / "fixtures"
CALLS = 200

WORKER = textwrap.dedent("""
    import asyncio, json, random, sys
    from store_rows import candidate, evaluation, model_reply, model_request
    from promptprop.adapters.storage.store import open_store
    from promptprop.domain.models import Attempts, Example, Failure, Proposal
    from promptprop.ports import FailedCall

    url, run_id, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

    async def record(store, number):
        request = model_request(f"question {number}")
        recorded = await store.record_call(run_id, request, model_reply(f"{run_id} {number}", picousd=3), Attempts())
        failed = FailedCall(model_request(f"failed {number}"), Failure("rate_limited", "429"), Attempts(2))
        await store.commit_block(run_id, [evaluation(f"e{number}")], [failed], "f")
        if number % 20 == 0:
            await store.save_prompt("shared", candidate(f"{run_id} {number}"), run_id, ("winner",))
        assert store.find_call(run_id, request.key).reply == recorded.reply
        return recorded.reply.text

    async def main():
        store = open_store(url)
        await store.put_dataset("shared", [Example(f"e{number}", {"text": "x"}, "y") for number in range(count)])
        order = list(range(count))
        random.Random(run_id).shuffle(order)
        texts = {}
        for start in range(0, count, 25):
            part = order[start : start + 25]
            texts.update(zip(part, await asyncio.gather(*(record(store, number) for number in part))))
        store.close()
        print(json.dumps([texts[number] for number in range(count)]))

    asyncio.run(main())
""")

TENANT = textwrap.dedent("""
    import sys
    from pathlib import Path
    from postgres_server import shared_server

    with shared_server(Path(sys.argv[1]), Path(sys.argv[2])) as url:
        print(url.partition("?host=")[2], flush=True)
        sys.stdin.readline()
""")


def launch(script: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process that knows the fixtures."""
    path = os.pathsep.join([str(FIXTURES), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_processes_that_record_the_same_calls_at_once_agree_and_lose_nothing(any_database_url: str) -> None:
    runs = ("run-a", "run-b", "run-c")
    with closing(open_store(any_database_url)) as store:
        for run_id in runs:
            await store.create_run(run_row(run_id))
        processes = [launch(WORKER, any_database_url, run_id, str(CALLS)) for run_id in runs]
        ended = [(*process.communicate(timeout=120), process.returncode) for process in processes]
        assert [code for _, _, code in ended] == [0, 0, 0], [err for _, err, _ in ended]
        texts = [json.loads(out) for out, _, _ in ended]
        assert texts[0] == texts[1] == texts[2], "everybody was handed the reply that was stored first"
        with store.reading() as connection:
            counts = [
                connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() for table in ("calls", "examples")
            ]
        assert counts == [CALLS, CALLS]
        for run_id in runs:
            assert store.paid(run_id).calls == 3 * CALLS
            assert len(list(store.evaluations(run_id))) == CALLS
        versions = store.prompts()
        assert [prompt.version for prompt in versions] == list(range(1, len(runs) * CALLS // 20 + 1))
        assert sum("winner" in prompt.aliases for prompt in versions) == 1
    assert check(any_database_url) == []


async def test_a_dataset_that_another_process_stores_first_is_left_as_it_is(
    any_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Example(f"e{number}", {"text": "x"}, "y") for number in range(3)]
    with closing(open_store(any_database_url)) as store:
        dataset_id = await store.put_dataset("theirs", rows)
        monkeypatch.setattr(store, "_has_dataset", lambda _id: False)  # as it looked before the other one committed
        assert await store.put_dataset("ours", rows) == dataset_id
        assert len(store.rows(dataset_id)) == 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_open_a_new_database_at_once_make_it_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/new.db" if kind == "sqlite" else request.getfixturevalue("empty_postgres_url")
    script = "import sys; from promptprop.adapters.storage.store import open_store; open_store(sys.argv[1]).close()"
    processes = [launch(script, url) for _ in range(4)]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in processes]
    assert ended == [("", 0)] * 4
    assert check(url) == []


@pytest.mark.parametrize("ending", [None, signal.SIGTERM, signal.SIGKILL])
def test_the_tests_own_server_goes_with_the_last_process_that_used_it(
    ending: signal.Signals | None, tmp_path: Path
) -> None:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("there is no PostgreSQL to start")
    tenants = [launch(TENANT, str(binaries), str(tmp_path)) for _ in range(2)]
    folders = [tenant.stdout.readline().strip() for tenant in tenants if tenant.stdout]
    assert folders[0] == folders[1]
    folder = Path(folders[0].replace("%2F", "/"))
    server = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    tenants[0].communicate("\n", timeout=60)
    os.kill(server, 0)
    if ending is None:
        tenants[1].communicate("\n", timeout=60)
        assert not folder.exists(), "it is gone when the last one has left"
    else:
        tenants[1].send_signal(ending)
        tenants[1].communicate(timeout=60)
    deadline = time.monotonic() + PATIENCE
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
