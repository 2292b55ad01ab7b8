from __future__ import annotations

from pathlib import Path

from promptprop.metrics.reference import metric_reference
from promptprop.metrics.registry import METRICS, option_models

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_document_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == metric_reference(), (
        "docs/metrics.md is out of step: write what promptprop.metrics.reference.metric_reference() returns into it"
    )


def test_every_type_and_every_option_is_described() -> None:
    reference = metric_reference()
    for name, model in option_models().items():
        assert f"## `{'python:module.function' if name == 'python' else name}`" in reference
        for option in model.model_json_schema()["properties"]:
            assert f"`{option}`" in reference
    assert len(METRICS) == reference.count("\n## `")
