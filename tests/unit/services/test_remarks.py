"""A model's remarks as findings: by kind, in the order of their places, and no silence where nothing could be read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from promptprop.domain.errors import UnusableReplies
from promptprop.domain.models import Answer, Ask, Failure
from promptprop.roles.linter import KINDS, Remark, Remarks
from promptprop.services.remarks import REMARK_RULES, read_prompts


def answering(*answers: Answer) -> object:
    async def ask(asks: Sequence[Ask]) -> list[Answer]:
        assert [one.role for one in asks] == ["linter"] * len(answers)
        return list(answers)

    return ask


async def test_every_kind_of_remark_has_a_rule_and_findings_come_in_the_order_of_their_places() -> None:
    said = tuple(Remark(kind, f"p {kind}", "r", 9 - place, 10) for place, kind in enumerate(KINDS))
    (read,) = await read_prompts(answering(Answer(Remarks(said, 2))), [{}])  # type: ignore[arg-type]
    assert read.unplaced == 2
    assert [one.start for one in read.findings] == [6, 7, 8, 9]
    assert {REMARK_RULES[one.id].name for one in read.findings} == set(KINDS)
    assert read.findings[0].message == "p needless → r"


async def test_ignored_rules_and_remarks_without_a_remedy() -> None:
    said = (Remark("gap", "p", ""), Remark("needless", "q", ""))
    (read,) = await read_prompts(answering(Answer(Remarks(said))), [{}], frozenset({"PM004"}))  # type: ignore[arg-type]
    assert [(one.id, one.message) for one in read.findings] == [("PM003", "p")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(Answer(None), "could not be read"), (Answer(None, failure=Failure("timeout", "too late")), "too late")],
)
async def test_a_prompt_that_no_model_could_read_is_an_error_and_not_a_clean_one(answer: Answer, said: str) -> None:
    with pytest.raises(UnusableReplies, match=said):
        await read_prompts(answering(Answer(Remarks(())), answer), [{}, {}])  # type: ignore[arg-type]
