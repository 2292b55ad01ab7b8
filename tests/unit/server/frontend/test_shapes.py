"""What the page sends: camelCase, nulls that mean defaults, negatives in several forms."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from promptprop.server.frontend.shapes import DatasetBody, OptimizeBody, Row, Settings, SplitRow


@pytest.mark.parametrize(
    ("given", "text"), [(None, ""), ("too long", "too long"), (["a", "b"], "a\nb"), ([], ""), ("", "")]
)
def test_negatives_are_one_text(given: object, text: str) -> None:
    assert Row.model_validate({"query": "q", "expectedOutput": "e", "softNegatives": given}).soft_negatives == text


def test_null_means_default_but_not_for_what_is_needed() -> None:
    assert OptimizeBody.model_validate({"maxIterations": None, "dataset": None}).max_iterations == 5
    with pytest.raises(ValidationError):
        Row.model_validate({"query": "q", "expectedOutput": None})


def test_an_empty_experiment_is_none() -> None:
    assert OptimizeBody.model_validate({"experimentId": ""}).experiment_id is None


def test_splits_have_our_names_inside() -> None:
    rows = [SplitRow.model_validate({"query": "q", "expectedOutput": "e", "split": one}) for one in ("val", None)]
    assert [row.page_row.split for row in rows] == ["select", None]


@pytest.mark.parametrize("settings", [{"temperature": 2.1}, {"topP": 0}, {"topK": 0}, {"temperature": "hot"}])
def test_settings_beyond_all_models_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(settings)


def test_ratios_count_where_rows_are_shared_out() -> None:
    body = {"experimentId": "e", "rows": [{"query": "q", "expectedOutput": "e"}], "trainRatio": 0.9}
    assert DatasetBody.model_validate(body).train_ratio == 0.9
    with pytest.raises(ValidationError, match="sum to"):
        DatasetBody.model_validate({**body, "autoSplit": True})
