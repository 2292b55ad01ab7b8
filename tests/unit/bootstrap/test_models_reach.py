"""What keys reach, asked once for all who want to know it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from promptprop.bootstrap import models_reach
from promptprop.bootstrap.models_reach import Reach, SharedReach


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Every question that reached the servers: whether it was asked anew."""
    questions: list[bool] = []

    async def find(_env: Mapping[str, str], *, refresh: bool = False, **_: Any) -> Reach:
        questions.append(refresh)
        await asyncio.sleep(0.01)
        return Reach((), (), {str(len(questions)): "KEY"})

    monkeypatch.setattr(models_reach, "find_reach", find)
    return questions


async def test_those_who_ask_at_once_share_one_question(asked: list[bool]) -> None:
    shared = SharedReach({})
    found = await asyncio.gather(*(shared.find(refresh=bool(n % 2)) for n in range(6)))
    assert len(set(map(id, found))) == 1
    assert asked == [False]


async def test_an_answer_is_kept_for_a_minute_and_asked_anew_after_ten_seconds(asked: list[bool]) -> None:
    moments = [100.0]
    shared = SharedReach({}, lambda: moments[-1])
    await shared.find()
    for moment, refresh, count in ((109.0, True, 1), (111.0, True, 2), (170.0, False, 2), (172.0, False, 3)):
        moments.append(moment)
        await shared.find(refresh=refresh)
        assert len(asked) == count
    assert asked == [False, True, False]
