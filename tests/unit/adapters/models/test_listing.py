"""Lists of models, from servers that list them each in its own way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listing_server import ListingServer, listing

from promptprop.adapters.models.listing import Listing, _listed, ask_all
from promptprop.adapters.models.listing_http import proxy_for
from promptprop.adapters.models.listing_sources import (
    Dialect,
    Source,
    Unlisted,
    base_of,
    key_sources,
    model_source,
)
from promptprop.domain.errors import (
    AuthenticationFailed,
    CallTimedOut,
    EndpointUnreachable,
    ModelError,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    UnknownModel,
    UnreadableAnswer,
)

KEY = "canaryListing/Uu8+Zq1"


@pytest.fixture
def lister() -> Iterator[ListingServer]:
    with listing(KEY) as server:
        yield server


def source_at(server: ListingServer, path: str, dialect: Dialect = "openai", provider: str = "openai") -> Source:
    return Source(provider, f"{server.url}/{path}", dialect, KEY, "SOME_API_KEY")


async def asked(source: Source) -> Listing:
    (found,) = await ask_all([source])
    return found


def names(found: Listing) -> list[str]:
    assert found.error is None, found.error
    return [model.name for model in found.models]


async def test_every_provider_is_asked_in_its_own_way(lister: ListingServer) -> None:
    found = await ask_all(
        [
            source_at(lister, "openai"),
            source_at(lister, "anthropic", "anthropic", "anthropic"),
            source_at(lister, "gemini", "gemini", "gemini"),
            source_at(lister, "cohere", "cohere", "cohere"),
            source_at(lister, "bare", provider="together_ai"),
        ]
    )
    assert [names(one) for one in found] == [
        ["openai/gpt-4o-mini", "openai/zz"],
        ["anthropic/claude-a", "anthropic/claude-b", "anthropic/claude-c"],
        ["gemini/embed-x", "gemini/gemini-x"],
        ["cohere/command-x"],
        ["together_ai/only"],
    ]
    assert [model.context for one in found for model in one.models] == [
        None, 77, 200_000, 200_000, 200_000, None, 1000, 9, 5,
    ]  # fmt: skip
    assert all(one.skew is not None and abs(one.skew) < 60 for one in found)


async def test_a_key_travels_in_headers_and_never_in_an_address(lister: ListingServer) -> None:
    await ask_all([source_at(lister, "gemini", "gemini"), source_at(lister, "anthropic", "anthropic")])
    assert len(lister.seen) == 6
    assert all("canary" not in path for path, _ in lister.seen)
    assert {headers.get("anthropic-version") for path, headers in lister.seen if "/v1/" in path} == {"2023-06-01"}


async def test_a_token_of_anthropic_is_sent_as_a_bearer(lister: ListingServer) -> None:
    source = Source("anthropic", f"{lister.url}/anthropic", "anthropic", KEY, "ANTHROPIC_AUTH_TOKEN")
    assert len(names(await asked(source))) == 3
    assert all("x-api-key" not in headers for _, headers in lister.seen)


async def test_ollama_is_asked_at_its_own_address_where_it_lists_nothing_as_openai_does(lister: ListingServer) -> None:
    for base in ("/ollama", "/ollama/v1"):
        source = Source("ollama", lister.url + base, alias="task")
        assert names(await asked(source)) == ["ollama/llama3:8b"]
        assert source.custom


@pytest.mark.parametrize(
    ("path", "kind", "remedy"),
    [
        ("401", AuthenticationFailed, "SOME_API_KEY is refused"),
        ("403", AuthenticationFailed, "SOME_API_KEY is refused"),
        ("400", RequestRefused, "the API itself"),
        ("404", UnknownModel, "check the address"),
        ("429", RateLimited, "wait"),
        ("503", ProviderUnavailable, "try later"),
        ("html", UnreadableAnswer, "a web page"),
        ("moved", UnreadableAnswer, "sends elsewhere"),
    ],
)
async def test_a_refusal_is_an_entry_with_a_remedy_and_without_the_key(
    lister: ListingServer, path: str, kind: type[ModelError], remedy: str
) -> None:
    good, bad = await ask_all([source_at(lister, "openai"), source_at(lister, path)])
    assert len(names(good)) == 2
    assert type(bad.error) is kind
    assert remedy in bad.error.remedy
    assert KEY not in str(bad.error)
    assert KEY not in repr(bad)


async def test_a_redirect_is_not_followed(lister: ListingServer) -> None:
    await asked(source_at(lister, "moved"))
    assert [path for path, _ in lister.seen] == ["/moved/models"]


async def test_a_server_that_hangs_or_is_not_there_costs_only_its_own_entry(lister: ListingServer) -> None:
    sources = [source_at(lister, "hang"), Source("openai", "http://127.0.0.1:9/v1"), source_at(lister, "openai")]
    hanging, absent, good = await ask_all(sources, seconds=2.0)
    assert isinstance(hanging.error, CallTimedOut)
    assert isinstance(absent.error, EndpointUnreachable)
    assert len(names(good)) == 2


@pytest.mark.parametrize("base", ["no address", "ftp://127.0.0.1/v1", "http://[oops/v1", "http://127.0.0.1:99999"])
async def test_an_address_that_is_none_is_said_to_be_none(base: str) -> None:
    found = await asked(Source("openai", base, key=KEY))
    assert isinstance(found.error, EndpointUnreachable)
    assert "address" in found.error.remedy


async def test_a_key_that_no_header_can_hold_is_not_sent(lister: ListingServer) -> None:
    found = await asked(Source("openai", f"{lister.url}/openai", key="canary\nX-Evil: 1", variable="OPENAI_API_KEY"))
    assert isinstance(found.error, AuthenticationFailed)
    assert "OPENAI_API_KEY" in found.error.remedy
    assert "canary" not in str(found.error)
    assert lister.seen == []


def test_keys_open_their_providers_at_the_addresses_in_the_environment() -> None:
    env = {
        "OPENAI_API_KEY": " k1 ",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1/",
        "ANTHROPIC_AUTH_TOKEN": "k2",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:2/v1/messages",
        "GOOGLE_API_KEY": "k3",
        "VOYAGE_API_KEY": "k4",
        "GROQ_API_KEY": " ",
        "HOSTED_VLLM_API_BASE": "http://gpu:8000/v1",
    }
    found = list(key_sources(env))
    assert found == [
        Source("openai", "http://127.0.0.1:1/v1", "openai", "k1", "OPENAI_API_KEY"),
        Source("anthropic", "http://127.0.0.1:2", "anthropic", "k2", "ANTHROPIC_AUTH_TOKEN"),
        Source("gemini", "https://generativelanguage.googleapis.com", "gemini", "k3", "GOOGLE_API_KEY"),
        Unlisted("voyage", "VOYAGE_API_KEY"),
        Source("hosted_vllm", "http://gpu:8000/v1"),
    ]
    assert "k1" not in repr(found)


def test_a_configured_server_gets_the_key_that_a_run_would_send() -> None:
    env = {"OPENAI_API_KEY": "k"}
    assert model_source("task", "openai/x", "http://127.0.0.1:1/v1", None, env).key is None
    assert model_source("task", "openai/x", "https://gateway.example/v1", None, env).key == "k"
    assert model_source("task", "openai/x", None, "own", env) == Source(
        "openai", "https://api.openai.com/v1", "openai", "own", "", "task"
    )
    assert model_source("task", "bedrock/x", None, None, env).base == ""


def test_addresses_are_cut_down_to_what_listings_lie_below() -> None:
    assert base_of("deepseek", {}) == "https://api.deepseek.com"
    assert base_of("gemini", {"GEMINI_API_BASE": "http://127.0.0.1:1/v1beta"}) == "http://127.0.0.1:1"
    assert base_of("perplexity", {}) is None


def test_proxies_of_the_environment_are_used_but_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_for("https://api.openai.com/v1") is None
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert proxy_for("https://api.openai.com/v1") == "http://proxy.example:3128"
    assert proxy_for("http://localhost:11434") is None
    monkeypatch.setenv("no_proxy", "openai.com")
    assert proxy_for("https://api.openai.com/v1") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "models", "id", "name", "error", "context_length", "supportedGenerationMethods"]),
            below,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["openai", "anthropic", "gemini", "cohere"]))
def test_whatever_a_server_says_is_a_list_or_unreadable(body: object, dialect: Dialect) -> None:
    try:
        found = _listed(Source("openai", "http://127.0.0.1:1", dialect), body)
    except UnreadableAnswer:
        return
    assert all(model.name.startswith("openai/") and len(model.name) > len("openai/") for model in found)
    assert all(model.context is None or model.context > 0 for model in found)
