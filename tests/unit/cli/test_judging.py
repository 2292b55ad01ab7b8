"""`runs show --jury`, `--rubric` and `--classes`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.storage.store import SqlStore
from promptprop.cli.judging import standing_out
from promptprop.domain.agreement import JurorRecord
from promptprop.domain.models import Evaluation

JURY = (
    "--set", "models.jury=[{name: strict, model: offline/juror-strict}, {name: kind, model: offline/juror-kind}]",
    "--set", "models.manager={model: offline/manager}",
    "--set", "metrics=[{id: panel, type: jury, rubric: auto}]",
)  # fmt: skip


def test_a_run_with_a_jury_shows_its_jurors_and_what_features_came_to(cli_project: Path, run_cli: Any) -> None:
    assert run_cli("optimize", "small.yaml", *JURY, "-q").code in (0, 3)
    shown = run_cli("runs", "show", "latest", "--jury", "--rubric", "--classes")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    for said in ("strict", "kind", "no vote", "label", "with score", "mean over labels"):
        assert said in shown.out
    document = run_cli("runs", "show", "latest", "--jury", "--rubric", "--classes", "--json").json
    assert [one["name"] for one in document["jury"]] == ["strict", "kind"]
    assert document["jury"][0]["bias"] < 0 < document["jury"][1]["bias"]
    assert document["rubric"]["version"] == 1
    assert document["rubric"]["features"][0]["correlation"] > 0
    assert 0 <= document["classes"]["seed"]["macro"]["f1"] <= 1


@pytest.mark.no_cover
def test_what_a_run_has_stored_is_read_once_however_much_is_asked(
    cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_cli("eval", "small.yaml", *JURY, "-q").code == 0
    read: list[tuple[object, ...]] = []
    stored = SqlStore.evaluations

    def counted(store: SqlStore, *asked: str) -> Iterator[Evaluation]:
        read.append(asked)
        return stored(store, *asked)

    monkeypatch.setattr(SqlStore, "evaluations", counted)
    assert run_cli("runs", "show", "latest", "--jury", "--rubric", "--classes").code == 0
    assert len(read) == 2, "once for the groups of rows, and once for all that is asked beside"
    assert run_cli("runs", "show", "latest").code == 0
    assert len(read) == 3


@pytest.mark.no_cover
def test_jurors_that_are_called_after_their_models_are_shown_like_any_other(cli_project: Path, run_cli: Any) -> None:
    nameless = "models.jury=[{model: offline/juror-strict}, {model: offline/juror-kind}]"
    assert run_cli("eval", "small.yaml", *JURY, "--set", nameless, "-q").code == 0
    document = run_cli("runs", "show", "latest", "--jury", "--rubric", "--json").json
    assert [one["name"] for one in document["jury"]] == ["offline/juror-strict", "offline/juror-kind"]
    assert all(one["asked"] > 0 for one in document["jury"])
    assert document["rubric"]["features"][0]["seed"] > 0


def test_without_a_jury_it_says_so_and_labels_are_shown_all_the_same(cli_project: Path, run_cli: Any) -> None:
    assert run_cli("eval", "small.yaml", "-q").code == 0
    shown = run_cli("runs", "show", "latest", "--jury", "--rubric", "--classes")
    assert "No jury has judged in this run." in shown.out
    assert "No rubric was drafted for this run" in shown.out
    assert "security" in shown.out
    plain = run_cli("runs", "show", "latest", "--json").json
    assert "jury" not in plain
    assert plain["rubric"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"flips": 0.4, "repeated": 20}, ["puts 40% of the answers that it judged twice on both sides of the line"]),
        ({"flips": 0.4, "repeated": 5}, []),
        ({"length_bias": 0.5}, ["likes longer answers more than the others do"]),
        ({"length_bias": -0.5}, ["likes shorter answers more than the others do"]),
        ({"order_bias": 0.1, "order_error": 0.02}, ["gives more where it sees the answer before what is expected"]),
        ({"order_bias": -0.1, "order_error": 0.02}, ["gives less where it sees the answer before what is expected"]),
        ({"order_bias": 0.1, "order_error": 0.05}, []),
        ({"missing": 40}, ["had no vote on 40% of the answers"]),
    ],
)
def test_what_stands_out_of_a_juror_is_said(changes: dict[str, Any], said: list[str]) -> None:
    record = JurorRecord(**{"name": "a", "asked": 100, "missing": 0, "mean": 0.5, **changes})
    assert standing_out(record) == said
