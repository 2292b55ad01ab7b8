"""The report as a page: which rows its scores are on."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from promptprop.adapters.files.report_markdown import render_markdown
from promptprop.domain import events as facts
from promptprop.domain.events import Estimate, StoredEvent
from promptprop.domain.history import fold
from promptprop.domain.models import Candidate, Prompt
from promptprop.domain.report import report_of

SEED = Candidate({"main": Prompt.of("{{ text }}")})


@pytest.mark.parametrize("split", ["train", "select"])
def test_scores_stand_under_the_split_that_the_search_went_by(split: str) -> None:
    score = Estimate(0.4, 0.25, 0.5, 9)
    events = [
        facts.RunStarted("n", "optimize", "iterate", 7, {split: 9, "test": 0}, {}, {}, False),
        facts.CandidateProposed(0, SEED.id, (), "seed", "as given", 10),
        facts.CandidateScored(1, SEED.id, split, score, 0, {}),
        facts.RunFinished("rounds"),
    ]
    now = datetime(2026, 1, 2, tzinfo=timezone.utc)
    history = fold(StoredEvent("f" * 32, seq, now, event) for seq, event in enumerate(events, start=1))
    page = render_markdown(report_of(history, {SEED.id: SEED}))
    assert f"|  | {split} | sealed test |" in page
    assert "| seed | 0.400 [0.25, 0.50] | – |" in page
    assert "no row is held out" in page
