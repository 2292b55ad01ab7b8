"""The simulated synthesizer: rows made of those that it is shown, as fallible as the world says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from promptprop.adapters.models.offline.synthesizer import answer_synthesizer
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.roles.registry import load_roles
from promptprop.roles.synthesizer import Batch

WORLD = load_world(Path(__file__).parents[5] / "datasets" / "support.world.yaml")
TEXTS = {"billing": "I was charged twice for the kettle.", "returns": "I want to send the lamp back."}
ROWS = [{"inputs": {"text": text}, "expected": label} for label, text in TEXTS.items()]
INPUTS: dict[str, Any] = {
    "task": "Route.", "rows": ROWS, "kind": "edge", "count": 5, "names": ["text"], "labels": ["billing", "returns"],
    "expects": True, "negatives": False, "known": [],
}  # fmt: skip


def replies(count: int, **changes: Any) -> list[str]:
    inputs = {**INPUTS, **changes}
    messages = load_roles({})["synthesizer"].messages(inputs)
    return [answer_synthesizer(WORLD, messages, replicate) for replicate in range(count)]


def batches(count: int, **changes: Any) -> list[Batch]:
    """What those of so many replies hold that can be read."""
    found = []
    for text in replies(count, **changes):
        try:
            found.append(load_roles({})["synthesizer"].parse(text, {**INPUTS, **changes}))
        except ValueError:
            continue
    return found


def test_most_replies_hold_as_many_rows_as_were_asked_for_and_some_cannot_be_read() -> None:
    found = batches(100)
    assert 80 < len(found) < 100
    assert all(len(batch.rows) == 5 for batch in found)


def test_rows_quote_what_was_shown_expect_what_it_expects_and_are_at_times_copies_or_wrong() -> None:
    rows = [row for batch in batches(100) for row in batch.rows]
    copies = sum(row.inputs["text"] in TEXTS.values() for row in rows)
    right = sum(str(row.inputs["text"]).endswith(TEXTS[str(row.expected)]) for row in rows)
    assert 0.05 < copies / len(rows) < 0.3
    assert 0.85 < right / len(rows) < 1


def test_adversarial_rows_ask_for_another_answer_and_rare_ones_are_of_the_labels_asked_for() -> None:
    tricks = [row for batch in batches(30, kind="adversarial") for row in batch.rows]
    assert any("ignore your instructions" in str(row.inputs["text"]) for row in tricks)
    rare = [row for batch in batches(30, kind="rare", labels=["returns"]) for row in batch.rows]
    assert {row.expected for row in rare} == {"returns"}


def test_without_rows_it_says_that_it_cannot() -> None:
    assert "without having seen one" in replies(1, rows=[])[0]


def test_equal_requests_get_equal_replies() -> None:
    assert replies(3) == replies(3)
    assert len(set(replies(3))) == 3
