"""The client's values hold what the API's schemas say, so that neither moves without the other."""

from __future__ import annotations

import asyncio
import dataclasses
import types
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from serving import station

from promptprop.client import values
from promptprop.client.errors import ProblemItem

SCHEMAS: dict[type[Any], str] = {
    values.Run: "RunSummary",
    values.RunDetail: "RunDetail",
    values.Job: "Job",
    values.Event: "RunEvent",
    values.Estimate: "Estimate",
    values.MetricScore: "Verdict",
    values.Answer: "EvaluationItem",
    values.RowAnswers: "CandidateAnswers",
    values.MatrixRow: "MatrixRow",
    values.Candidate: "CandidateHead",
    values.CandidateDetail: "CandidateDetail",
    values.StepDifference: "StepDifference",
    values.Difference: "Difference",
    values.Intervention: "Intervention",
    values.CheckBegun: "CheckBegun",
    values.CheckDetail: "CheckDetail",
    values.PromptName: "PromptName",
    values.VersionHead: "VersionHead",
    values.Version: "Version",
    values.Rendered: "Rendered",
    values.DatasetHead: "DatasetSummary",
    values.Dataset: "Dataset",
    values.Row: "DatasetItem",
    values.Validity: "Validity",
    values.Token: "Token",
    values.NewToken: "NewToken",
    values.AuditEntry: "AuditEntry",
    values.Me: "Me",
    ProblemItem: "ProblemItem",
}
LEFT_OUT = {"EvaluationItem": {"id"}, "MatrixRow": {"answers"}}  # an id in a table; how many answers a mean is of
PLAIN = {str: {"string"}, int: {"integer"}, float: {"number", "integer"}, bool: {"boolean"}, Decimal: {"string"}}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    async def read(folder: Path) -> dict[str, Any]:
        async with station(folder) as here, here.client() as client:
            found: dict[str, Any] = (await client.get("/openapi.json")).json()
        return found

    found: dict[str, Any] = asyncio.run(read(tmp_path_factory.mktemp("document")))["components"]["schemas"]
    return found


@pytest.mark.parametrize("kind", SCHEMAS, ids=SCHEMAS.values())
def test_a_value_has_the_fields_of_its_schema(kind: type[Any], schemas: dict[str, Any]) -> None:
    name = SCHEMAS[kind]
    told = schemas[name]["properties"]
    known = {one.name for one in dataclasses.fields(kind)}
    assert known == set(told) - LEFT_OUT.get(name, set())
    fields = dataclasses.fields(kind)
    needed = {one.name for one in fields if one.default is one.default_factory is dataclasses.MISSING}
    assert needed <= set(schemas[name].get("required", ())), "what may be left out has a default"


@pytest.mark.parametrize("kind", SCHEMAS, ids=SCHEMAS.values())
def test_a_field_may_be_none_where_the_schema_says_so(kind: type[Any], schemas: dict[str, Any]) -> None:
    told = schemas[SCHEMAS[kind]]["properties"]
    for name, hint in get_type_hints(kind).items():
        options = told[name].get("anyOf", [told[name]])
        types_told = {one.get("type") for one in options if "type" in one}
        if not types_told or hint is Any:
            continue
        is_option = get_origin(hint) in (Union, types.UnionType)
        if (kind, name) != (values.MatrixRow, "scores"):  # a mapping here, two lists there
            assert is_option == ("null" in types_told), f"{kind.__name__}.{name}"
        inner = next((one for one in get_args(hint) if one is not type(None)), hint) if is_option else hint
        if inner in PLAIN:
            assert types_told - {"null"} <= PLAIN[inner], f"{kind.__name__}.{name}"
        if inner is datetime:
            assert types_told - {"null"} == {"string"}, f"{kind.__name__}.{name}"


def test_every_value_is_held_against_a_schema() -> None:
    found = {one for one in vars(values).values() if dataclasses.is_dataclass(one)}
    assert found == set(SCHEMAS)
