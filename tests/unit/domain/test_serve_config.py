"""The `serve:` of a configuration: addresses in one spelling, and which of them requests may name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from promptprop.domain.serve_config import ApiBaseConfig, ServeConfig, ServerAddress, host_name, read_address

LISTED = ServeConfig.model_validate(
    {
        "api_bases": [
            "https://Gateway.Example.com/v1/",
            {"url": "https://gateway.example.com/v1/team", "api_key": "${env:TEAM_KEY}"},
            "http://[::1]:8080",
        ]
    }
)


def allowed(url: str) -> ApiBaseConfig | None:
    found = read_address(url)
    return LISTED.allowed(found) if isinstance(found, ServerAddress) else None


@pytest.mark.parametrize(
    "url",
    [
        "https://gateway.example.com/v1",
        "HTTPS://GATEWAY.EXAMPLE.COM:443/v1/",
        "https://gateway.example.com./v1/deeper/path",
        "http://[0:0:0:0:0:0:0:1]:8080/v1",
    ],
)
def test_a_listed_address_is_allowed_however_it_is_spelt(url: str) -> None:
    assert allowed(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example.com/v1",
        "https://gateway.example.com:8443/v1",
        "https://gateway.example.com/v10",
        "https://gateway.example.com/",
        "https://gateway.example.com/v1/../admin",
        "https://gateway.example.com/v1/./x",
        "https://gateway.example.com/v1//x",
        "https://gateway.example.com/v1/%2e%2e/admin",
        "https://gateway.example.com/v1;x",
        "https://gateway.example.com/v1?x=1",
        "https://gateway.example.com/v1#x",
        "https://gateway.example.com/v1\\..\\admin",
        "https://gateway.example.com\\@169.254.169.254/v1",
        "https://gateway.example.com@169.254.169.254/v1",
        "https://user:pass@gateway.example.com/v1",
        "https://@gateway.example.com/v1",
        "https://gateway.example.com.evil.example/v1",
        "https://gateway.example.com:443:80/v1",
        "https://gateway.example.com../v1",
        "https://gateway%2eexample.com/v1",
        "https://gateway。example.com/v1",
        "https://ｇateway.example.com/v1",
        "https://gateway.example.com/v1\n",
        "https://gateway.example.com/v1\x00",
        "http://[::1%25eth0]:8080/v1",
        "http://[::ffff:127.0.0.1]:8080/v1",
        "http://127.0.0.1:8080/v1",
        "http://localhost:8080/v1",
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/latest/meta-data",
        "http://0xA9FEA9FE/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "file:///etc/passwd",
        "ftp://gateway.example.com/v1",
        "gateway.example.com/v1",
        "//gateway.example.com/v1",
        "https:gateway.example.com/v1",
        "https:///v1",
        "https://gateway.example.com:0/v1",
        "https://gateway.example.com:99999/v1",
        "https://[gateway.example.com]/v1",
        "",
    ],
)
def test_an_address_that_is_not_listed_is_not_allowed(url: str) -> None:
    assert allowed(url) is None


def test_the_longest_entry_decides_over_the_key() -> None:
    entry = allowed("https://gateway.example.com/v1/team/red")
    assert entry is not None
    assert entry.api_key == "${env:TEAM_KEY}"


def test_metadata_addresses_are_allowed_where_they_are_listed() -> None:
    served = ServeConfig.model_validate({"api_bases": ["http://169.254.169.254/v1"]})
    address = read_address("http://169.254.169.254/v1")
    assert isinstance(address, ServerAddress)
    assert served.allowed(address) is not None


@given(st.text(alphabet=st.sampled_from("htps:/.@\\%?#[]0a9-1é \t"), max_size=30))
def test_what_is_read_once_is_read_as_the_same_again(rest: str) -> None:
    found = read_address("http://" + rest)
    if isinstance(found, ServerAddress):
        assert read_address(str(found)) == found


@pytest.mark.parametrize(
    ("text", "host"),
    [("LOCALHOST", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("a_b.example.", "a_b.example")],
)
def test_a_host_has_one_spelling(text: str, host: str) -> None:
    assert host_name(text) == host


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "-a", "a b", "a/b", "[::1", "[localhost]", "a" * 254, "ex\u0430mple"]
)
def test_what_is_no_plain_host_has_no_spelling(text: str) -> None:
    assert host_name(text) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"api_bases": ["ftp://x"]}, "does not begin with http"),
        ({"api_bases": ["https://a.example/${env:X}"]}, "cannot hold a reference"),
        ({"api_bases": [{"url": "https://a.example", "api_key": "sk-1"}]}, "is a reference"),
        (
            {"models": {"task": {"model": "m", "api_base": "http://[::1]/", "api_key": "k"}}},
            "keys of a server's models",
        ),
        ({"models": {"jury": [{"model": "m", "api_base": "http://[::1]/", "api_key": "k"}]}}, "keys of a server's"),
        ({"origins": ["https://a.example/path"]}, "this origin has a path"),
        ({"origins": ["*"]}, "does not begin with http"),
        ({"origins": ["null"]}, "does not begin with http"),
        ({"hosts": ["a.example:80"]}, "no host name"),
        ({"hosts": ["*"]}, "no host name"),
        ({"limits": {"runs": 0}}, "greater than or equal to 1"),
        ({"audit_days": 0}, "greater than or equal to 1"),
        ({"audit_days": 36_501}, "less than or equal to 36500"),
        ({"workers": -1}, "greater than or equal to 0"),
        ({"models": {"jury": ["a", "a"]}}, "two jurors are called"),
        ({"budgets": {}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_served_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServeConfig.model_validate(wrong)


def test_origins_and_hosts_are_kept_in_one_spelling() -> None:
    served = ServeConfig.model_validate({"origins": ["HTTPS://App.Example.com:443"], "hosts": ["Prompts.Example.com."]})
    assert served.origins == ("https://app.example.com",)
    assert served.hosts == ("prompts.example.com",)


def test_without_settings_the_front_end_of_this_machine_is_let_in_and_no_address_is_listed() -> None:
    served = ServeConfig()
    assert served.origins == ("http://localhost:3000", "http://127.0.0.1:3000")
    assert (served.api_bases, served.hosts) == ((), ())


def test_settings_survive_a_snapshot() -> None:
    assert ServeConfig.model_validate(LISTED.model_dump(mode="json")) == LISTED
