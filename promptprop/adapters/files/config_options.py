"""Options of metrics and optimizers, checked against the models of what is registered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from promptprop.adapters.files.config_problems import Complaint, closest, complaints_of, suggestion_for, worded
from promptprop.adapters.files.origins import Loc
from promptprop.domain.config import MetricConfig, RunConfig

OptionModels = Mapping[str, Mapping[str, type[BaseModel]]]
COMMON = ("id", "type", "weight", "gate")


def check_options(config: RunConfig, option_models: OptionModels) -> list[tuple[Loc, str, str]]:
    """What is wrong with types, names and options: where, in which words, and what was probably meant (or nothing).

    `option_models` holds the option models by name under `metrics` and `optimizers`.
    """
    found = []
    for complaint in option_complaints(config, option_models):
        message, _ = worded(complaint)
        found.append((tuple(complaint["loc"]), message, suggestion(complaint, config, option_models)))
    return found


def option_complaints(config: RunConfig, option_models: OptionModels) -> list[Complaint]:
    """The same as pydantic words it, for who can place it in a file."""
    found: list[Complaint] = []
    metrics = option_models.get("metrics", {})
    for index, metric in enumerate(config.metrics):
        model = option_model(metrics, metric.type)
        at: Loc = ("metrics", index)
        if model is None:
            found.append(_unknown((*at, "type"), f"unknown metric type {metric.type!r}", metric.type, metrics))
        else:
            found += _complaints(model, _with_function(metric, metrics), at)
    optimizers = option_models.get("optimizers", {})
    optimizer = config.optimizer
    if (model := optimizers.get(optimizer.name)) is None:
        unknown = _unknown(("optimizer", "name"), f"unknown optimizer {optimizer.name!r}", optimizer.name, optimizers)
        found.append(unknown)
    else:
        found += _complaints(model, optimizer.options, ("optimizer", "options"))
    return found


def option_model(models: Mapping[str, type[BaseModel]], name: str) -> type[BaseModel] | None:
    """The model registered under `name`, or under what stands before its colon (`python:module.function`)."""
    return models.get(name) or (models.get(name.partition(":")[0]) if ":" in name else None)


def _with_function(metric: MetricConfig, models: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The options, with what stands behind the type's colon as `function`: `python:module.function` says it there."""
    _, colon, function = metric.type.partition(":")
    return {"function": function, **metric.options} if colon and metric.type not in models else metric.options


def option_keys(loc: Loc, config: RunConfig, option_models: OptionModels) -> list[str]:
    """The keys that are known at `loc`, a metric or the optimizer's options; none elsewhere."""
    if loc[:1] == ("metrics",) and len(loc) == 2 and isinstance(loc[1], int):
        metric: MetricConfig = config.metrics[loc[1]]
        model = option_model(option_models.get("metrics", {}), metric.type)
        return [*COMMON, *_fields(model)] if model else list(COMMON)
    if loc == ("optimizer", "options"):
        model = option_models.get("optimizers", {}).get(config.optimizer.name)
        return _fields(model) if model else []
    return []


def suggestion(complaint: Complaint, config: RunConfig, option_models: OptionModels) -> str:
    """What was probably meant, or nothing."""
    if complaint["type"] == "refused":
        return str((complaint.get("ctx") or {}).get("near", ""))
    return suggestion_for(complaint, option_keys(tuple(complaint["loc"])[:-1], config, option_models))


def _fields(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _complaints(model: type[BaseModel], options: Mapping[str, Any], at: Loc) -> list[Complaint]:
    found: list[Complaint] = []
    try:
        # As JSON, so that lists serve for tuples while `strict` keeps 'no' from passing for false and '4' for 4.
        model.model_validate_json(json.dumps(dict(options)), strict=True)
    except ValidationError as error:
        found = [{**complaint, "loc": (*at, *complaint["loc"])} for complaint in complaints_of(error)]
    if model.model_config.get("extra") not in {"forbid", "allow"}:  # pydantic would drop them in silence
        names = {*model.model_fields, *_fields(model)}
        extra = [key for key in options if key not in names]
        found += [{"type": "extra_forbidden", "loc": (*at, key), "input": options[key], "msg": ""} for key in extra]
    return found


def _unknown(loc: Loc, message: str, name: str, known: Mapping[str, Any]) -> Complaint:
    near = closest(name, known)
    remedy = f"did you mean {near!r}?" if near else f"known: {', '.join(sorted(known))}"
    context = {"message": message, "remedy": remedy, "at": (), "near": near}
    return {"type": "refused", "loc": loc, "input": name, "msg": message, "ctx": context}
