"""Rows invented, held against the data, and counted: who is asked what, what is left out, when it ends."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from promptprop.domain.models import Answer, Ask, Example, Failure, Json
from promptprop.domain.sampling import row_of
from promptprop.metrics.scoring import MetricSpec, build_scorer
from promptprop.roles.synthesizer import Batch, InventedRow
from promptprop.services.synthesis import (
    EACH,
    KNOWN,
    STAGES,
    Crowd,
    Order,
    Synthesis,
    doubts_of,
    most_calls,
    synthesize,
)


def text_no(number: int) -> str:
    """Texts that no two are alike."""
    letters = list("abcdefghijklmnopqrstuvwxyz" * 2)
    random.Random(number).shuffle(letters)
    return "".join(letters)


def order(count: int = 12, kinds: tuple[str, ...] = ("edge", "adversarial"), **changes: Any) -> Order:
    examples = [Example(f"r{n}", {"text": f"row {n}"}, "ab"[n % 2]) for n in range(20)]
    train = [(row_of(one), one, one.inputs) for one in examples]
    settings: dict[str, Any] = {"labels": {"a": 10, "b": 10}, **changes}
    return Order("Route.", count, kinds, ("text",), train, **settings)


class Script:
    """Answers with new rows, each text once, unless told otherwise."""

    def __init__(self, reply: Any = None) -> None:
        self.reply = reply
        self.stages: list[list[Ask]] = []
        self.next = 0

    async def __call__(self, asks: Sequence[Ask]) -> list[Answer]:
        self.stages.append(list(asks))
        return [self.reply(ask) if self.reply else self.batch(ask.inputs["count"]) for ask in asks]

    def batch(self, count: int) -> Answer:
        texts = [text_no(self.next + n) for n in range(count)]
        self.next += count
        return Answer(batch_of(*texts))


def batch_of(*texts: str, refused: tuple[str, ...] = ()) -> Batch:
    return Batch(tuple(InventedRow({"text": text}, "a", (), (), "hard") for text in texts), refused)


async def made(script: Script, wanted: Order, known: Sequence[dict[str, Json]] = ()) -> Synthesis:
    texts = [one.inputs["text"] for _, one, _ in wanted.train] + [str(one["text"]) for one in known]
    return await synthesize(script, wanted, known, texts)


async def test_so_many_rows_as_wanted_are_asked_for_in_batches_that_take_turns_over_the_kinds() -> None:
    script = Script()
    found = await made(script, order(12))
    assert len(found.rows) == 12
    (asks,) = script.stages
    assert [(ask.inputs["kind"], ask.inputs["count"]) for ask in asks] == [
        ("edge", EACH), ("adversarial", EACH), ("edge", 2)
    ]  # fmt: skip
    assert len({str(ask.inputs["rows"]) for ask in asks}) == 3, "each question shows other rows"
    assert [kind for kind, _ in found.rows].count("edge") == 7


async def test_only_train_rows_are_shown_and_the_same_order_asks_the_same() -> None:
    first, second = Script(), Script()
    await made(first, order(5))
    await made(second, order(5))
    assert first.stages == second.stages
    shown = {row["inputs"]["text"] for ask in first.stages[0] for row in ask.inputs["rows"]}
    assert shown <= {f"row {n}" for n in range(20)}


async def test_what_exists_already_is_left_out_and_asked_for_again_with_what_was_found() -> None:
    def reply(ask: Ask) -> Answer:
        if not ask.inputs["known"]:
            return Answer(batch_of(text_no(1), "Row 3!", text_no(1), text_no(1) + ".", text_no(1)[:-1] + "x"))
        return script.batch(ask.inputs["count"])

    script = Script(reply)
    script.next = 100
    found = await made(script, order(5))
    assert len(found.rows) == 5
    assert found.left_out == {"the same as a row that exists": 3, "nearly the same as a row that exists": 1}
    assert [len(stage) for stage in script.stages] == [1, 1]
    assert script.stages[1][0].inputs["count"] == 4
    assert script.stages[1][0].inputs["known"] == [{"inputs": {"text": text_no(1)}}]


async def test_rows_under_review_are_known_and_long_ones_shown_in_short() -> None:
    known: list[dict[str, Json]] = [{"text": f"{text_no(n)} {'x' * 500}"} for n in range(40)]
    script = Script(lambda _: Answer(batch_of(str(known[0]["text"]))))
    found = await made(script, order(3), known)
    assert found.rows == ()
    shown = script.stages[0][0].inputs["known"]
    assert len(shown) == KNOWN
    assert all(len(one["inputs"]["text"]) == 200 for one in shown)


async def test_it_ends_where_a_round_brings_nothing_and_failures_and_refusals_are_told() -> None:
    late = Answer(None, failure=Failure("timeout", "it took too long"))
    answers = iter([Answer(batch_of(refused=("no keys",))), late])
    script = Script(lambda _: next(answers, Answer(None)))
    found = await made(script, order(15))
    assert (found.rows, len(script.stages)) == ((), 1)
    assert found.left_out == {"no keys": 1, "it took too long": 1, "the reply could not be read": 1}


async def test_the_number_of_rounds_is_bounded_and_so_are_the_calls() -> None:
    script = Script(lambda ask: script.batch(1))
    found = await made(script, order(40))
    assert len(script.stages) == STAGES
    assert 0 < len(found.rows) < 40
    assert 2 * sum(map(len, script.stages)) <= most_calls(40)


async def test_rare_rows_expect_the_rarest_third_of_the_labels() -> None:
    labels = {"a": 50, "b": 3, "c": 9, "d": 2, "e": 40, "f": 30}
    script = Script()
    await made(script, order(5, ("rare",), labels=labels))
    assert script.stages[0][0].inputs["labels"] == ["d", "b"]
    assert order(5, labels={"x": 1}).rare == ["x"]


def test_texts_without_letters_are_told_apart_as_they_are() -> None:
    crowd = Crowd(["???"])
    assert crowd.add("???") == "the same as a row that exists"
    assert crowd.add("!!!") == ""
    assert crowd.add("") == ""
    assert crowd.add(" ") == "the same as a row that exists"


@pytest.mark.parametrize(
    ("metrics", "expected", "said"),
    [
        ([MetricSpec("label", "exact")], "billing", []),
        ([MetricSpec("form", "regex", options={"pattern": "^[a-z]+$"})], "Billing 3", ["scores 0.00 by form"]),
        ([MetricSpec("items", "list")], ["a", "b"], []),
        ([MetricSpec("label", "exact")], ["a", "b"], []),
        ([MetricSpec("label", "exact")], None, []),
    ],
)
def test_an_expected_answer_that_its_own_metrics_refuse_is_doubtful(
    metrics: list[MetricSpec], expected: Json, said: list[str]
) -> None:
    scorer = build_scorer(metrics, Path())
    doubts = doubts_of(Example("r", {"text": "x"}, expected), scorer)
    assert len(doubts) == len(said)
    assert all(one in doubt for one, doubt in zip(said, doubts, strict=True))


def test_an_expected_answer_with_a_hard_negative_in_it_is_doubtful() -> None:
    scorer = build_scorer([MetricSpec("label", "exact")], Path())
    row = Example("r", {"text": "x"}, "we promise", hard_negatives=({"literal": "promise"},))
    assert "must never contain" in doubts_of(row, scorer)[0]
