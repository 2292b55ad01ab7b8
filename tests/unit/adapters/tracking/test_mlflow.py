"""The MLflow sink on a real SQLite store, on broken ones, and over a resume."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.tracking.client import Destination
from promptprop.adapters.tracking.mlflow import MlflowSink, open_ui
from promptprop.domain import events as facts
from promptprop.domain.errors import UsageError
from promptprop.domain.events import Estimate, Event, StoredEvent
from promptprop.domain.models import Candidate, Hypothesis, Message, Prompt, Proposal

AT = datetime(2026, 1, 2, tzinfo=timezone.utc)
SCORE = Estimate(0.6, 0.5, 0.7, 40)
SEED = Candidate({"main": Prompt.of("Answer {{ text }}")})
CHILD = Candidate(
    {"main": Prompt((Message("system", "Be brief."), Message("user", "Answer {{ text }} in one word")))},
    parents=(SEED.id,),
    hypothesis=Hypothesis("cause", "Answers were too long."),
)
PROPOSALS = {candidate.id: Proposal(candidate) for candidate in (SEED, CHILD)}
STARTED = facts.RunStarted("router", "optimize", "backprop", 7, {"train": 4}, {"task": "x"}, {"calls": 9}, True)
FIRST_HALF: tuple[Event, ...] = (
    STARTED,
    facts.CandidateProposed(0, SEED.id, (), "seed", "", 10),
    facts.CandidateProposed(1, CHILD.id, (SEED.id,), "cause", "", 10),
    facts.RoundEnded(1, CHILD.id, SCORE, 1),
)
TESTED = facts.WinnerTested(SEED.id, CHILD.id, SCORE, SCORE, Estimate(0.2, 0.1, 0.3, 40), 0.01, "better")
LAST: tuple[Event, ...] = (facts.RoundEnded(2, CHILD.id, SCORE, 0), TESTED, facts.RunFinished("target"))


@pytest.fixture(autouse=True)
def restored_environment() -> Iterator[None]:
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    yield
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one store serves all tests of this file; each test has an experiment of its own."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def destination(mlflow_folder: Path, request: pytest.FixtureRequest) -> Destination:
    uri = f"sqlite:///{(mlflow_folder / 'deep' / 'er' / 'mlflow.db').as_posix()}"
    name = str(request.node.name)[:60]
    return Destination(uri, name, f"Run {name}!", mlflow_folder / "artifacts", {"config_digest": "abc"})


@pytest.fixture
def read_client(destination: Destination) -> Any:
    """MLflow's own client on the store, once a sink has made it."""

    def connect() -> Any:
        from mlflow import MlflowClient

        return MlflowClient(destination.uri, destination.uri)

    return connect


def stored(run_id: str, *events: Event, first: int = 1) -> list[StoredEvent]:
    return [StoredEvent(run_id, seq, AT, event) for seq, event in enumerate(events, first)]


def sink_of(destination: Destination, **options: Any) -> MlflowSink:
    return MlflowSink(destination, **{"candidates": lambda: PROPOSALS, "close_seconds": 60.0, **options})


async def track(sink: MlflowSink, events: list[StoredEvent]) -> None:
    for event in events:
        sink.accept(event)
    await sink.close()


def runs_of(client: Any, destination: Destination) -> list[Any]:
    return list(client.search_runs([client.get_experiment_by_name(destination.experiment).experiment_id]))


