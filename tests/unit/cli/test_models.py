"""`models list` and `models ping`, against servers on this machine."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from listing_server import ListingServer, listing
from openai_server import Answer, Body, OpenAIServer

from promptprop.adapters.models.keys import KEYS
from promptprop.adapters.models.listing import ListedModel, Listing
from promptprop.adapters.models.listing_sources import Source, Unlisted
from promptprop.bootstrap.models_reach import Reach
from promptprop.cli.commands.models_list import drawn
from promptprop.cli.drawing import console_for, print_all
from promptprop.domain.errors import AuthenticationFailed

GOLDEN = Path(__file__).parent / "golden"
KEY = "canaryModels/Ww2+Xx4"


@pytest.fixture
def keyless(cli_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without any key, and a cache of its own."""
    for name in {name for names in KEYS.values() for name in names}:
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.endswith(("_API_BASE", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cli_project


@pytest.fixture
def providers(keyless: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ListingServer]:
    """Keys of three providers, whose addresses are on this machine."""
    with listing(KEY) as server:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            monkeypatch.setenv(name, KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/openai")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{server.url}/anthropic")
        monkeypatch.setenv("GEMINI_API_BASE", f"{server.url}/gemini")
        yield server


def test_without_a_key_it_says_which_would_open_what(keyless: Path, run_cli: Any) -> None:
    ended = run_cli("models", "list")
    assert (ended.code, ended.out) == (0, "")
    assert "openai        OPENAI_API_KEY" in ended.err
    assert "offline/NAME" in ended.err
    assert "[redacted]" not in ended.err
    document = run_cli("models", "list", "--json").json
    assert document["providers"] == []
    assert document["without_key"]["gemini"] == "GEMINI_API_KEY"


def test_a_pipe_gets_a_line_for_each_model(providers: ListingServer, run_cli: Any) -> None:
    ended = run_cli("models", "list")
    assert ended.code == 0
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert [row[0] for row in rows] == [
        "openai/gpt-4o-mini", "openai/zz", "anthropic/claude-a", "anthropic/claude-b", "anthropic/claude-c",
        "gemini/embed-x", "gemini/gemini-x",
    ]  # fmt: skip
    assert rows[0][1:] == ["0.15", "0.60"]
    assert rows[1][1:] == ["", "", "77"]
    assert "openai: 2 models · key: OPENAI_API_KEY · asked now" in ended.err


def test_ten_minutes_long_nobody_is_asked_again_unless_it_is_wished(providers: ListingServer, run_cli: Any) -> None:
    first = run_cli("models", "list", "--json").json
    asked = len(providers.seen)
    again = run_cli("models", "list", "--json").json
    assert len(providers.seen) == asked
    assert [one["models"] for one in again["providers"]] == [one["models"] for one in first["providers"]]
    run_cli("models", "list", "--refresh")
    assert len(providers.seen) == 2 * asked


def test_a_bad_key_is_told_beside_the_others_and_nowhere_shown(
    providers: ListingServer, run_cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bad = "canaryRefused-Jj7Kk8"
    monkeypatch.setenv("GEMINI_API_KEY", bad)
    shown = [run_cli("models", "list", *more) for more in ((), ("--json",), ("--refresh", "-vv"))]
    assert [ended.code for ended in shown] == [0, 0, 0]
    assert "GEMINI_API_KEY is refused" in shown[0].err
    assert "openai/gpt-4o-mini" in shown[0].out
    assert shown[1].json["providers"][2]["error"]["code"] == "authentication_failed"
    texts = [ended.out + ended.err for ended in shown]
    files = [path.read_bytes().decode("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert [text for text in (*texts, *files) if "canary" in text] == []


def test_one_provider_is_asked_where_one_is_named(providers: ListingServer, run_cli: Any) -> None:
    ended = run_cli("models", "list", "--provider", "anthropic", "--limit", "2")
    assert ended.out == "anthropic/claude-a\t\t\t200000\nanthropic/claude-b\t\t\t200000\n"
    assert {path.split("/")[1] for path, _ in providers.seen} == {"anthropic"}
    misspelt = run_cli("models", "list", "--provider", "antropic")
    assert misspelt.code == 2
    assert "'anthropic'" in misspelt.err


def test_servers_of_a_configuration_are_asked_without_a_key(keyless: Path, run_cli: Any) -> None:
    with listing(KEY) as server:
        text = (keyless / "small.yaml").read_text()
        (keyless / "served.yaml").write_text(
            text.replace("{model: offline/task, temperature: 0, max_tokens: 64}",
                         f"{{model: ollama/llama3:8b, api_base: {server.url}/ollama}}")
            .replace("{model: offline/critic}", f"{{model: openai/x, api_base: {server.url}/bare}}")
            .replace("{model: offline/rewriter}", "{model: openai/y, api_base: '${env:NOT_SET}'}")
        )  # fmt: skip
        document = run_cli("models", "list", "served.yaml", "--json").json
    found = {one["provider"]: one for one in document["providers"]}
    assert [model["name"] for model in found["ollama"]["models"]] == ["ollama/llama3:8b"]
    assert found["ollama"]["custom"]
    assert any("NOT_SET" in one["error"]["message"] for one in document["providers"] if one["error"])
    assert all("authorization" not in headers for _, headers in server.seen)


def test_the_page_of_a_terminal_looks_as_it_did() -> None:
    openai = Source("openai", "https://api.openai.com/v1", "openai", KEY, "OPENAI_API_KEY")
    own = Source("openai", "http://localhost:8000/v1", alias="task")
    models = (ListedModel("openai/gpt-4o-mini", 128_000), ListedModel("openai/zz\x1b[31m"), ListedModel("openai/zzz"))
    refused = AuthenticationFailed("gemini: API key not valid", remedy="GEMINI_API_KEY is refused: put in one")
    reach = Reach(
        (
            Listing(openai, models, age=120),
            Listing(own, (ListedModel("openai/local"),)),
            Listing(Source("gemini", "https://g.example", "gemini", KEY, "GEMINI_API_KEY"), error=refused),
        ),
        (Unlisted("azure", "AZURE_API_KEY"),),
        {},
    )
    stream = io.StringIO()
    print_all(console_for(stream, colour=False, width=80), drawn(reach, 2))
    file = GOLDEN / "models_list.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(stream.getvalue(), "utf-8")
    assert stream.getvalue() == file.read_text("utf-8")


def test_listing_models_loads_no_litellm(keyless: Path) -> None:
    code = (
        "import sys; from promptprop.cli.main import main; code = main(['models', 'list']);"
        "print(code, sorted({'litellm', 'mlflow', 'openai', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "0 []\n", done.stderr


def structured(body: Body) -> Answer:
    """A model that honours schemas."""
    form = body.get("response_format", {}).get("type")
    return Answer('{"colour": "blue"}' if form == "json_schema" else "ready")


def loose(body: Body) -> Answer:
    """A model that knows JSON but no schemas."""
    form = body.get("response_format", {}).get("type")
    return Answer('{"colour": "blue"}' if form == "json_object" else "Blue.")


@pytest.mark.parametrize(
    ("answers", "form", "calls"), [(structured, "json_schema", 2), (loose, "json_object", 3), (None, "none", 3)]
)
def test_a_ping_says_what_works_and_what_it_cost(
    keyless: Path, run_cli: Any, openai_server: OpenAIServer, answers: Any, form: str, calls: int
) -> None:
    openai_server.answers = answers or (lambda _body: Answer("Blue."))
    ended = run_cli("models", "ping", "openai/gpt-4o-mini", "--api-base", openai_server.url, "--json")
    assert ended.code == 0, ended.err
    (found,) = ended.json["pings"]
    assert (found["structured_output"], found["calls"], found["client"]) == (form, calls, "http")
    assert openai_server.stats.requests == calls
    spent = (found["prompt_tokens"], found["completion_tokens"])
    assert spent == (openai_server.stats.prompt_tokens, openai_server.stats.completion_tokens)
    assert all("temperature" not in body for body in openai_server.payloads)


def test_a_ping_in_words(keyless: Path, run_cli: Any, openai_server: OpenAIServer) -> None:
    openai_server.answers = structured
    ended = run_cli("models", "ping", "openai/of-my-own", "--api-base", openai_server.url)
    assert ended.code == 0
    assert "structured json_schema" in ended.out
    assert "not known: a money budget needs it" in ended.out
    assert "2 calls" in ended.out


@pytest.mark.parametrize(
    ("fault", "code", "name"),
    [("unauthorized", 2, "authentication_failed"), ("unknown_model", 2, "unknown_model"),
     ("overloaded", 4, "provider_unavailable"), ("drop", 4, "connection_dropped")],
)  # fmt: skip
def test_a_ping_that_fails_ends_as_a_run_would(
    keyless: Path, run_cli: Any, openai_server: OpenAIServer, fault: str, code: int, name: str
) -> None:
    openai_server.fail_always(fault)
    ended = run_cli("models", "ping", "openai/gpt-4o-mini", "--api-base", openai_server.url, "--json")
    assert (ended.code, ended.json["exit_code"], ended.json["error"]["code"]) == (code, code, name)
    assert openai_server.stats.requests == 1
    shown = run_cli("models", "ping", "openai/gpt-4o-mini", "--api-base", openai_server.url)
    assert shown.code == code
    assert "error" in shown.out


@pytest.mark.parametrize(
    ("fault", "usd"), [("drop", None), ("html_answer", None), ("overloaded", "0.00"), ("quota", "0.00")]
)
def test_what_a_failed_ping_cost_is_nothing_only_where_the_provider_did_no_work(
    keyless: Path, run_cli: Any, openai_server: OpenAIServer, fault: str, usd: str | None
) -> None:
    openai_server.fail_always(fault)
    ping = ("models", "ping", "openai/gpt-4o-mini", "--api-base", openai_server.url)
    assert run_cli(*ping, "--json").json["pings"][0]["usd"] == usd
    assert ("cost not known" in run_cli(*ping).out) == (usd is None)


def test_a_ping_without_a_key_says_on_a_line_of_its_own_what_to_do(keyless: Path, run_cli: Any) -> None:
    lines = run_cli("models", "ping", "openai/gpt-4o-mini").out.splitlines()
    (error,) = [line for line in lines if line.strip().startswith("error")]
    (remedy,) = [line for line in lines if line.strip().startswith("remedy")]
    assert error.endswith("OPENAI_API_KEY is not set")
    assert "export OPENAI_API_KEY" in remedy


def test_a_refused_format_is_no_failed_ping(keyless: Path, run_cli: Any, openai_server: OpenAIServer) -> None:
    openai_server.answers = loose
    openai_server.fail_at(2, "bad_request")
    ended = run_cli("models", "ping", "openai/gpt-4o-mini", "--api-base", openai_server.url, "--json")
    assert ended.code == 0
    assert ended.json["pings"][0]["structured_output"] == "json_object"


def test_models_that_embed_are_asked_to(keyless: Path, run_cli: Any, openai_server: OpenAIServer) -> None:
    ended = run_cli("models", "ping", "openai/text-embedding-3-small", "--api-base", openai_server.url, "--json")
    (found,) = ended.json["pings"]
    assert (ended.code, found["dimensions"], found["structured_output"], found["usd"]) == (0, 8, None, None)


def test_models_of_a_configuration_are_called_once_each(
    keyless: Path, run_cli: Any, openai_server: OpenAIServer
) -> None:
    openai_server.answers = structured
    base = f"api_base: {openai_server.url}"
    text = (keyless / "small.yaml").read_text()
    text = text.replace("{model: offline/critic}", f"{{model: openai/a, {base}}}")
    text = text.replace("{model: offline/rewriter}", f"{{model: openai/a, {base}, max_tokens: 9}}")
    (keyless / "two.yaml").write_text(text)
    found = run_cli("models", "ping", "two.yaml", "--json").json["pings"]
    assert [(one["aliases"][0], one["simulated"]) for one in found] == [("task", True), ("rewriter", False)]
    assert "critic" in found[1]["aliases"]
    assert openai_server.stats.requests == 2
    assert len(run_cli("models", "ping", "two.yaml", "--alias", "task", "--json").json["pings"]) == 1
    assert run_cli("models", "ping", "two.yaml", "--alias", "juror.x").code == 2


@pytest.mark.parametrize(
    "arguments",
    [["openai/gpt-4o-mini"], ["openai/x", "--timeout", "soon"], ["openai/x", "--alias", "task"],
     ["small.yaml", "--api-base", "http://127.0.0.1:1"], ["gone.yaml"]],
)  # fmt: skip
def test_a_ping_that_cannot_be_made_is_a_mistake(keyless: Path, run_cli: Any, arguments: list[str]) -> None:
    ended = run_cli("models", "ping", *arguments, "--json")
    assert ended.code == 2
    assert json.loads(ended.out)["error"]["message"]
