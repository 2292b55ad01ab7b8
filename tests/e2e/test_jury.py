"""Runs whose only loss is a jury, over HTTP: jurors fail, refuse and garble their replies, one time in ten each."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from runs_over_http import ROOT, comparable_report, database_in, optimize, write_config
from world_server import WorldProcess

from promptprop.adapters.models.offline.task import true_score
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.bootstrap.configuration import open_database
from promptprop.domain.models import Cell, Evaluation
from promptprop.domain.report import Report, spend_json

WORLD = ROOT / "datasets" / "replies.world.yaml"
OPTIONS = {"rounds": 6, "headroom_rows": 10, "evidence_rows": 20}


def replies(folder: Path, api_base: str, jurors: tuple[str, ...], concurrency: int = 8, **changes: Any) -> Path:
    """A run of the replies world at `api_base`, with these jurors as its only metric."""
    model = {"api_base": api_base, "api_key": "loopback", "concurrency": concurrency, "timeout": 30}
    lengths = {"task": 256, "critic": 2048, "rewriter": 2048}
    models: dict[str, Any] = {
        role: {"model": f"openai/{role}", "max_tokens": most, **model} for role, most in lengths.items()
    }
    models["jury"] = [{"name": name, "model": f"openai/juror-{name}", "max_tokens": 256, **model} for name in jurors]
    settings: dict[str, Any] = {
        "name": "replies",
        "task": "Answer the mail of a bicycle hire.",
        "prompt": {"file": str(ROOT / "configs" / "prompts" / "replies.md")},
        "data": {
            "file": str(ROOT / "datasets" / "replies.jsonl"),
            "inputs": ["text"],
            "expected": "reference",
            "id": "id",
            "soft_negatives": "soft_negatives",
            "hard_negatives": "hard_negatives",
        },
        "models": models,
        "metrics": [{"id": "panel", "type": "jury"}],
        "optimizer": {"name": "backprop", "options": OPTIONS},
    }
    return write_config(folder, api_base, **{**settings, **changes})


async def test_a_jury_of_two_that_fails_refuses_and_garbles_still_improves_written_replies(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    with WorldProcess(WORLD) as world:
        report = await optimize(replies(tmp_path, world.url, ("strict-flaky", "kind-flaky")), database)
        stats = world.stats()
    assert report.verdict == "better"
    assert report.delta is not None
    assert report.delta.low > 0.1
    simulated = load_world(WORLD)
    seed, winner = (report.candidates[one.id].text for one in (report.seed, report.winner))
    assert true_score(simulated, winner) > true_score(simulated, seed) + 0.15, "by the rules, and not by the jury alone"
    judged = seed_evaluations(database, report)
    votes = [votes_on(one) for one in judged]
    silent = sum(vote is None for given in votes for vote in given) / sum(map(len, votes))
    assert 0.05 < silent < 0.3, "some votes are missing"
    for one, given in zip(judged, votes, strict=True):
        cast = [vote for vote in given if vote is not None]
        if one.score is not None and cast:
            assert one.judgements["panel"].score == pytest.approx(statistics.median(cast)), "and count as no zero"
    assert any(None in given and one.score is not None for one, given in zip(judged, votes, strict=True))
    roles = spend_json(report.history)["roles"]
    asked = {model: count for model, count in stats["models"].items() if model.startswith("juror-")}
    assert roles["juror"]["calls"] == sum(asked.values())
    assert len(asked) == 2


def seed_evaluations(database: str, report: Report) -> list[Evaluation]:
    """What is stored of the seed's answers."""
    store = open_database(database, must_exist=True)
    try:
        run = store.run(report.run_id)
        cells = [Cell(report.candidates[report.seed.id], row.id) for row in store.rows(run.dataset_id)]
        return [one for one in store.find_evaluations(run.id, cells, str(run.snapshot["scorer"]), 0) if one]
    finally:
        store.close()


def votes_on(evaluation: Evaluation) -> list[float | None]:
    """The votes on an answer, None where a juror had none."""
    return [word.score for name, word in evaluation.judgements.items() if name.startswith("panel/")]


async def test_a_run_with_a_jury_is_the_same_whatever_latency_and_concurrency(tmp_path: Path) -> None:
    told = []
    for number, (latency, concurrency) in enumerate((((0.0, 0.0), 1), ((0.0, 0.01), 16))):
        folder = tmp_path / str(number)
        folder.mkdir()
        with WorldProcess(WORLD, latency=latency, seed=number) as world:
            config = replies(
                folder,
                world.url,
                ("strict-flaky", "kind", "noisy"),
                concurrency,
                metrics=[{"id": "panel", "type": "jury", "cascade": {"line": 0.6, "near": 0.2}}],
                optimizer={"name": "backprop", "options": {**OPTIONS, "rounds": 2}},
            )
            told.append(json.loads(comparable_report(await optimize(config, database_in(folder)))))
    assert told[0] == told[1]
    assert told[0]["spend"]
