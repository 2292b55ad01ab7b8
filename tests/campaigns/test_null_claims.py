"""A thousand runs and more of every optimizer where no prompt is better than another: how often a gain is claimed.

A world in memory: each wording is answered by fresh draws on every row, with the same chance, so that prompts differ by
luck alone. Whole searches with confirmation and sealed test, but no model, no database.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from fake_bench import FakeBench, FickleWorld, fake_brief, idle_rewriter, of_kind, run_fake

from promptprop.domain.events import WinnerTested
from promptprop.optimizers.registry import OPTIMIZERS

RUNS = int(os.environ.get("PROMPTPROP_CLAIMS", "1000"))


@pytest.mark.campaign
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
async def test_where_nothing_is_to_gain_little_is_claimed_and_intervals_hold_the_truth(name: str) -> None:
    verdicts: Counter[str] = Counter()
    covered = 0
    for seed in range(RUNS):
        bench = FakeBench(FickleWorld(seed=seed), rewriter=idle_rewriter)
        events = await run_fake(name, fake_brief(seed=seed, test=60), bench)
        (claim,) = of_kind(events, WinnerTested)
        verdicts[claim.verdict] += 1
        covered += claim.verdict != "unchanged" and claim.delta.low <= 0 <= claim.delta.high
    changed = RUNS - verdicts["unchanged"]
    print(f"\n{name}: {RUNS} runs, {dict(verdicts)}, 0 in {covered} of {changed} intervals")
    assert verdicts["better"] <= 0.05 * RUNS
    assert verdicts["worse"] <= 0.05 * RUNS
    assert covered >= 0.93 * changed
