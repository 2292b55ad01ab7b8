"""A configuration that comes with a request, as a tree."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptprop.adapters.files.request_documents import MOST_NODES, request_tree
from promptprop.domain.errors import ConfigError, Problem


def problems(given: Any) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        request_tree(given)
    return list(caught.value.problems)


def test_json_is_placed_by_dotted_keys() -> None:
    root = request_tree({"models": {"jury": [{"model": "a/b"}]}})
    node = root.entries["models"].entries["jury"].items[0].entries["model"]
    assert (str(node.place), node.text) == ("models.jury.0.model", "a/b")


def test_yaml_is_placed_by_lines() -> None:
    root = request_tree("version: 1\nmodels:\n  task: a/b\n")
    assert str(root.entries["models"].entries["task"].place) == "config:3:9"


def test_json_and_yaml_give_equal_values() -> None:
    value = {"a": [1, 2.5, True, None, "no", {"b": "x"}]}
    assert request_tree(value).plain() == request_tree(json.dumps(value)).plain() == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("extends",), "base.yaml"),
        (("output",), "out"),
        (("output",), 5),
        (("database",), {"url": "sqlite:////tmp/x.db"}),
        (("database",), None),
        (("serve",), {}),
        (("tracking", "mlflow", "uri"), "sqlite:///x.db"),
        (("models", "task", "api_key"), "sk-1"),
        (("models", "jury", 0, "api_key"), None),
        (("steps", 0, "model", "api_key"), "x"),
    ],
)
@pytest.mark.parametrize("form", [lambda value: value, json.dumps], ids=["json", "yaml"])
def test_settings_that_are_the_servers_own_are_refused_in_any_form(
    path: tuple[Any, ...], value: Any, form: Any
) -> None:
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    assert [problem.message.partition(":")[0] for problem in problems(form(value))] == [".".join(map(str, path))]


@pytest.mark.parametrize("value", ["${env:OPENAI_API_KEY}", "x ${env:A:-b} y", "${env:", {"${env:A}": 1}, ["${env:A}"]])
def test_references_are_refused_wherever_they_stand(value: Any) -> None:
    found = problems({"models": {"task": {"params": {"x": value}}}})
    assert "environment" in found[0].message or "characters" in found[0].message


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", {"a\x00": 1}, {"\udfff": 1}])
def test_what_cannot_be_stored_is_refused(text: Any) -> None:
    assert "characters" in problems({"task": text})[0].message


@pytest.mark.parametrize("value", [10**30, -(2**63), float("nan"), float("inf"), -float("inf")])
def test_numbers_beyond_all_bounds_are_refused(value: float) -> None:
    assert "number" in problems({"seed": value})[0].message


def test_a_yaml_number_beyond_all_bounds_is_refused() -> None:
    assert "beyond all bounds" in problems("seed: 99999999999999999999")[0].message


def test_deep_json_is_refused_without_recursion() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = {"a": deep}
    assert "nested deeper than 40" in problems(deep)[0].message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": list(range(MOST_NODES + 1))}, "values"),
        ({"a": {str(number): 1 for number in range(3000)}}, "keys"),
        ({"a" * 300: 1}, "a key of 300 characters"),
        ("a: [" + "1," * MOST_NODES * 2 + "]", "values"),
        ("{" + ",".join(f"k{number}: 1" for number in range(3000)) + "}", "keys"),
        ("#" * 400_001, "longer than"),
        ({"task": "x" * 100_001}, "at most 100,000 characters"),
        ({"prompt": ["x" * 90_000] * 5}, "longer than 400,000"),
        ({"metrics": [{"type": "regex", "pattern": "x" * 2001}]}, "at most 2,000 characters"),
        ({"data": {"inputs": ["x"] * 1001}}, "at most 1,000 entries"),
        ("[1]", "expected a map"),
        ("", "expected a map"),
        ("a: *b", "aliases"),
        ("a: !!python/object/apply:os.system [ls]", "tags"),
        ("a: 1\na: 2", "twice"),
        ("? {a: b}\n: c", "a key must be a text"),
    ],
)
def test_documents_that_are_too_much_or_too_clever_are_refused(given: Any, message: str) -> None:
    assert message in problems(given)[0].message


def test_no_more_problems_are_told_than_anyone_reads() -> None:
    assert len(problems({str(number): "${env:A}" for number in range(1000)})) == 50


def test_no_more_problems_of_a_yaml_text_are_told_than_anyone_reads() -> None:
    assert len(problems("a: *b\n" * 1000)) == 50


def test_a_key_may_be_called_api_key_where_it_is_none() -> None:
    request_tree({"metrics": [{"type": "json_fields", "fields": {"api_key": "exact"}}]})
