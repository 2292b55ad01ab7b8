"""`gate:` of a configuration: differences in points, looks that grow, critical rows that can be passed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from promptprop.domain.gate import GateRule
from promptprop.domain.gate_config import GateConfig


def test_margins_are_written_as_points_or_as_shares() -> None:
    assert [GateConfig(margin=given).margin for given in ("5pp", "2.5 %", 0.05, "0pp")] == [0.05, 0.025, 0.05, 0.0]  # type: ignore[arg-type]


def test_a_rule_is_made_of_it_and_it_comes_back_from_plain_json() -> None:
    config = GateConfig.model_validate({"margin": "3pp", "replicates": [1, 3, 10], "metric": "label"})
    assert config.rule == GateRule(0.03, 0.05, (1, 3, 10))
    assert config.metric == ("label",)
    assert GateConfig.model_validate(config.as_json()) == config


def test_critical_rows_pass_in_so_many_of_so_many_answers() -> None:
    critical = GateConfig.model_validate({"critical": {"tag": "must-pass", "require": "2/3"}}).critical
    assert critical is not None
    assert (critical.passes, critical.answers) == (2, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"margin": "five"}, "expected a difference such as 0.05 or 5pp"),
        ({"margin": -0.1}, "greater than or equal to 0"),
        ({"alpha": 0.6}, "less than 0.5"),
        ({"replicates": [3, 1]}, "replicates grow"),
        ({"replicates": []}, "at least 1"),
        ({"critical": {"tag": "x", "require": "4/3"}}, "so many of so many"),
        ({"critical": {"tag": "x", "require": "most"}}, "so many of so many"),
        ({"fail_when": "ever"}, "'worse' or 'beyond_margin'"),
        ({"marign": 1}, "not permitted"),
    ],
)
def test_what_promises_nothing_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        GateConfig.model_validate(given)
