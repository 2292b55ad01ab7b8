from __future__ import annotations

import subprocess
import sys

import pytest

from promptprop.domain.errors import ConfigError
from promptprop.metrics.registry import METRICS, load_metric, needs_expected, runs_python


def test_importing_the_registry_loads_neither_pydantic_nor_jsonschema() -> None:
    code = (
        "import sys, promptprop.metrics.registry, promptprop.metrics.scoring\n"
        "print({'pydantic', 'jsonschema'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_option_models_load_no_jsonschema() -> None:
    code = (
        "import sys; from promptprop.metrics.registry import option_models\n"
        "option_models(); print('jsonschema' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_python_types_lead_to_one_class() -> None:
    assert load_metric("python:a.b") is load_metric("python")
    assert runs_python("python:a.b")
    assert runs_python("python")
    assert not runs_python("exact")


def test_an_unknown_type_is_refused_with_a_guess() -> None:
    with pytest.raises(ConfigError, match="did you mean `numeric`"):
        load_metric("numerics")


def test_types_that_always_need_expected_answers() -> None:
    wanting = [
        "exact",
        "numeric",
        "json_fields",
        "set",
        "edit",
        "rouge_l",
        "bleu",
        "chrf",
        "list",
        "table",
        "embedding",
    ]
    assert [name for name in METRICS if needs_expected([name])] == wanting
    assert needs_expected(["regex", "exact"])
    assert not needs_expected([])
