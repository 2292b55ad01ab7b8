"""The JSON Schema accepts what the loader accepts and refuses what it refuses."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field

from promptprop.adapters.files.config_schema import config_schema


class Limits(BaseModel):
    longest: int = 3


class ExactOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ignore_case: bool = Field(False, description="Letters of either case are equal.")
    limits: Limits = Limits()


class PythonOptions(BaseModel):
    function: str


class BackpropOptions(BaseModel):
    children: int = Field(4, ge=1, description="Children a round.")


OPTIONS: dict[str, dict[str, type[BaseModel]]] = {
    "metrics": {"exact": ExactOptions, "python": PythonOptions},
    "optimizers": {"backprop": BackpropOptions, "classic": PythonOptions},
}
GOOD: dict[str, Any] = {
    "task": "t",
    "prompt": "p",
    "data": {"file": "x", "inputs": "text"},
    "models": {"task": "offline/x"},
    "metrics": ["exact"],
}


@cache
def validator() -> Draft202012Validator:
    schema = config_schema(OPTIONS)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def errors(**changes: Any) -> list[str]:
    whole = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    return [error.message for error in validator().iter_errors(whole)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prompt": ["a", {"file": "b"}]},
        {"prompt": ..., "steps": [{"id": "a", "prompt": "x"}]},
        {"metrics": [{"type": "exact", "ignore_case": True, "limits": {"longest": 5}, "weight": 2}]},
        {"metrics": ["python:a.b", {"type": "python:a.b", "gate": True}]},
        {"optimizer": "classic"},
        {"optimizer": {"options": {"children": 2}}},
        {
            "models": {
                "task": {
                    "model": "a/b",
                    "timeout": "60s",
                    "price": {"prompt_usd_per_million": 1, "completion_usd_per_million": "2.5"},
                }
            }
        },
        {"budget": {"usd": 5, "seconds": "2m"}},
        {"tracking": {"mlflow": False}},
        {"extends": "base.yaml", "task": ..., "data": ..., "prompt": ...},
    ],
)
def test_what_the_loader_accepts_is_valid(changes: dict[str, Any]) -> None:
    assert errors(**changes) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"task": ...},
        {"prompt": ...},
        {"steps": [{"id": "a", "prompt": "x"}]},
        {"metrics": []},
        {"metrics": ["exat"]},
        {"metrics": [{"type": "exact", "ignorecase": True}]},
        {"metrics": [{"type": "exact", "limits": {"longest": "many"}}]},
        {"optimizer": "backprob"},
        {"optimizer": {"options": {"children": 0}}},
        {"optimizer": {"options": {"childen": 1}}},
        {"models": {"task": {"temperature": 1}}},
    ],
)
def test_what_the_loader_refuses_is_not_valid(changes: dict[str, Any]) -> None:
    assert errors(**changes)


def test_every_key_is_described() -> None:
    definitions = config_schema(OPTIONS)["$defs"]
    for name in ("BudgetConfig", "DataConfig", "SplitConfig", "ModelsConfig"):
        assert all(prop.get("description") for prop in definitions[name]["properties"].values())
    assert "Children a round." in str(definitions["optimizer.backprop"])
