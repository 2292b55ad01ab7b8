"""Servers that repeat every secret they are sent, in answers as in refusals: none of it is ever written or shown."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from canaries import SCRIPT, Mirror, clean_environment, leaks, leaks_below, run_forked, run_script
from forked_commands import ForkedCommands
from postgres_server import PostgresServer, plain

pytestmark = pytest.mark.slow

KEY = "canaryKey-Zq81/Xw+55=="
ACCOUNTS = {"OPENAI_ORGANIZATION": "org-canaryOrganization7", "OPENAI_PROJECT_ID": "proj_canaryProject81"}
CARRIED = {
    "BEARER": "canaryBearer-k2J9aaPwq",
    "TENANT": "canaryTenant-B1ccD4e5",
    "FUNCTION": "canaryQuery-Uu77Yt3x",
    "SESSION": "canaryBody-0o9Ii8uR",
}
PARAMS = {
    "extra_headers": {"x-auth": "Bearer ${env:BEARER}", "x-tenant": "${env:TENANT}"},
    "extra_query": {"fn": "${env:FUNCTION}"},
    "extra_body": {"session": {"id": "${env:SESSION}"}},
}
MIXED = ("answer", "answer", "400", "html", "instead", "none", "cut", "429", "answer")
PASSWORD = "canaryPassword-Vv5/gG6h"
CODE = "canaryCode-Mm3Nn4Oo5"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A server with every kind of answer and refusal."""
    with Mirror(MIXED) as server:
        yield server


