"""How often a claim is right, over many whole runs in simulated worlds. Simulated: evidence about the search alone.

Two worlds: one in which no prompt is truly better than another (so that every *better* is a false claim), and the
shipped support world, in which there is much to gain. A run goes through loader, engine, ledger and a fresh database;
only the client is swapped for one of the world at hand.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

import promptprop.bootstrap.models
from promptprop.adapters.models.offline.chance import draw, pick
from promptprop.adapters.models.offline.client import OfflineClient
from promptprop.adapters.models.offline.task import index_of, true_score
from promptprop.adapters.models.offline.world import World
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.bootstrap.assembly import build_engine, build_search
from promptprop.bootstrap.configuration import load, open_database
from promptprop.bootstrap.preparation import create_run, prepare
from promptprop.domain.config import RunConfig
from promptprop.domain.model_config import ModelConfig
from promptprop.domain.models import ModelRequest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "quickstart.yaml"
SECONDS = float(os.environ.get("PROMPTPROP_SECONDS", "900"))  # no run of a series begins later after its start
NULL_RUNS = int(os.environ.get("PROMPTPROP_CLAIMS", "1000"))
SMALL = ("rounds=3", "children=3", "headroom_rows=10", "evidence_rows=12", "race_block=10", "patience=2")


@dataclass(frozen=True)
class Claim:
    """What one run claimed, next to the truth that only a simulation knows."""

    verdict: str
    mean: float
    low: float
    high: float
    calls: int
    seed_score: float
    winner_score: float
    true_on_test: float
    true_on_all: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    def covers(self, truth: float) -> bool:
        """Whether the interval holds this value."""
        return self.low - 1e-9 <= truth <= self.high + 1e-9


def support_world(name: str) -> World:
    """The shipped world with other luck."""
    return replace(_SHIPPED, name=name)


def null_world(name: str) -> World:
    """The shipped rows and rules, to be played by `RestlessClient`: other difficulties, no form, no wrong labels."""
    rows = {
        key: replace(row, right=row.expected, difficulty=0.6 * draw("difficulty", name, key))
        for key, row in _SHIPPED.rows.items()
    }
    return replace(_SHIPPED, name=name, skill=0.8, rows=rows, traps={}, format=None)


class RestlessClient(OfflineClient):
    """A task model to which all prompts are alike, yet every wording is answered by fresh draws.

    So prompts look better or worse than each other by chance alone, on every row: the worst case for a claim.
    """

    def _answer(self, request: ModelRequest) -> str:
        if self.part != "task":
            return super()._answer(request)
        row = index_of(self.world).find("\n".join(message.content for message in request.messages))[-1].row
        if draw(self.world.name, request.key) < self.world.skill * (1 - row.difficulty):
            return str(row.right)
        return pick([answer for answer in self.world.answers if answer != row.right], self.world.name, row.id)


def null_score(world: World, prompt_text: str, row_ids: Iterable[str] | None = None) -> float:
    """The true score in a null world, whatever the prompt says."""
    rows = [world.rows[key] for key in (world.rows if row_ids is None else row_ids)]
    return sum(world.skill * (1 - row.difficulty) for row in rows) / len(rows)


_SHIPPED = load_world(ROOT / "datasets" / "support.world.yaml")


@dataclass(frozen=True)
class Series:
    """Runs of one kind: the world of each, who plays it, and how good a prompt truly is there."""

    name: str
    build: Callable[[str], World]
    client: type[OfflineClient]
    score: Callable[..., float]
    runs: int
    options: tuple[str, ...] = ()


NOTHING_TO_GAIN = Series("null", null_world, RestlessClient, null_score, NULL_RUNS, SMALL)
MUCH_TO_GAIN = Series("support", support_world, OfflineClient, true_score, 40)


async def claim_of(series: Series, world: World, seed: int, folder: Path) -> Claim:
    """One whole run on a database of its own, `run.db` in this folder."""
    sets = ["tracking.mlflow=false", f"seed={seed}", f"data.split.seed={seed}"]
    loaded = load(CONFIG, [*sets, *(f"optimizer.options.{option}" for option in series.options)])
    url = f"sqlite:///{folder / 'run.db'}"
    store = open_database(url)
    try:
        row = await create_run(store, await prepare(store, loaded), "optimize", {})
        report = await build_engine(store, url, os.environ).run(row.id)
        _, brief = build_search(store, row, loaded.config)
    finally:
        store.close()
    ids = [one.id for one in brief.test]
    tested = report.history.test
    assert tested is not None
    before, after = report.seed.prompt, report.winner.prompt
    return Claim(
        verdict=report.verdict,
        mean=tested.delta.mean,
        low=tested.delta.low,
        high=tested.delta.high,
        calls=report.history.spend.total.calls,
        seed_score=series.score(world, before),
        winner_score=series.score(world, after),
        true_on_test=series.score(world, after, ids) - series.score(world, before, ids),
        true_on_all=series.score(world, after) - series.score(world, before),
    )


def claims_of(series: Series, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Claim]:
    """The runs of a series, each with luck, split and search of its own; fewer where time runs out."""
    claims: list[Claim] = []
    began = time.monotonic()
    for number in range(series.runs):
        if time.monotonic() - began > SECONDS:
            break
        world = series.build(f"{series.name}-{number}")

        async def open_client(
            _config: RunConfig, model: ModelConfig, _environment: object, _key: str, world: World = world
        ) -> OfflineClient:
            return series.client(world, model.model)

        monkeypatch.setattr(promptprop.bootstrap.models, "open_client", open_client)
        claims.append(asyncio.run(claim_of(series, world, number, folder)))
        for file in folder.glob("run.db*"):
            file.unlink()
    return claims


def table_of(title: str, claims: list[Claim]) -> Table:
    """What the claims of a series amount to."""
    count = len(claims)
    verdicts = Counter(claim.verdict for claim in claims)
    table = Table(title=title, title_justify="left")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_row("runs", str(count))
    for verdict in ("better", "no proven gain", "unchanged", "worse"):
        share, error = verdicts[verdict] / count, math.sqrt(verdicts[verdict] * (count - verdicts[verdict]) / count**3)
        table.add_row(f"share {verdict}", f"{100 * share:.1f} % ± {100 * error:.1f}")
    table.add_row("mean true score of the seed", f"{_mean([claim.seed_score for claim in claims]):.3f}")
    table.add_row("mean true score of the winner", f"{_mean([claim.winner_score for claim in claims]):.3f}")
    table.add_row("winners truly below their seed", str(sum(claim.true_on_all < -1e-9 for claim in claims)))
    changed = [claim for claim in claims if claim.verdict != "unchanged"]
    if changed:
        better = 100 * verdicts["better"] / len(changed)
        table.add_row("share better among changed winners", f"{better:.1f} %")
        table.add_row("mean claimed difference (changed winners)", f"{_mean([claim.mean for claim in changed]):+.3f}")
        table.add_row("mean true difference on the same rows", f"{_mean([one.true_on_test for one in changed]):+.3f}")
        on_test = sum(claim.covers(claim.true_on_test) for claim in changed) / len(changed)
        on_all = sum(claim.covers(claim.true_on_all) for claim in changed) / len(changed)
        table.add_row("95 % interval holds the true difference on its rows", f"{100 * on_test:.1f} %")
        table.add_row("95 % interval holds the true difference on all rows", f"{100 * on_all:.1f} %")
        table.add_row("mean half width of the interval", f"{_mean([claim.half_width for claim in changed]):.3f}")
    table.add_row("mean calls a run", f"{_mean([claim.calls for claim in claims]):.0f}")
    return table


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _show(title: str, claims: list[Claim], seconds: float) -> None:
    console = Console(width=100)
    console.print()
    console.print(table_of(title, claims))
    console.print(f"{len(claims)} runs in {seconds:.0f} s; simulated: evidence about the search, not about models")


@pytest.mark.campaign
def test_where_nothing_can_be_gained_a_gain_is_claimed_in_at_most_one_run_of_twenty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    claims = claims_of(NOTHING_TO_GAIN, tmp_path, monkeypatch)
    _show("A world with nothing to gain", claims, time.monotonic() - began)
    assert all(abs(claim.true_on_all) < 1e-9 for claim in claims)
    assert sum(claim.verdict != "unchanged" for claim in claims) >= len(claims) / 4, "hardly any run risked a claim"
    assert sum(claim.verdict == "better" for claim in claims) <= 0.05 * len(claims)
    assert sum(claim.verdict == "worse" for claim in claims) <= 0.05 * len(claims)


@pytest.mark.campaign
def test_where_much_can_be_gained_most_runs_prove_a_gain_and_their_intervals_hold_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    claims = claims_of(MUCH_TO_GAIN, tmp_path, monkeypatch)
    _show("The shipped support world, default options", claims, time.monotonic() - began)
    assert sum(claim.verdict == "better" for claim in claims) >= 0.8 * len(claims)
    assert not [claim for claim in claims if claim.verdict == "better" and claim.true_on_all <= 0]
    assert sum(claim.covers(claim.true_on_test) for claim in claims) >= 0.85 * len(claims)
