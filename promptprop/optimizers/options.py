"""The options of `backprop`, each with the default that measurement chose."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BackpropOptions(BaseModel):
    """Options of `backprop`. Defaults were tuned on simulated families, and reported on others (docs/evidence.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: int = Field(30, ge=1, le=200, description="Rounds at most.")
    patience: int = Field(10, ge=1, le=50, description="Rounds without a new best, after which it ends.")
    least_gain: float = Field(
        0.05, ge=0, description="Ends once 1,000 more rows are expected to gain less score than this."
    )
    children: int = Field(1, ge=1, le=16, description="Rewrites proposed in a round, consolidation apart.")
    widen: int = Field(1, ge=0, le=15, description="Further rewrites of other kinds, once the search has stalled.")
    headroom_rows: int = Field(20, ge=2, le=500, description="Select rows on which the seed is scored first.")
    headroom_again: int = Field(10, ge=2, le=500, description="How many of them are answered twice, to measure noise.")
    evidence_rows: int = Field(40, ge=3, le=500, description="Failures to gather before critiques are written.")
    causes: int = Field(12, ge=1, le=40, description="Causes that a round writes critiques of at most.")
    causes_a_critique: int = Field(3, ge=1, le=10, description="Causes that one call of the critic sees.")
    critique_rows: int = Field(5, ge=1, le=30, description="Failures of one cause that the critic sees at most.")
    bundle: int = Field(6, ge=1, le=20, description="Fixes that one rewrite carries at first; adapts during the run.")
    passes: int = Field(
        2, ge=1, le=10, description="Rewrites that may follow each other to carry all fixes of a child."
    )
    restore: bool = Field(True, description="Put lines back that a rewrite dropped without a word.")
    demos: bool = Field(True, description="Try the model's own right answers as worked examples.")
    merge: bool = Field(True, description="Try to merge two prompts that mend different failures.")
    grown: float = Field(
        1.5, ge=1, description="Times the last consolidated length, from which on a rewrite is consolidated."
    )
    screen_rows: int = Field(2, ge=1, le=50, description="Rows that a screen takes for each fix that a child carries.")
    screen_most: int = Field(24, ge=1, le=500, description="Rows of causes that a screen takes in all, about.")
    passed_rows: int = Field(3, ge=0, le=100, description="Rows that its parent passed, per screen.")
    survivors: int = Field(2, ge=1, le=16, description="Children that go from the screen into the race at most.")
    race_block: int = Field(10, ge=2, le=500, description="Fresh select rows a block of the race.")
    race_blocks: int = Field(
        4, ge=1, le=100, description="Blocks of a race at most, and never more than half of select."
    )
    promote: float = Field(0.65, gt=0.5, lt=1, description="Chance of being better that promotes a child.")
    drop: float = Field(0.3, gt=0, lt=0.5, description="Chance of being better below which a child is dropped.")
    explore: float = Field(0.1, ge=0, le=1, description="Chance of a Pareto winner as the parent.")
    passing: float = Field(0.9, gt=0, le=1, description="Scores from here on are no failures.")
    longest: int = Field(6000, ge=200, le=200_000, description="Characters of a candidate at most (or 3 × the seed).")
    shortlist: int = Field(3, ge=1, le=10, description="Candidates that meet the confirm rows at most.")