def write_config(folder: Path, model: Mapping[str, Any], **changes: Any) -> str:
    """An evaluation of twenty rows; returns the configuration's name."""
    rows = [{"id": f"r{number}", "text": f"message {number}", "label": "ab"[number % 2]} for number in range(20)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    config = {
        "version": 1,
        "task": "Say a or b.",
        "prompt": {"text": "Label {{ text }}"},
        "data": {"file": "rows.jsonl", "inputs": ["text"], "expected": "label", "id": "id"},
        "models": {"task": {"retries": 0, "concurrency": 4, "timeout": 20, **model}},
        "metrics": [{"id": "label", "type": "exact"}],
        "budget": {"calls": 500},
        "max_error_rate": 1.0,
        "tracking": {"mlflow": False},
        **changes,
    }
    (folder / "run.yaml").write_text(json.dumps(config), "utf-8")
    return "run.yaml"


def look_at_everything(forked: ForkedCommands, folder: Path, variables: Mapping[str, str]) -> None:
    """Every command that shows or writes something of a run, its models or its database."""
    commands: Sequence[Sequence[str]] = (
        ("runs", "resume", "latest", "--retry-errors", "-vv"),
        ("runs", "list", "--json"),
        ("runs", "show", "latest", "--json"),
        ("runs", "export", "latest", "-o", "exported.json"),
        ("report", "latest", "--md"),
        ("report", "latest", "--json", "-o", "report.json"),
        ("config", "show", "run.yaml", "--origin", "--json"),
        ("validate", "run.yaml"),
        ("models", "list", "run.yaml", "--refresh", "--json"),
        ("models", "list", "run.yaml"),
        ("models", "ping", "run.yaml", "--json"),
        ("doctor", "run.yaml", "--ping", "--json"),
        ("cache", "stats", "--json"),
        ("db", "check", "--json"),
        ("db", "backup", "copy.db"),
    )
    for arguments in commands:
        done = run_forked(forked, folder, arguments, variables)
        assert done.returncode != 70, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("client", "base", "unsent"),
    [
        ("http", "http://me:{password}@0.0.0.0:{port}/v1?code={code}", {"PASSWORD"}),
        ("http", "http://me:{password}@0.0.0.0:{port}/v1?code={code}", {"OPENAI_API_KEY"}),
        ("litellm", "http://0.0.0.0:{port}/v1?code={code}", {"PASSWORD"}),
    ],
    ids=["http", "http without a key", "litellm"],
)
def test_what_is_sent_in_secret_comes_back_in_answers_and_refusals_and_is_written_nowhere(
    forked_commands: ForkedCommands, tmp_path: Path, mirror: Mirror, client: str, base: str, unsent: set[str]
) -> None:
    secrets = {**CARRIED, **ACCOUNTS, "OPENAI_API_KEY": KEY, "PASSWORD": PASSWORD, "CODE": CODE}
    address = base.format(password=quote(PASSWORD, safe=""), port=mirror.port, code=CODE)
    keys = {} if "OPENAI_API_KEY" in unsent else {"OPENAI_API_KEY": KEY}
    variables = {**CARRIED, **ACCOUNTS, "BASE": address}
    (tmp_path / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in keys.items()), "utf-8")
    provider = "openai" if keys else "openai_like"
    model = {"model": f"{provider}/m", "api_base": "${env:BASE}", "client": client, "params": PARAMS}
    tracking = {"mlflow": {"uri": "sqlite:///.promptprop/mlflow.db"} if client == "http" and keys else False}
    config = write_config(tmp_path, model, tracking=tracking)
    arguments = ("eval", config, "-vv", "--json")
    done = (
        run_script(tmp_path, arguments, variables)
        if client == "http"
        else run_forked(forked_commands, tmp_path, arguments, variables)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    look_at_everything(forked_commands, tmp_path, variables)
    seen = "\n".join(mirror.seen)
    expected = {name for name in secrets if name not in unsent and (keys or name not in ACCOUNTS)}
    assert {name for name, secret in secrets.items() if secret in seen or json.dumps(secret)[1:-1] in seen} == expected
    with closing(sqlite3.connect(tmp_path / ".promptprop" / "promptprop.db")) as connection:
        replies = connection.execute("SELECT reply, reply_model FROM calls").fetchall()
    assert len(replies) > 3
    assert all("[redacted]" in text and "[redacted]" in model for text, model in replies)
    assert leaks_below(tmp_path, secrets, but=[".env"]) == []


@pytest.mark.parametrize(
    ("client", "kind"), [("http", kind) for kind in ("401", "403", "404", "redirect")] + [("litellm", "401")]
)
def test_a_refusal_that_stops_the_run_is_written_without_the_secrets_that_it_repeats(
    forked_commands: ForkedCommands, tmp_path: Path, client: str, kind: str
) -> None:
    secrets = {**CARRIED, **ACCOUNTS, "OPENAI_API_KEY": KEY}
    with Mirror([kind]) as mirror:
        base = f"http://0.0.0.0:{mirror.port}/v1"
        config = write_config(tmp_path, {"model": "openai/m", "api_base": base, "client": client, "params": PARAMS})
        done = run_forked(forked_commands, tmp_path, ("eval", config, "-vv", "--json"), secrets)
        assert done.returncode == 2, done.stdout + done.stderr
        told = json.loads(done.stdout)["error"]["message"]
        assert "[redacted]" in told or kind == "redirect"  # where to is not told at all
        for arguments in (("runs", "show", "latest"), ("models", "ping", config)):
            run_forked(forked_commands, tmp_path, arguments, secrets)
    assert leaks_below(tmp_path, secrets) == []


@pytest.mark.parametrize(
    ("provider", "variable", "base"),
    [("anthropic", "ANTHROPIC_API_KEY", ""), ("gemini", "GEMINI_API_KEY", "/v1beta")],
)
def test_keys_of_other_providers_are_written_nowhere_either(
    forked_commands: ForkedCommands, tmp_path: Path, mirror: Mirror, provider: str, variable: str, base: str
) -> None:
    secrets = {variable: KEY, "TENANT": CARRIED["TENANT"]}
    params = {"extra_headers": {"x-tenant": "${env:TENANT}"}}
    model = {"model": f"{provider}/m", "api_base": f"http://0.0.0.0:{mirror.port}{base}", "params": params}
    config = write_config(tmp_path, model)
    done = run_forked(forked_commands, tmp_path, ("eval", config, "-vv", "--json"), secrets)
    assert done.returncode == 0, done.stdout + done.stderr
    for arguments in (
        ("models", "list", config, "--refresh", "--json"),
        ("models", "ping", config, "--json"),
        ("runs", "export", "latest"),
    ):
        run_forked(forked_commands, tmp_path, arguments, secrets)
    seen = "\n".join(mirror.seen)
    assert all(secret in seen for secret in secrets.values())
    assert json.loads(done.stdout)["spend"]["total"]["calls"] >= 15
    assert leaks_below(tmp_path, secrets) == []


@pytest.mark.parametrize("client", ["http", "litellm"])
def test_a_password_of_the_proxy_is_written_nowhere(tmp_path: Path, mirror: Mirror, client: str) -> None:
    secrets = {"OPENAI_API_KEY": KEY, "PASSWORD": PASSWORD}
    proxy = f"http://me:{quote(PASSWORD, safe='')}@127.0.0.1:{mirror.port}"
    variables = {"OPENAI_API_KEY": KEY, "HTTP_PROXY": proxy, "http_proxy": proxy}
    model = {"model": "openai/m", "api_base": "http://models.example/v1", "client": client}
    config = write_config(tmp_path, model)
    done = run_script(tmp_path, ("eval", config, "-vv", "--json"), variables)
    assert done.returncode == 0, done.stdout + done.stderr
    for arguments in (
        ("doctor", config, "--json"),
        ("models", "list", config, "--refresh"),
        ("models", "ping", config),
    ):
        run_script(tmp_path, arguments, variables)
    seen = "\n".join(mirror.seen)
    assert all(secret in seen for secret in secrets.values())
    assert leaks_below(tmp_path, secrets) == []


def test_what_a_configuration_writes_out_for_this_machine_stays_in_its_file(
    forked_commands: ForkedCommands, tmp_path: Path, mirror: Mirror
) -> None:
    secrets = {"KEY": KEY, "HEADER": CARRIED["TENANT"], "CODE": CODE}
    model = {
        "model": "openai/m",
        "api_base": f"http://127.0.0.1:{mirror.port}/v1?code={CODE}",
        "api_key": KEY,
        "params": {"extra_headers": {"x-auth-token": CARRIED["TENANT"]}},
    }
    config = write_config(tmp_path, model)
    done = run_script(tmp_path, ("eval", config, "-vv", "--json"), {})
    assert done.returncode == 0, done.stdout + done.stderr
    look_at_everything(forked_commands, tmp_path, {})
    examined = run_forked(forked_commands, tmp_path, ("doctor", config, "--json"), {})
    assert examined.returncode == 0, examined.stdout
    assert all(secret in "\n".join(mirror.seen) for secret in secrets.values())
    assert "PROMPTPROP_MODELS__TASK__API_KEY" in (tmp_path / "shown.txt").read_text("utf-8")
    assert leaks_below(tmp_path, secrets, but=[config]) == []


BUG = """
import sys
from promptprop.adapters.models.openai_http.client import OpenAIHttpClient
from promptprop.cli.main import main

async def complete(client, request, timeout):
    raise KeyError(f"unforeseen: {client._headers} {client._route}")

OpenAIHttpClient.complete = complete
sys.exit(main())
"""


def test_a_bug_is_told_without_the_secrets_in_its_traceback(tmp_path: Path) -> None:
    secrets = {**ACCOUNTS, "OPENAI_API_KEY": KEY}
    config = write_config(tmp_path, {"model": "openai/m", "api_base": "http://0.0.0.0:9/v1"})
    start = (sys.executable, "-c", BUG)
    for more in (("-vv",), ("--json",)):
        done = run_script(tmp_path, ("eval", config, *more), secrets, start)
        assert done.returncode == 70, done.stdout + done.stderr
        assert "unforeseen" in done.stdout + done.stderr
    assert "[redacted]" in (tmp_path / ".promptprop" / "logs" / "promptprop.log").read_text("utf-8")
    assert leaks_below(tmp_path, secrets) == []


def test_a_process_that_is_killed_leaves_no_secret_behind(tmp_path: Path, mirror: Mirror) -> None:
    secrets = {**CARRIED, "OPENAI_API_KEY": KEY}
    base = f"http://0.0.0.0:{mirror.port}/v1"
    config = write_config(tmp_path, {"model": "openai/m", "api_base": base, "params": PARAMS, "concurrency": 1})
    with (tmp_path / "shown.txt").open("wb") as shown:
        process = subprocess.Popen(
            [str(SCRIPT), "eval", config, "-vv"], cwd=tmp_path, env=clean_environment(tmp_path, secrets),
            stdout=shown, stderr=shown, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        mirror.await_requests(6)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    assert leaks_below(tmp_path, secrets) == []
    done = run_script(tmp_path, ("runs", "resume", "latest", "-vv"), secrets)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leaks_below(tmp_path, secrets) == []


def test_a_server_of_postgresql_holds_neither_its_own_password_nor_what_models_are_sent(
    forked_commands: ForkedCommands,
    tmp_path: Path,
    mirror: Mirror,
    postgres_server: PostgresServer,
    postgres_url: str,
) -> None:
    secrets = {**CARRIED, "OPENAI_API_KEY": KEY, "PASSWORD": PASSWORD}
    url = postgres_url.replace("postgres@", f"postgres:{quote(PASSWORD, safe='')}@", 1)
    variables = {**CARRIED, "OPENAI_API_KEY": KEY, "PROMPTPROP_DATABASE_URL": url}
    base = f"http://0.0.0.0:{mirror.port}/v1"
    config = write_config(tmp_path, {"model": "openai/m", "api_base": base, "params": PARAMS})
    done = run_script(tmp_path, ("eval", config, "-vv", "--json"), variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / ".promptprop" / "promptprop.db").exists()
    look_at_everything(forked_commands, tmp_path, variables)
    gone = f"postgresql+psycopg://me:{quote(PASSWORD, safe='')}@127.0.0.1:9/gone"
    for arguments in (("runs", "list", "-vv"), ("db", "check", "--json"), ("doctor", config, "--json")):
        done = run_forked(forked_commands, tmp_path, arguments, {**variables, "PROMPTPROP_DATABASE_URL": gone})
        assert done.returncode not in (0, 70)
    assert leaks_below(tmp_path, secrets) == []
    assert leaks(everything_in(postgres_url), "PostgreSQL", secrets) == []


def everything_in(url: str) -> bytes:
    """All rows of all tables, and what the server knows of its sessions."""
    import psycopg

    with closing(psycopg.connect(plain(url))) as connection:
        tables = [name for (name,) in connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()]  # fmt: skip
        assert "calls" in tables
        rows = [connection.execute(f'SELECT t::text FROM "{name}" t'.encode()).fetchall() for name in tables]
        rows.append(connection.execute("SELECT t::text FROM pg_stat_activity t").fetchall())
    return "\n".join(text for table in rows for (text,) in table).encode()
