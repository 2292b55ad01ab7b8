"""`doctor`: a line for everything that is broken, and never a traceback."""

from __future__ import annotations

import io
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from listing_server import ListingServer, listing
from openai_server import OpenAIServer

from promptprop.adapters.models.keys import KEYS
from promptprop.bootstrap import doctor_machine, doctor_storage
from promptprop.bootstrap.doctor import Check, Patient, looked_at, writable
from promptprop.cli.commands.doctor import drawn
from promptprop.cli.drawing import console_for, print_all
from promptprop.domain.errors import ConfigError, Place, Problem, UsageError

GOLDEN = Path(__file__).parent / "golden"
KEY = "canaryDoctor/Ss5+Tt6"


@pytest.fixture
def ward(cli_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without keys and proxies, and no command on the PATH to be told of."""
    names = {name for names in KEYS.values() for name in names}
    names |= {name for name in os.environ if name.lower().endswith(("_proxy", "_api_base", "_base_url"))}
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = (cli_project / "small.yaml").read_text()
    (cli_project / "small.yaml").write_text(text + "tracking: {mlflow: false}\n")
    monkeypatch.setattr(
        metadata, "requires", lambda _name: ["aiohttp>=3"]
    )  # what is installed here is no test's matter
    return cli_project


@pytest.fixture
def states(run_cli: Any) -> Callable[..., dict[str, tuple[str, str, str]]]:
    """Runs `doctor --json`; the worst check by name, as state, message and remedy."""

    def examine(*arguments: str) -> dict[str, tuple[str, str, str]]:
        ended = run_cli("doctor", *arguments, "--json")
        checks = ended.json["checks"]
        assert ended.code == (1 if any(check["state"] == "fail" for check in checks) else 0)
        order = ("ok", "warn", "fail")
        ranked = sorted(checks, key=lambda check: order.index(check["state"]))
        return {check["name"]: (check["state"], check["message"], check["remedy"]) for check in ranked}

    return examine


@pytest.fixture
def lister(monkeypatch: pytest.MonkeyPatch) -> Iterator[ListingServer]:
    with listing(KEY) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/openai")
        yield server


def test_a_sound_project_has_nothing_to_mend(ward: Path, run_cli: Any, states: Any) -> None:
    found = states("small.yaml", "--offline")
    assert {name for name, (state, *_) in found.items() if state == "fail"} == set()
    assert {"python", "dependencies", "prices", "folder", "database", "keys", "config"} <= set(found)
    assert not (ward / ".promptprop").exists()
    shown = run_cli("doctor", "small.yaml", "--offline")
    assert "nothing is wrong" in shown.out
    assert "✓" in shown.out
    plain = run_cli("doctor", "--offline", encoding="ascii")
    assert "ok python" in " ".join(plain.out.split())


def test_what_is_broken_is_a_line_each(ward: Path, states: Any) -> None:
    (ward / ".promptprop").write_text("in the way")
    (ward / "broken.yaml").write_text("version: 1\ntsk: x\n")
    found = states("broken.yaml", "--offline", "--db", "nonsense")
    assert found["folder"][0] == "fail"
    assert found["database"][0] == "fail"
    assert found["config"][0] == "fail"
    assert "broken.yaml:2:1" in found["config"][1] or "tsk" in found["config"][1]


def test_a_broken_env_file_hides_nothing_else(ward: Path, states: Any) -> None:
    (ward / ".env").write_text("not a line\n")
    found = states("--offline")
    assert found["environment"][0] == "fail"
    assert found["database"][0] == "ok"


def test_data_that_cannot_be_read_is_told_as_validate_does(ward: Path, states: Any) -> None:
    (ward / "support.jsonl").write_text("{\n")
    assert states("small.yaml", "--offline")["config"][0] == "fail"


def test_a_database_is_looked_into(ward: Path, states: Any, run_cli: Any) -> None:
    assert run_cli("eval", "small.yaml", "-q", "--json").code == 0
    state, message, _ = states("--offline")["database"]
    assert state == "ok"
    assert "sound, at revision" in message
    with closing(sqlite3.connect(ward / ".promptprop/promptprop.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert states("--offline")["database"][0] == "fail"
    (ward / ".promptprop/promptprop.db").write_bytes(b"garbage" * 1000)
    assert states("--offline")["database"][0] == "fail"
    (ward / ".promptprop/promptprop.db").write_bytes(b"")
    state, message, _ = states("--offline")["database"]
    assert state == "ok"
    assert "none yet" in message


def test_a_run_that_is_worked_on_is_named(ward: Path, states: Any, run_cli: Any) -> None:
    from promptprop.adapters.storage.locks import run_lock

    assert run_cli("eval", "small.yaml", "-q", "--json").code == 0
    assert "locks" not in states("--offline")
    with run_lock(f"sqlite:///{ward}/.promptprop/promptprop.db", "abc"):
        assert "abc" in states("--offline")["locks"][1]


def test_a_postgres_url_without_its_driver_names_the_extra(
    ward: Path, states: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_storage, "find_spec", lambda _name: None)
    state, _, remedy = states("--offline", "--db", "postgresql+psycopg://u:canaryPw1@127.0.0.1/x")["database"]
    assert state == "fail"
    assert "promptprop[postgres]" in remedy


def test_keys_are_named_and_never_shown(
    ward: Path, run_cli: Any, lister: ListingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", ' "canaryGroq-1a2b3c"')
    monkeypatch.setenv("GROQ_API_BASE", f"{lister.url}/401")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canaryProxy@proxy.example:3128")
    ended = run_cli("doctor", "-vv")
    assert ended.code == 1
    assert "canary" not in ended.out + ended.err
    assert "OPENAI_API_KEY, GROQ_API_KEY set" in ended.out
    assert "GROQ_API_KEY has blanks around it" in ended.out
    assert "openai answers and lists 2 models" in ended.out
    assert "GROQ_API_KEY is refused" in ended.out
    assert "proxy.example:3128" in ended.out


def test_a_bad_key_that_the_configuration_does_not_use_is_a_warning(
    ward: Path, states: Any, lister: ListingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canaryWrong-1")
    assert states()["network"][0] == "fail"
    assert states("small.yaml")["network"][0] == "warn"


def test_offline_asks_nobody(ward: Path, states: Any, lister: ListingServer) -> None:
    assert "network" not in states("--offline")
    assert lister.seen == []


def test_a_missing_key_of_the_configuration_is_to_mend(ward: Path, states: Any) -> None:
    found = states("small.yaml", "--offline", "--set", "models.critic.model=mistral/x")
    assert found["config"][0] == "fail"
    assert "MISTRAL_API_KEY" in found["config"][2]


def test_models_are_called_only_when_it_is_wished(
    ward: Path, states: Any, run_cli: Any, openai_server: OpenAIServer
) -> None:
    sets = [f"models.critic={{model: openai/a, api_base: '{openai_server.url}'}}"]
    arguments = ["small.yaml", *(part for one in sets for part in ("--set", one))]
    assert "ping" not in states(*arguments)
    assert openai_server.stats.requests == 0
    assert states(*arguments, "--ping")["ping"][0] == "ok"
    assert openai_server.stats.requests > 0
    assert run_cli("doctor", "--ping").code == 2


def test_dependencies_are_held_against_their_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"litellm": "1.82.8", "rich": "1.0", "aiohttp": "3.14"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    wanted = ["litellm<2,>=1", "rich>=13", "aiohttp>=3", "gone>=1", 'psycopg>=3; extra == "postgres"']
    monkeypatch.setattr(metadata, "requires", lambda _name: wanted)
    monkeypatch.setattr(metadata, "version", version)
    found = list(doctor_machine.check_dependencies(Patient({})))
    assert [check.state for check in found] == ["fail"] * 3
    assert "malicious" in found[0].message
    assert "exchange every key" in found[0].remedy
    assert "rich is 1.0" in found[1].message
    assert "gone is missing" in found[2].message
    monkeypatch.setattr(metadata, "requires", lambda _name: wanted[2:3])
    assert [check.state for check in doctor_machine.check_dependencies(Patient({}))] == ["ok"]


def test_a_tracking_server_that_is_away_is_a_warning(ward: Path, states: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        uri = f"http://127.0.0.1:{listener.getsockname()[1]}"
        there = ["small.yaml", "--set", f"tracking={{mlflow: {{uri: '{uri}'}}}}"]
        assert states(*there)["mlflow"][0] == "ok"
    assert states(*there)["mlflow"][0] == "warn"
    assert "mlflow" not in states(*there, "--offline")


def test_a_store_of_mlflow_that_is_none_is_to_mend(ward: Path, states: Any) -> None:
    (ward / "other.db").write_bytes(b"no database at all, but a text" * 99)
    found = states("small.yaml", "--offline", "--set", "tracking={mlflow: {uri: 'sqlite:///other.db'}}")
    assert found["mlflow"][0] == "fail"


@pytest.mark.parametrize("error", [UsageError("no", remedy="do"), ModuleNotFoundError("no module"), RuntimeError("no")])
def test_a_check_that_breaks_down_is_a_finding_beside_what_it_had_found(error: Exception) -> None:
    def examine() -> Iterator[Check]:
        yield Check("a", "ok", "first")
        raise error

    first, second = looked_at("a", examine)
    assert first.message == "first"
    assert second.state == "fail"
    assert "no" in second.message
    assert second.remedy


def test_every_problem_of_an_input_is_a_line() -> None:
    def examine() -> Iterator[Check]:
        yield Check("config", "ok", "read")
        raise ConfigError([Problem("one", Place("f.yaml", 2, 1), "mend it"), Problem("two")])

    assert [check.message for check in looked_at("config", examine)] == ["read", "f.yaml:2:1: one", "two"]


def test_writing_is_tried_and_leaves_nothing(tmp_path: Path) -> None:
    assert writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not writable(tmp_path / "gone")


def test_the_lines_look_as_they_did() -> None:
    checks = [
        Check("python", "ok", "Python 3.11.7"),
        Check("keys", "warn", "GROQ_API_KEY has blanks around it", "set it anew"),
        Check("database", "fail", "line one\nline two \x1b[31m", "restore a backup"),
    ]
    stream = io.StringIO()
    print_all(
        console_for(stream, colour=False, width=80), [*drawn(checks, unicode=True), *drawn(checks, unicode=False)]
    )
    file = GOLDEN / "doctor.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(stream.getvalue(), "utf-8")
    assert stream.getvalue() == file.read_text("utf-8")


def test_the_doctor_loads_neither_litellm_nor_mlflow(ward: Path) -> None:
    code = (
        "import sys; from promptprop.cli.main import main; main(['doctor', 'small.yaml']);"
        "sys.stdout.write('loaded: ' + str(sorted({'litellm', 'mlflow', 'openai'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.endswith("loaded: []"), done.stdout + done.stderr
