"""The manager: what it is shown, and which replies are a rubric."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptprop.domain.rubric import Rubric
from promptprop.roles.manager import Manager
from promptprop.roles.registry import load_roles

ROWS = [
    {"inputs": {"text": "Where is it?"}, "expected": "On its way.", "soft_negatives": [], "hard_negatives": ["rude"]}
]
INPUTS: dict[str, Any] = {"task": "Reply.", "rows": ROWS, "most": 3}
TONE = {"id": "tone", "says": "Is kind.", "weight": 2, "grounding": "hard negatives"}


@pytest.fixture(scope="module")
def manager() -> Manager:
    found = load_roles({})["manager"]
    assert isinstance(found, Manager)
    return found


def test_it_sees_the_task_and_rows_with_what_is_known_of_them(manager: Manager) -> None:
    (message,) = manager.messages(INPUTS)
    assert '{"expected":"On its way.","hard_negatives":["rude"],"inputs":{"text":"Where is it?"}}' in message.content
    assert "At most 3 features" in message.content


def test_a_rubric_is_read_with_defaults_and_short_ids(manager: Manager) -> None:
    reply = {"summary": " Short. ", "features": [TONE, {"id": "Tells the *truth*!", "says": "Is so."}]}
    rubric = manager.parse(f"Here:\n```json\n{json.dumps(reply)}\n```", INPUTS)
    assert rubric.summary == "Short."
    assert [(one.id, one.weight, one.grounding) for one in rubric.features] == [
        ("tone", 2.0, "hard negatives"), ("Tells-the-truth", 1.0, ""),
    ]  # fmt: skip
    assert Rubric.from_json(json.loads(json.dumps(rubric.as_json()))) == rubric
    assert rubric.id != Rubric(rubric.summary, rubric.features[:1]).id


def test_no_more_features_than_were_asked_for(manager: Manager) -> None:
    many = [{"id": f"f{n}", "says": "x"} for n in range(9)]
    assert len(manager.parse(json.dumps({"features": many}), INPUTS).features) == 3


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ([], "at least one object"),
        ("tone", "at least one object"),
        (["tone"], "must be an object"),
        ([{"id": "tone"}], "needs the texts id and says"),
        ([{**TONE, "says": " "}], "needs the texts id and says"),
        ([{**TONE, "id": "?!"}], "short name"),
        ([{**TONE, "weight": 0}], "must be a number above 0"),
        ([{**TONE, "weight": True}], "must be a number above 0"),
        ([{**TONE, "weight": float("inf")}], "must be a number above 0"),
        ([TONE, TONE], "an id of its own"),
    ],
)
def test_what_is_no_rubric_is_refused_with_a_sentence_for_the_model(manager: Manager, features: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        manager.parse(json.dumps({"features": features}), INPUTS)
    with pytest.raises(ValueError, match="summary must be a text"):
        manager.parse(json.dumps({"features": [TONE], "summary": 3}), INPUTS)