def read_folder(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.slow
async def test_a_run_has_params_tags_metrics_prompts_and_its_report(
    destination: Destination, read_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sink = sink_of(destination, artifacts=lambda: {"report.md": "# A report, key sk-abcdefgh12345678"})
    await track(sink, stored("r1", *FIRST_HALF, *LAST))
    assert sink.problem is None
    client = read_client()
    (run,) = runs_of(client, destination)
    assert run.info.status == "FINISHED"
    assert run.data.params["config_digest"] == "abc"
    assert run.data.params["optimizer"] == "backprop"
    tags = {key: value for key, value in run.data.tags.items() if key.startswith("promptprop.")}
    assert tags == {
        "promptprop.run_id": "r1", "promptprop.caps": '{"calls":9}', "promptprop.simulated": "true",
        "promptprop.verdict": "better", "promptprop.stop_reason": "target",
    }  # fmt: skip
    assert run.data.metrics["test/delta_low"] == 0.1
    history = client.get_metric_history(run.info.run_id, "score/best_high")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.7), (2, 0.7)]
    client.download_artifacts(run.info.run_id, "report.md", str(tmp_path))
    # no store of MLflow's own stands beside the report
    assert read_folder(tmp_path) == {"report.md": "# A report, key [redacted]"}
    assert run.info.artifact_uri.startswith(destination.artifact_dir.as_uri())


