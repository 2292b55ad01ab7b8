"""References and `.env` files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.environment import read_env_file, resolve, resolve_model
from promptprop.domain.errors import ConfigError
from promptprop.domain.model_config import ModelConfig


def test_references_are_replaced_by_values_and_defaults() -> None:
    assert resolve("a ${env:X} ${env:Y:-b}${env:Z:-}", {"X": "1", "Y": ""}) == "a 1 b"


def test_a_variable_that_is_not_set_is_named_with_the_key_that_needs_it() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("${env:OPENAI_KEY}", {"OPENAI_KEY": ""}, "models.task.api_key")
    assert "models.task.api_key needs the environment variable OPENAI_KEY" in str(caught.value)
    with pytest.raises(ConfigError, match="not a reference"):
        resolve("${env:not a name}", {}, "models.task.api_key")


def test_a_value_is_not_resolved_again() -> None:
    assert resolve("${env:X}", {"X": "${env:Y}"}) == "${env:Y}"


def test_a_model_is_resolved_with_its_parameters_and_stays_as_it_was() -> None:
    model = ModelConfig.model_validate(
        {"model": "openai/${env:M}", "api_key": "${env:K}", "params": {"headers": [{"x": "${env:K}"}], "k": 1}}
    )
    found = resolve_model(model, {"M": "gpt", "K": "sk"}, "models.task")
    assert (found.model, found.api_key, found.params) == ("openai/gpt", "sk", {"headers": [{"x": "sk"}], "k": 1})
    assert model.api_key == "${env:K}"


def test_an_env_file_is_read_with_quotes_comments_and_export(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text('# c\n\nA=1 # one\nexport B=\'x # $y\'\nC="l\\nm \\"q\\"" # c\nD=\nE=a#b\n')
    assert read_env_file(file) == {
        "A": ("1", 3),
        "B": ("x # $y", 4),
        "C": ('l\nm "q"', 5),
        "D": ("", 6),
        "E": ("a#b", 7),
    }


def test_the_problems_of_an_env_file_are_reported_at_once_without_its_values(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=secret1\nnonsense secret2\nB='secret3\nA=secret4\n")
    with pytest.raises(ConfigError) as caught:
        read_env_file(file)
    assert [problem.place and problem.place.line for problem in caught.value.problems] == [2, 3, 4]
    assert "secret" not in str(caught.value)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="'"), max_size=40))
def test_a_value_in_single_quotes_is_read_as_it_is(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    file = tmp_path_factory.getbasetemp() / "quoted.env"
    file.write_text(f"A='{value}'\n", encoding="utf-8")
    assert read_env_file(file) == {"A": (value, 1)}
