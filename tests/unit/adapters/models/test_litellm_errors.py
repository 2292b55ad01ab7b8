from __future__ import annotations

import aiohttp
import httpx
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from promptprop.adapters.models.failures import ProxyUnauthorised, Target
from promptprop.adapters.models.litellm_client import load
from promptprop.adapters.models.litellm_errors import message_of, translate
from promptprop.domain.errors import (
    AuthenticationFailed,
    ConnectionDropped,
    EndpointUnreachable,
    ModelError,
    ProviderUnavailable,
    RateLimited,
    UnknownModel,
    UnreadableAnswer,
    WrongAddress,
)

KEY_OF_CONNECTION = ConnectionKey("127.0.0.1", 9, False, True, None, None, None)
INFO = aiohttp.RequestInfo(URL("http://127.0.0.1:9"), "CONNECT", CIMultiDictProxy(CIMultiDict()))
TARGET = Target("gemini/gemini-2.5-flash", None, "secret-key-value")


def test_a_missing_key_names_the_variable_although_the_vendor_calls_it_a_connection_error() -> None:
    litellm = load()
    error = litellm.APIConnectionError("Missing Gemini API key. Set the GEMINI_API_KEY", "gemini", "m")
    translated = translate(error, TARGET)
    assert isinstance(translated, AuthenticationFailed)
    assert "GEMINI_API_KEY" in translated.remedy


def test_an_unknown_provider_is_an_unknown_model() -> None:
    litellm = load()
    error = litellm.BadRequestError("LLM Provider NOT provided. Pass in the LLM provider", "m", "x")
    translated = translate(error, Target("nonsense/x", None, None))
    assert isinstance(translated, UnknownModel)
    assert "prefix" in translated.remedy


def test_what_nobody_foresaw_is_an_unreadable_answer() -> None:
    assert isinstance(translate(AttributeError("'NoneType' has no attribute 'x'"), TARGET), UnreadableAnswer)


def test_a_message_loses_the_vendors_prefixes_the_key_and_what_cannot_be_stored() -> None:
    error = Exception("litellm.RateLimitError: RateLimitError: OpenAIException - no: secret-key-value \x00" + "x" * 999)
    message = message_of(error, TARGET)
    assert message.startswith("no: [redacted] \ufffdx")
    assert len(message) == 500


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (429, RateLimited),
        ("rate_limit_exceeded", RateLimited),
        ("502", ProviderUnavailable),
        (None, ProviderUnavailable),
    ],
)
def test_an_error_in_place_of_an_answer_has_its_class_whatever_its_code_is(
    code: object, expected: type[ModelError]
) -> None:
    inner = Exception()
    inner.status_code, inner.message = code, "slow down"  # type: ignore[attr-defined]  # as LiteLLM does
    outer = Exception("litellm.APIError: slow down")
    outer.__cause__ = inner
    translated = translate(outer, TARGET)
    assert type(translated) is expected
    assert "slow down" in translated.message


@pytest.mark.parametrize(
    ("cause", "expected", "unconfirmed"),
    [
        (aiohttp.ClientHttpProxyError(INFO, (), status=407), ProxyUnauthorised, False),
        (aiohttp.ClientHttpProxyError(INFO, (), status=502), EndpointUnreachable, False),
        (aiohttp.ClientProxyConnectionError(KEY_OF_CONNECTION, OSError(111, "refused")), EndpointUnreachable, False),
        (aiohttp.ClientConnectorError(KEY_OF_CONNECTION, OSError(111, "refused")), EndpointUnreachable, False),
        (aiohttp.ClientConnectorSSLError(KEY_OF_CONNECTION, OSError(1, "wrong version")), EndpointUnreachable, False),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), ConnectionDropped, True),
    ],
)
def test_what_the_transport_met_tells_whether_anything_was_sent(
    cause: Exception, expected: type[ModelError], unconfirmed: bool
) -> None:
    litellm = load()
    from litellm.llms.custom_httpx.aiohttp_transport import AIOHTTP_EXC_MAP  # at the top it would ask for prices

    error = litellm.APIConnectionError("cannot connect", "openai", "m")
    error.__cause__ = next(made(str(cause)) for kind, made in AIOHTTP_EXC_MAP.items() if isinstance(cause, kind))
    error.__cause__.__cause__ = cause
    translated = translate(error, TARGET)
    assert type(translated) is expected
    assert translated.unconfirmed is unconfirmed


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("http://b\u00fccher.example/v1/x", EndpointUnreachable),
        ("http://xn--bcher-kva.example/v1/x", EndpointUnreachable),
        ("http://login.example/", WrongAddress),
    ],
)
@pytest.mark.parametrize("base", ["http://B\u00fccher.example/v1", "http://xn--bcher-kva.example/v1"])
def test_a_connection_that_another_host_did_not_take_was_a_redirects(
    base: str, asked: str, expected: type[ModelError]
) -> None:
    error = load().APIConnectionError("cannot connect", "openai", "m")
    error.__cause__ = httpx.ConnectError("no", request=httpx.Request("POST", asked))
    assert type(translate(error, Target("openai/m", base, None))) is expected
    assert type(translate(error, Target("watsonx/m", base, None))) is EndpointUnreachable


def test_a_refusal_of_an_httpx_proxy_was_never_sent() -> None:
    error = load().APIConnectionError("407", "openai", "m")
    error.__cause__ = httpx.ProxyError("407 Proxy Authentication Required")
    assert type(translate(error, TARGET)) is EndpointUnreachable
