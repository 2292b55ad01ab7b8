from __future__ import annotations

from pathlib import Path

import yaml

from promptprop.metrics.reference import metric_reference
from promptprop.metrics.registry import METRICS, option_models
from promptprop.metrics.scoring import MetricSpec, build_scorer

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


def test_the_example_of_metrics_of_ones_own_can_be_loaded(tmp_path: Path) -> None:
    section = metric_reference().partition("## Metrics of your own")[2]
    code, configured = (section.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("python", "yaml"))
    (tmp_path / "metrics.py").write_text(code, encoding="utf-8")
    specs = [MetricSpec(one["type"], one.pop("type"), options=one) for one in yaml.safe_load(configured)["metrics"]]
    scorer = build_scorer(specs, tmp_path)
    assert [metric.id.rpartition(":")[2] for metric in scorer.awaiting] == ["same_meaning", "Tone"]
