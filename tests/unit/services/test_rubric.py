"""The rubric of a run: who is asked, what is shown, and what a run with one replays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_bench import FakeBench, fake_brief

import promptprop
from promptprop.bootstrap.configuration import open_database
from promptprop.domain.errors import UnusableReplies
from promptprop.domain.events import RubricDrafted, event_of
from promptprop.domain.models import Ask
from promptprop.domain.rubric import Rubric, RubricFeature
from promptprop.services.rubric import ROWS, draft_rubric

ROOT = Path(__file__).parents[3]
RUBRIC = Rubric("Short.", (RubricFeature("tone", "Is kind."),))
SETS = (
    "metrics=[{id: panel, type: jury, rubric: auto}]",
    "models.manager={model: offline/manager}",
    "optimizer.options.rounds=2",
    "tracking.mlflow=false",
)


async def test_the_manager_sees_rows_of_train_and_none_that_a_claim_rests_on() -> None:
    seen: list[Ask] = []

    def manager(ask: Ask) -> Any:
        seen.append(ask)
        return RUBRIC

    bench = FakeBench(rewriter=manager)
    assert await draft_rubric(bench, fake_brief()) == RUBRIC
    (ask,) = seen
    assert ask.role == "manager"
    texts = [row["inputs"]["text"] for row in ask.inputs["rows"]]
    assert len(texts) == ROWS
    assert all(text.startswith("train-") for text in texts)


async def test_without_a_rubric_the_run_ends_with_a_remedy() -> None:
    bench = FakeBench(rewriter=lambda _ask: None)
    with pytest.raises(UnusableReplies, match="the manager has written no rubric"):
        await draft_rubric(bench, fake_brief())


async def test_a_drafted_rubric_is_stored_told_and_judged_by(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/runs.db"
    report = await promptprop.optimize_async(ROOT / "configs" / "replies.yaml", sets=SETS, database=database)
    assert report.verdict in ("better", "no proven gain")
    store = open_database(database, must_exist=True)
    try:
        told = [one.event for one in store.events(report.run_id) if isinstance(one.event, RubricDrafted)]
        assert len(told) == 1
        kept = store.rubric(told[0].rubric_id)
        assert kept is not None
        assert tuple(one.id for one in kept.rubric.features) == told[0].features
        assert report.history.rubric_id == told[0].rubric_id
        judged = next(store.evaluations(report.run_id)).judgements
        assert {name.rpartition("/")[2] for name in judged if name.count("/") == 2} == set(told[0].features)
        shown = set(report.history.candidates[report.seed.id].metrics["select"])
        assert shown == {"panel", "panel/strict", "panel/kind", "hard_negatives"}, "jurors apart, and no features"
        spend = report.history.spend
        assert spend.of("manager").calls in (1, 2)
    finally:
        store.close()


@pytest.mark.no_cover
async def test_two_runs_with_a_drafted_rubric_are_the_same(tmp_path: Path) -> None:
    ids = set()
    for number in (1, 2):
        database = f"sqlite:///{tmp_path}/runs-{number}.db"
        report = await promptprop.optimize_async(ROOT / "configs" / "replies.yaml", sets=SETS, database=database)
        ids.add((report.history.rubric_id, report.winner.id, report.delta and report.delta.mean))
    assert len(ids) == 1


def test_the_event_survives_being_stored() -> None:
    event = RubricDrafted("abc", ("tone", "facts"))
    assert event_of("rubric_drafted", {"rubric_id": "abc", "features": ["tone", "facts"]}) == event