@pytest.mark.slow
async def test_candidates_become_prompt_versions_and_the_winner_has_the_alias(
    destination: Destination, read_client: Any
) -> None:
    await track(sink_of(destination), stored("r2", *FIRST_HALF, *LAST))
    client = read_client()
    name = "Run-test_candidates_become_prompt_versions_and_the_winner_has_the_alia"[:64]
    versions = {version.tags["promptprop.candidate_id"]: version for version in client.search_prompt_versions(name)}
    assert versions[SEED.id].template == "Answer {{ text }}"
    assert versions[CHILD.id].template == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Answer {{ text }} in one word"},
    ]
    assert client.get_prompt_version_by_alias(name, "winner").version == versions[CHILD.id].version
    (run,) = runs_of(client, destination)
    assert {version.version for version in client.list_logged_prompts(run.info.run_id)} == {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("replayed", [True, False])
async def test_a_resumed_run_continues_and_logs_nothing_twice(
    destination: Destination, read_client: Any, replayed: bool
) -> None:
    events = stored("r3", *FIRST_HALF, facts.RunStopped("interrupted"), facts.RunResumed(), *LAST)
    await track(sink_of(destination), events[:5])
    client = read_client()
    assert runs_of(client, destination)[0].info.status == "KILLED"
    resumed = sink_of(destination)
    await track(resumed, events if replayed else events[5:])
    assert resumed.problem is None
    (run,) = runs_of(client, destination)
    assert run.info.status == "FINISHED"
    assert run.data.tags["promptprop.stop_reason"] == "target"
    history = client.get_metric_history(run.info.run_id, "score/best")
    assert [metric.step for metric in history] == [1, 2]
    name = client.list_logged_prompts(run.info.run_id)[0].name
    assert len(client.search_prompt_versions(name)) == 2


@pytest.mark.slow
async def test_a_second_run_of_a_name_shares_the_versions_of_equal_candidates(
    destination: Destination, read_client: Any
) -> None:
    await track(sink_of(destination), stored("r4", *FIRST_HALF, *LAST))
    other = Candidate({"main": Prompt.of("Reply to {{ text }}")})
    await track(
        sink_of(destination, candidates=lambda: {**PROPOSALS, other.id: Proposal(other)}), stored("r5", *FIRST_HALF)
    )
    client = read_client()
    runs = {run.data.tags["promptprop.run_id"]: run for run in runs_of(client, destination)}
    assert set(runs) == {"r4", "r5"}
    name = client.list_logged_prompts(runs["r4"].info.run_id)[0].name
    assert len(client.search_prompt_versions(name)) == 3
    assert runs["r5"].data.tags["mlflow.linkedPrompts"].count('"version"') == 3


@pytest.mark.slow
async def test_the_steps_of_a_chain_are_prompts_of_their_own(destination: Destination, read_client: Any) -> None:
    chain = Candidate({"facts": Prompt.of("List {{ text }}"), "desk": Prompt.of("Decide {{ facts }}")})
    await track(sink_of(destination, candidates=lambda: {chain.id: Proposal(chain)}), stored("r6", STARTED))
    names = {prompt.name for prompt in read_client().search_prompts(filter_string="name LIKE '%chain%'")}
    assert {name.rsplit(".", 1)[1] for name in names} == {"facts", "desk"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "uri", ["sqlite:///{taken}/mlflow.db", "sqlite:///{taken}", "nonsense://x", "http://127.0.0.1:9"]
)
async def test_a_broken_tracker_warns_once_and_the_run_goes_on(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "taken").write_text("this is no database, and no folder either\n" * 50)
    sink = sink_of(Destination(uri.format(taken=tmp_path / "taken"), "e", "r", tmp_path / "artifacts"))
    await track(sink, stored("r7", *FIRST_HALF, *LAST))
    assert sink.problem is not None
    assert sink.problem.startswith("MLflow could not open the run: ")
    warnings = [record for record in caplog.records if record.name.startswith("promptprop") and record.levelno >= 30]
    assert len(warnings) == 1


@pytest.mark.slow
async def test_a_report_or_candidates_that_fail_cost_only_themselves(
    destination: Destination, read_client: Any
) -> None:
    def fail() -> Any:
        raise RuntimeError("no such table: postgresql://me:hunter2@db/x")

    sink = sink_of(destination, candidates=fail, artifacts=fail)
    await track(sink, stored("r8", *FIRST_HALF, *LAST))
    assert sink.problem is not None
    assert "hunter2" not in sink.problem
    (run,) = runs_of(read_client(), destination)
    assert run.info.status == "FINISHED"


async def test_close_waits_no_longer_than_it_may(destination: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(self: MlflowSink, run_id: str) -> Any:
        release.wait(30)
        raise RuntimeError("too late")

    monkeypatch.setattr(MlflowSink, "_open", hang)
    sink = sink_of(destination, close_seconds=0.05)
    await track(sink, stored("r9", *FIRST_HALF))
    release.set()
    assert sink.problem == "MLflow did not finish within 0.05 seconds; tracking is incomplete"


async def test_a_sink_that_heard_nothing_starts_nothing(destination: Destination) -> None:
    before = set(threading.enumerate())  # a sink of another test may still be closing
    sink = sink_of(destination)
    await sink.close()
    assert "promptprop-mlflow" not in {thread.name for thread in set(threading.enumerate()) - before}


async def test_accept_returns_while_the_tracker_is_still_opening(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = asyncio.Event()
    loop = asyncio.get_running_loop()
    release = threading.Event()

    def wait(self: MlflowSink, run_id: str) -> Any:
        loop.call_soon_threadsafe(opened.set)
        release.wait(30)
        raise RuntimeError("not today")

    monkeypatch.setattr(MlflowSink, "_open", wait)
    sink = sink_of(destination)
    for event in stored("r10", *FIRST_HALF):
        sink.accept(event)
    await opened.wait()
    release.set()
    await sink.close()
    assert sink.problem == "MLflow could not open the run: not today (RuntimeError)"


def test_the_ui_is_opened_on_our_store_and_on_loopback() -> None:
    command = open_ui("sqlite:////srv/p/mlflow.db", port=5055)
    assert command.argv[:4] == (sys.executable, "-m", "mlflow", "ui")
    options = dict(zip(command.argv[4::2], command.argv[5::2], strict=True))
    assert options == {
        "--host": "127.0.0.1", "--port": "5055", "--workers": "1", "--backend-store-uri": "sqlite:////srv/p/mlflow.db",
    }  # fmt: skip
    assert command.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_password_reaches_the_ui_by_the_environment_only() -> None:
    uri = "postgresql+psycopg://me:hunter2@db/mlflow"
    command = open_ui(uri)
    assert "hunter2" not in " ".join(command.argv)
    assert command.environment["MLFLOW_BACKEND_STORE_URI"] == uri


def test_a_server_has_a_ui_already() -> None:
    with pytest.raises(UsageError, match="UI of its own"):
        open_ui("https://mlflow.example")
