from __future__ import annotations

import pytest

from promptprop.adapters.logs import redact
from promptprop.adapters.models.parameters import Parameters, usage_bound
from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Message, Usage


def test_a_request_outranks_the_model_but_for_references() -> None:
    parameters = Parameters(
        "openai/m", {"seed": 1, "user": "resolved", "tags": ["resolved"], "deep": {"a": "resolved"}}
    )
    given = {"seed": 2, "user": "${env:USER}", "tags": ["${env:TAG}"], "deep": {"a": "${env:A}"}, "other": "${env:B}"}
    assert parameters.of(given) == {
        "seed": 2, "user": "resolved", "tags": ["resolved"], "deep": {"a": "resolved"}, "other": "${env:B}",
    }  # fmt: skip


def test_secrets_are_blacked_out_from_the_first_request_on() -> None:
    parameters = Parameters("openai/m", {"extra_headers": {"x-team": "parameters-canary"}})
    parameters.of({"extra_headers": {"x-team": "${env:TEAM}"}})
    assert redact("a parameters-canary") == "a [redacted]"


def test_what_is_reserved_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(ConfigError, match="set max_tokens of the model itself"):
        Parameters("openai/m", {"max_tokens": 1})


def test_the_bound_of_a_call_is_its_bytes() -> None:
    assert usage_bound((Message("user", "caf\u00e9"),), "\u00e9") == Usage(5 + 16, 2)
