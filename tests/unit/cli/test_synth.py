"""`data synth` and `data review`: rows invented, looked at by a person, and data only then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SYNTH = ("data", "synth", "small.yaml", "--set", "models.synthesizer={model: offline/synthesizer}")
REVIEW = ("data", "review", "small.yaml")


@pytest.fixture
def reviewed(cli_project: Path, run_cli: Any) -> list[str]:
    """Ids of six invented rows that wait for review."""
    assert run_cli(*SYNTH, "--rows", "6", "-q").code == 0
    return [one["row"]["id"] for one in run_cli(*REVIEW, "--json").json["rows"]]


def test_rows_are_invented_into_a_file_beside_the_data_and_nothing_uses_them(cli_project: Path, run_cli: Any) -> None:
    before = (cli_project / "support.jsonl").read_bytes()
    ended = run_cli(*SYNTH, "--rows", "8")
    assert ended.code == 0, ended.err
    assert "asking offline/synthesizer (simulated: it builds rows out of yours)" in ended.err
    assert "for 8 rows, in at most 16 calls" in ended.err
    assert "8 rows for review in" in ended.out
    assert "next: promptprop data review small.yaml" in ended.out
    rows = [json.loads(line) for line in (cli_project / "support.review.jsonl").read_text().splitlines()]
    assert {row["review"] for row in rows} == {"pending"}
    assert {"edge", "adversarial"} <= {row["kind"] for row in rows} <= {"edge", "adversarial", "rare"}
    assert all(set(row["row"]) >= {"id", "text", "label", "customer"} for row in rows)
    assert (cli_project / "support.jsonl").read_bytes() == before
    assert "265 rows" in run_cli("validate", "small.yaml").out


def test_sealed_rows_are_not_shown_to_the_model(cli_project: Path, run_cli: Any) -> None:
    document = run_cli(*SYNTH, "--rows", "30", "--json").json
    splits = run_cli("data", "split", "small.yaml", "--json").json["splits"]
    texts = {
        row["text"]: row["id"] for row in map(json.loads, (cli_project / "support.jsonl").read_text().splitlines())
    }
    quoted = {
        splits[row_id] for one in document["rows"] for text, row_id in texts.items() if text in one["row"]["text"]
    }
    assert quoted == {"train"}


def test_the_same_again_is_free_and_a_second_time_brings_other_rows(cli_project: Path, run_cli: Any) -> None:
    first = run_cli(*SYNTH, "--rows", "5", "--json").json
    again = run_cli(*SYNTH, "--rows", "5", "--json", "--to", "other.jsonl").json
    assert first["calls"] > 0 == again["calls"]
    assert again["rows"] == first["rows"]
    more = run_cli(*SYNTH, "--rows", "5", "--json").json
    assert more["calls"] > 0
    texts = [
        json.loads(line)["row"]["text"] for line in (cli_project / "support.review.jsonl").read_text().splitlines()
    ]
    assert len(set(texts)) == 10
    runs = run_cli("runs", "list", "--json").json
    assert {run["activity"] for run in runs} == {"synthesize"}
    assert "Rows that a model invented" in run_cli("runs", "show", "latest").out


def test_data_with_a_column_of_splits_and_tags_gets_rows_for_train(cli_project: Path, run_cli: Any) -> None:
    rows = [json.loads(line) for line in (cli_project / "support.jsonl").read_text().splitlines()]
    names = ("train", "select", "test")
    lines = [json.dumps({**row, "part": names[place % 3]}) + "\n" for place, row in enumerate(rows)]
    (cli_project / "support.jsonl").write_text("".join(lines))
    columns = ("--set", "data.split={column: part}", "--set", "data.tags=tags")
    found = run_cli(*SYNTH, *columns, "--rows", "3", "--kind", "rare", "--json").json["rows"]
    assert [(one["row"]["part"], one["row"]["tags"]) for one in found] == [("train", ["synthetic", "rare"])] * 3
    assert run_cli(*REVIEW, *columns, "--accept", found[0]["row"]["id"], "--to", "support.jsonl").code == 0
    assert "266 rows" in run_cli("validate", "small.yaml", *columns).out


def test_columns_with_blanks_and_dots_are_written_as_the_data_has_them(cli_project: Path, run_cli: Any) -> None:
    rows = [json.loads(line) for line in (cli_project / "support.jsonl").read_text().splitlines()]
    lines = [json.dumps({**row, "The message": row["text"], "meta": {"from": row["customer"]}}) + "\n" for row in rows]
    (cli_project / "support.jsonl").write_text("".join(lines))
    (cli_project / "prompt.md").write_text("Name the desk.\n\n{{ The_message }} {{ meta.from }}\n")
    columns = ("--set", "data.inputs=[The message, meta.from]")
    found = run_cli(*SYNTH, *columns, "--rows", "2", "--json").json["rows"]
    assert all({"The message", "meta.from"} < set(one["row"]) for one in found)
    ids = ",".join(one["row"]["id"] for one in found)
    assert run_cli(*REVIEW, *columns, "--accept", ids, "--to", "support.jsonl").code == 0
    assert "267 rows" in run_cli("validate", "small.yaml", *columns).out
    assert run_cli("data", "split", "small.yaml", *columns, "--to", "splits").code == 0
    apart = "data.files={train: splits/train.jsonl, select: splits/select.jsonl, test: splits/test.jsonl}"
    config = (cli_project / "small.yaml").read_text().replace("file: support.jsonl, ", "")
    (cli_project / "apart.yaml").write_text(config)
    assert "267 rows" in run_cli("validate", "apart.yaml", *columns, "--set", apart).out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--kind", "odd"), 2, "there is no kind 'odd' of rows"),
        (("--kind", "rare", "--set", "data.expected=text"), 2, "no label is rare"),
        (("--set", "models.synthesizer={model: openai/x}"), 2, "OPENAI_API_KEY"),
        (("--max-calls", "1", "--rows", "20"), 5, "the calls cap leaves no room"),
        (("--rows", "0"), 2, "0"),
        (("--set", "models.synthesizer={model: offline/task}"), 4, "no row could be used: no JSON object"),
        (("--to", "nowhere/x.jsonl"), 2, "there is no folder nowhere"),
        (("--to", "small.yaml"), 2, "small.yaml is no review file"),
    ],
)
def test_what_cannot_be_ends_with_its_code_and_a_reason(
    cli_project: Path, run_cli: Any, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = run_cli(*SYNTH, *arguments)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert not (cli_project / "support.review.jsonl").exists()


def test_decisions_are_kept_and_accepted_rows_become_data_once(
    cli_project: Path, run_cli: Any, reviewed: list[str]
) -> None:
    first, second, third, *_ = reviewed
    ended = run_cli(*REVIEW, "--accept", f"{first},{second}", "--reject", third)
    assert "3 pending, 2 accepted, 1 rejected" in ended.out
    assert "accepted rows become data with --to" in ended.out
    assert "2 rows added to support.jsonl" in run_cli(*REVIEW, "--to", "support.jsonl").out
    assert "0 rows added to support.jsonl" in run_cli(*REVIEW, "--to", "support.jsonl").out
    assert "267 rows" in run_cli("validate", "small.yaml").out
    added = [json.loads(line)["id"] for line in (cli_project / "support.jsonl").read_text().splitlines()[-2:]]
    assert added == [first, second]
    assert run_cli(*REVIEW, "--json").json["counts"] == {"pending": 3, "accepted": 2, "rejected": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--accept", "nobody"), "no row of the review is called nobody"),
        (("--file", "absent.jsonl"), "there is no absent.jsonl"),
        (("--to", "support.csv"), "rows are added to JSON Lines"),
        ((), "a review needs a person at a terminal"),
    ],
)
def test_a_review_that_cannot_be_is_refused_and_changes_nothing(
    cli_project: Path, run_cli: Any, reviewed: list[str], arguments: tuple[str, ...], said: str
) -> None:
    before = (cli_project / "support.review.jsonl").read_bytes()
    ended = run_cli(*REVIEW, *arguments)
    assert ended.code == 2
    assert said in ended.err
    both = run_cli(*REVIEW, "--accept", reviewed[0], "--reject", reviewed[0])
    assert (both.code, f"{reviewed[0]} is accepted and rejected" in both.err) == (2, True)
    assert (cli_project / "support.review.jsonl").read_bytes() == before


def test_an_accepted_row_that_is_none_of_the_dataset_is_refused_before_anything_is_added(
    cli_project: Path, run_cli: Any, reviewed: list[str]
) -> None:
    file = cli_project / "support.review.jsonl"
    file.write_text(file.read_text().replace('"text": ', '"txt": ', 1))
    before = (cli_project / "support.jsonl").read_bytes()
    ended = run_cli(*REVIEW, "--accept", ",".join(reviewed), "--to", "support.jsonl")
    assert ended.code == 2
    assert "the column 'text' is missing" in ended.err
    assert (cli_project / "support.jsonl").read_bytes() == before
