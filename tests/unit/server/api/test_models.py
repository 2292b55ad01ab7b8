"""The models that a server lends, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from listing_server import listing
from openai_server import OpenAIServer, constant
from serving import Station, station

from promptprop.domain.serve_config import ServeConfig

KEY = "sk-listing-0123456789abcdef"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with caches of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path


async def test_what_the_keys_reach_is_listed_once_a_minute(project: Path) -> None:
    with listing(KEY) as provider:
        environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{provider.url}/openai", "GROQ_API_KEY": ""}
        async with station(project, environment=environment) as server, server.client() as client:
            found = (await client.get("/models")).json()
            asked = len(provider.seen)
            for refresh in ("false", "true"):
                assert (await client.get("/models", params={"refresh": refresh})).json() == found
            only = (await client.get("/models", params={"provider": "groq"})).json()
    assert [one["provider"] for one in found["providers"]] == ["openai"]
    assert [one["name"] for one in found["providers"][0]["models"]] == ["openai/gpt-4o-mini", "openai/zz"]
    assert found["providers"][0]["models"][0]["prompt_usd_per_million"] == "0.15"
    assert found["without_key"]["groq"] == "GROQ_API_KEY"
    assert len(provider.seen) == asked
    assert (only["providers"], only["without_key"]) == ([], {"groq": "GROQ_API_KEY"})
    assert KEY not in str(found)
    assert provider.url not in str(found)


async def test_a_provider_that_refuses_says_why(project: Path) -> None:
    with listing(KEY) as provider:
        environment = {"OPENAI_API_KEY": "sk-wrong-0123456789", "OPENAI_BASE_URL": f"{provider.url}/openai"}
        async with station(project, environment=environment) as server, server.client() as client:
            answer = await client.get("/models")
    trouble = answer.json()["providers"][0]["error"]
    assert trouble["code"] == "authentication_failed"
    assert "sk-wrong-0123456789" not in answer.text


@pytest.fixture
async def lending(project: Path) -> AsyncIterator[tuple[Station, OpenAIServer]]:
    """A server that lists a provider's address, and has a rewriter of its own there."""
    with OpenAIServer(constant) as provider:
        own = {"model": "hosted_vllm/own", "api_base": provider.url}
        serve = ServeConfig.model_validate({"api_bases": [provider.url], "models": {"rewriter": own}})
        async with station(project, serve) as server:
            yield server, provider


async def test_a_listed_address_and_a_model_of_the_server_are_tried(lending: tuple[Station, OpenAIServer]) -> None:
    server, provider = lending
    async with server.client() as client:
        listed = await client.post("/models/ping", json={"model": "hosted_vllm/tiny", "api_base": provider.url})
        own = await client.post("/models/ping", json={"model": "hosted_vllm/own"})
        lent = (await client.get("/models")).json()["lent"]
    assert listed.status_code == 200, listed.text
    assert (listed.json()["ok"], listed.json()["client"], own.json()["ok"]) == (True, "http", True)
    assert listed.json()["calls"] >= 1
    assert lent == [{"role": "rewriter", "model": "hosted_vllm/own"}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": "hosted_vllm/tiny", "api_base": "http://169.254.169.254/latest"}, 422),
        ({"model": "openai/x", "api_base": "http://127.0.0.1:1/v1"}, 422),
        ({"model": "${env:HOME}"}, 422),
        ({"model": "nobody/knows"}, 422),
        ({"model": ""}, 422),
        ({"model": "openai/x", "api_key": "sk"}, 422),
    ],
)
async def test_what_the_server_does_not_lend_is_not_called(
    lending: tuple[Station, OpenAIServer], body: dict[str, str], status: int
) -> None:
    server, provider = lending
    async with server.client() as client:
        assert (await client.post("/models/ping", json=body)).status_code == status
    assert provider.stats.requests == 0


async def test_a_model_that_fails_is_an_answer_and_a_simulated_one_is_not_called(
    lending: tuple[Station, OpenAIServer],
) -> None:
    server, provider = lending
    provider.fail_always("unauthorized")
    async with server.client() as client:
        failed = await client.post("/models/ping", json={"model": "hosted_vllm/own"})
        simulated = (await client.post("/models/ping", json={"model": "offline/task"})).json()
        keyless = (await client.post("/models/ping", json={"model": "openai/gpt-5"})).json()
    assert (failed.status_code, failed.json()["ok"], failed.json()["error"]["code"]) == (
        200,
        False,
        "authentication_failed",
    )
    assert (simulated["ok"], simulated["simulated"], simulated["calls"]) == (True, True, 0)
    assert "OPENAI_API_KEY" in keyless["error"]["message"]


async def test_readers_try_nothing(lending: tuple[Station, OpenAIServer]) -> None:
    server, _ = lending
    async with server.client(await server.token("read"), stranger=True) as client:
        assert (await client.post("/models/ping", json={"model": "hosted_vllm/own"})).json()["code"] == "scope"
        assert (await client.get("/models")).status_code == 200
