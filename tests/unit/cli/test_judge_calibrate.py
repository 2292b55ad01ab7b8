"""`judge calibrate`: labels read, votes counted, and a juror under the floor named with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

JURY = (
    "--set", "models.jury=[{name: strict, model: offline/juror-strict}, {name: noisy, model: offline/juror-noisy}]",
    "--set", "metrics=[{id: panel, type: jury}]",
)  # fmt: skip


@pytest.fixture
def labels(cli_project: Path) -> Path:
    """30 messages with an answer each, right or wrong, and what it is worth."""
    rows = [json.loads(line) for line in (cli_project / "support.jsonl").read_text().splitlines()[:30]]
    given = []
    for number, row in enumerate(rows):
        right = number % 2 == 0
        answer = row["label"] if right else ("sales" if row["label"] != "sales" else "billing")
        given.append({**row, "answer": answer, "score": "good" if right else "bad"})
    file = cli_project / "labels.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in given))
    return file


def test_jurors_are_held_against_labels_and_votes_on_record_are_free(labels: Path, run_cli: Any) -> None:
    ended = run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *JURY)
    assert ended.code == 0, ended.err
    assert max(map(len, ended.out.splitlines())) <= 80
    for said in ("30 labelled answers, 2 votes each", "panel", "strict", "noisy", "κ", "flips"):
        assert said in ended.out
    again = run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *JURY, "--json").json
    assert (again["calls"], again["answers"]) == (0, 30)
    assert again["hits"] >= 120
    (jury,) = again["juries"]
    strict = next(one for one in jury["jurors"] if one["name"] == "strict")
    assert strict["kappa"] > 0.8
    assert sum(strict["confusion"].values()) == 30
    listed = run_cli("runs", "list", "--json").json
    assert [run["activity"] for run in listed] == ["calibrate", "calibrate"]


def test_a_juror_under_the_floor_ends_with_one_and_the_way_to_let_it_warn_only(labels: Path, run_cli: Any) -> None:
    ended = run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *JURY, "--floor", "0.999")
    assert ended.code == 1
    assert "is under the floor of 0.999" in ended.out
    assert "warn_only: [" in ended.out


def test_labels_on_a_scale_of_a_hundred_and_bad_ones(labels: Path, run_cli: Any) -> None:
    rows = [json.loads(line) for line in labels.read_text().splitlines()]
    numbers = [{**row, "score": 90 if row["score"] == "good" else 10.5} for row in rows]
    labels.write_text("".join(json.dumps(row) + "\n" for row in numbers))
    found = run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *JURY, "--repeats", "1", "--json")
    assert found.json["juries"][0]["panel"]["error"] < 0.2
    labels.write_text(
        json.dumps({**rows[0], "score": "excellent"}) + "\n" + json.dumps({**rows[1], "score": 101}) + "\n"
    )
    ended = run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *JURY)
    assert ended.code == 2
    assert "row 1: the label 'excellent' is no score" in ended.err
    assert "row 2: the label '101' is no score" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "this configuration has no jury"),
        ((*JURY[:2], "--set", "metrics=[{id: panel, type: jury, rubric: auto}]"), "nothing to calibrate yet"),
        ((*JURY, "--answer", "reply"), "reply"),
    ],
)
def test_what_cannot_be_calibrated_is_said(labels: Path, run_cli: Any, arguments: tuple[str, ...], said: str) -> None:
    ended = run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *arguments)
    assert ended.code == 2
    assert said in ended.err


def test_a_calibration_is_listed_and_taking_it_up_asks_nobody(labels: Path, run_cli: Any) -> None:
    run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *JURY, "--repeats", "1")
    assert "Votes of jurors on labelled answers" in run_cli("runs", "show", "latest").out
    assert run_cli("runs", "resume", "latest").code == 0


def test_a_calibration_that_a_cap_cut_short_cannot_be_taken_up_but_made_again(labels: Path, run_cli: Any) -> None:
    cut = run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *JURY, "--set", "budget.calls=10")
    assert cut.code == 5
    ended = run_cli("runs", "resume", "latest")
    assert ended.code == 2
    assert "is none of a prompt (calibrate)" in ended.err
    again = run_cli("judge", "calibrate", "small.yaml", "--labels", "labels.jsonl", *JURY, "--json").json
    assert again["hits"] >= 10
