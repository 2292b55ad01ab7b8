"""The configuration's JSON Schema, composed from what is registered: for editors, front ends and the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from promptprop.adapters.files.config_options import OptionModels
from promptprop.domain.config import MetricConfig, OptimizerConfig, PromptConfig, RunConfig
from promptprop.domain.model_config import JurorConfig, ModelConfig
from promptprop.domain.serve_config import ApiBaseConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PYTHON = "^python(:.+)?$"

Schema = dict[str, Any]


def config_schema(option_models: OptionModels) -> Schema:
    """One JSON Schema (draft 2020-12) of the configuration: metrics told apart by `type`, optimizers by `name`.

    `option_models` holds the option models by name under `metrics` and `optimizers`.
    """
    schema = RunConfig.model_json_schema(mode="validation", ref_template="#/$defs/{model}")
    definitions: Schema = schema.pop("$defs")
    for model in (PromptConfig, ModelConfig, JurorConfig, ApiBaseConfig):
        definitions[model.__name__] = _or_short(definitions[model.__name__], {"type": "string", "minLength": 1})
    definitions["MlflowConfig"] = _or_short(definitions["MlflowConfig"], {"type": "boolean"})
    definitions["MetricConfig"] = _metrics(option_models.get("metrics", {}), definitions)
    definitions["OptimizerConfig"] = _optimizers(option_models.get("optimizers", {}), definitions)
    properties: Schema = schema["properties"]
    one = {"$ref": "#/$defs/PromptConfig"}
    seeds = {"type": "array", "items": one, "minItems": 1}
    properties["prompt"] = {"anyOf": [one, seeds], "description": properties["prompt"].get("description", "")}
    properties["extends"] = {"type": "string", "description": "Another file, which this one overrides key by key."}
    whole = {"$schema": DIALECT, **schema, "title": "PromptProp configuration", "$defs": definitions}
    whole["if"] = {"not": {"required": ["extends"]}}  # a file that extends another one need not be complete
    whole["then"] = {"required": whole.pop("required"), "oneOf": [{"required": ["prompt"]}, {"required": ["steps"]}]}
    return whole


def _or_short(schema: Schema, short: Schema) -> Schema:
    """The schema, or the bare value that stands for it."""
    return {"anyOf": [short, schema], "description": schema.get("description", "")}


def _metrics(models: Mapping[str, type[BaseModel]], definitions: Schema) -> Schema:
    """One branch per type, options beside the common keys."""
    branches = []
    for name, model in sorted(models.items()):
        options = _options(f"metric.{name}", model, definitions)
        type_schema = {"const": name} if name != "python" else {"type": "string", "pattern": PYTHON}
        said_by_type = "function" if name == "python" else ""  # as in python:module.function
        common = dict(MetricConfig.model_json_schema(mode="validation")["properties"])
        common["type"] = {**type_schema, "description": common["type"].get("description", "")}
        branches.append(
            {
                "type": "object",
                "title": name,
                "description": options.get("description", ""),
                "properties": {**options.get("properties", {}), **common},
                "required": ["type", *(key for key in options.get("required", []) if key != said_by_type)],
                "additionalProperties": options.get("additionalProperties", False),
            }
        )
    names = {"type": "string", "enum": sorted(models)}
    short = {"anyOf": [names, {"type": "string", "pattern": "^python:."}]} if "python" in models else names
    return {"anyOf": [short, {"oneOf": branches}], "description": "A metric."} if branches else {"type": "object"}


def _optimizers(models: Mapping[str, type[BaseModel]], definitions: Schema) -> Schema:
    """One branch per name; the default one needs no name."""
    branches = []
    default = OptimizerConfig().name
    for name, model in sorted(models.items()):
        options = _options(f"optimizer.{name}", model, definitions)
        definitions[f"optimizer.{name}"] = {"additionalProperties": False, **options}
        properties = {"name": {"const": name}, "options": {"$ref": f"#/$defs/optimizer.{name}"}}
        branch = {"type": "object", "title": name, "properties": properties, "additionalProperties": False}
        branches.append(branch if name == default else {**branch, "required": ["name"]})
    short = {"type": "string", "enum": sorted(models)}
    return {"anyOf": [short, {"oneOf": branches}], "description": "The optimizer."} if branches else {"type": "object"}


def _options(name: str, model: type[BaseModel], definitions: Schema) -> Schema:
    """The schema of an option model; what it refers to joins the definitions under the name of its owner."""
    schema = model.model_json_schema(mode="validation", ref_template=f"#/$defs/{name}.{{model}}")
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = definition
    return schema
