"""The registry of metric types: names lead to classes, imported when used since their options need pydantic."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from promptprop.domain.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from promptprop.metrics.base import DescribedMetric

METRICS: dict[str, str] = {
    "exact": "promptprop.metrics.text:Exact",
    "contains": "promptprop.metrics.text:Contains",
    "regex": "promptprop.metrics.patterns:Regex",
    "numeric": "promptprop.metrics.numbers:Numeric",
    "json_schema": "promptprop.metrics.structured:JsonSchema",
    "json_fields": "promptprop.metrics.fields:JsonFields",
    "set": "promptprop.metrics.sets:SetOverlap",
    "edit": "promptprop.metrics.similarity:Edit",
    "rouge_l": "promptprop.metrics.similarity:RougeL",
    "bleu": "promptprop.metrics.similarity:Bleu",
    "chrf": "promptprop.metrics.similarity:Chrf",
    "list": "promptprop.metrics.lists:ListItems",
    "table": "promptprop.metrics.lists:Table",
    "length": "promptprop.metrics.form:Length",
    "form": "promptprop.metrics.form:Form",
    "directness": "promptprop.metrics.form:Directness",
    "latency": "promptprop.metrics.effort:Latency",
    "cost": "promptprop.metrics.effort:Cost",
    "embedding": "promptprop.metrics.embedding:Embedding",
    "jury": "promptprop.metrics.jury:Jury",
    "python": "promptprop.metrics.custom:PythonFunction",
}

PYTHON_PREFIX = "python:"


def runs_python(type_name: str) -> bool:
    """True for types that run the user's own code, which a request over the network must never ask for."""
    return type_name == "python" or type_name.startswith(PYTHON_PREFIX)


def load_metric(type_name: str) -> type[DescribedMetric[Any]]:
    """The class behind a type; `python:module.function` leads to the class of `python`. Raises ConfigError."""
    name = "python" if runs_python(type_name) else type_name
    if name not in METRICS:
        near = difflib.get_close_matches(name, METRICS, n=1)
        guess = f"did you mean `{near[0]}`? " if near else ""
        known = ", ".join(METRICS)
        raise ConfigError(
            f"unknown metric type `{type_name}`", remedy=f"{guess}Known types: {known}, and python:module.function."
        )
    module, _, attribute = METRICS[name].partition(":")
    metric: type[DescribedMetric[Any]] = getattr(import_module(module), attribute)
    return metric


def option_models() -> Mapping[str, type[BaseModel]]:
    """Each type's model of options, for the configuration schema and the reference; loaded when it is looked at."""
    return _OptionModels()


class _OptionModels(Mapping[str, "type[BaseModel]"]):
    """The models by type. A configuration names one or two of them, and loading all takes a tenth of a second."""

    def __getitem__(self, name: str) -> type[BaseModel]:
        if name not in METRICS:
            raise KeyError(name)
        return load_metric(name).Options

    def __contains__(self, name: object) -> bool:
        return name in METRICS

    def __iter__(self) -> Iterator[str]:
        return iter(METRICS)

    def __len__(self) -> int:
        return len(METRICS)


def needs_expected(types: Iterable[str]) -> bool:
    """True if one of these types can judge nothing without expected answers, whatever its options."""
    return any(load_metric(name).needs_expected for name in types)
