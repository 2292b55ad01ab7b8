"""`data validate` and `data split`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def add_rows(folder: Path, *rows: dict[str, Any]) -> None:
    with (folder / "support.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_good_data_ends_with_zero(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("data", "validate", "small.yaml")
    assert (ended.code, ended.out) == (0, "265 rows, nothing found\n")


def test_findings_name_rows_and_remedies_and_end_with_one(cli_project: Path, run_cli: Any) -> None:
    first = json.loads((cli_project / "support.jsonl").read_text().splitlines()[0])
    other = "sales" if first["label"] != "sales" else "billing"
    add_rows(cli_project, {**first, "id": "x1", "label": other}, {**first, "id": "x2"})
    ended = run_cli("data", "validate", "small.yaml")
    assert ended.code == 1
    assert "PD001 1 inputs come with different expected answers (contradiction)" in ended.out
    assert f"{first['id']}; x1; x2" in ended.out
    assert "→ decide which answer is right" in ended.out
    assert run_cli("data", "validate", "small.yaml", "--exit-zero").code == 0
    (found,) = [
        one for one in run_cli("data", "validate", "small.yaml", "--json").json["findings"] if one["id"] == "PD001"
    ]
    assert (found["severity"], found["count"]) == ("error", 3)


def test_findings_are_annotations_for_github_where_asked(cli_project: Path, run_cli: Any) -> None:
    first = json.loads((cli_project / "support.jsonl").read_text().splitlines()[0])
    add_rows(cli_project, {**first, "id": "x1", "label": "sales" if first["label"] != "sales" else "billing"})
    ended = run_cli("data", "validate", "small.yaml", "--format", "github")
    assert ended.code == 1
    said = f"title=PD001 contradiction::1 inputs come with different expected answers: {first['id']}; x1"
    assert ended.out == f"::error file={cli_project / 'support.jsonl'},{said}\n"
    assert run_cli("data", "validate", "small.yaml", "--format", "md").code == 2


def test_labels_that_a_run_suspected_are_named(cli_project: Path, run_cli: Any) -> None:
    assert run_cli("optimize", "small.yaml", "-q", "--set", "optimizer.options.rounds=12").code in (0, 3)
    suspects = run_cli("runs", "show", "latest", "--json").json["suspect_labels"]
    ended = run_cli("data", "validate", "small.yaml", "--json")
    found = [one for one in ended.json["findings"] if one["id"] == "PD006"]
    assert bool(found) == bool(suspects)
    if suspects:
        assert set(found[0]["rows"]) <= set(suspects)


def test_splits_are_those_of_a_run_and_can_be_written_apart(cli_project: Path, run_cli: Any) -> None:
    document = run_cli("data", "split", "small.yaml", "--json").json
    assert sum(document["counts"].values()) == 265 == len(document["splits"])
    ended = run_cli("data", "split", "small.yaml", "--to", "splits")
    assert ended.code == 0
    assert max(map(len, ended.out.splitlines())) <= 80
    read = {
        name: [json.loads(line) for line in (cli_project / "splits" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "select", "test")
    }
    assert {row["id"]: name for name, rows in read.items() for row in rows} == document["splits"]
    assert {"id", "text", "label"} <= set(read["test"][0])
    files = "files: {train: splits/train.jsonl, select: splits/select.jsonl, test: splits/test.jsonl}"
    (cli_project / "apart.yaml").write_text(
        (cli_project / "small.yaml").read_text().replace("file: support.jsonl", files)
    )
    again = run_cli("data", "split", "apart.yaml", "--json")
    assert again.code == 0, again.out
    assert again.json["splits"] == document["splits"]


def test_rows_of_other_tools_become_a_dataset_that_runs(cli_project: Path, run_cli: Any) -> None:
    lines = [json.loads(line) for line in (cli_project / "support.jsonl").read_text().splitlines()]
    samples = [{"input": [{"role": "user", "content": row["text"]}], "ideal": row["label"]} for row in lines]
    (cli_project / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in samples))
    ended = run_cli("data", "import", "samples.jsonl", "-o", "rows.jsonl")
    assert ended.code == 0
    assert "265 rows of openai-evals" in ended.err
    (said,) = [line for line in ended.err.splitlines() if line.startswith("data: ")]
    assert said == "data: {file: rows.jsonl, inputs: [input], id: id, expected: expected}"
    config = (cli_project / "small.yaml").read_text()
    old = next(line for line in config.splitlines() if line.startswith("data:"))
    (cli_project / "imported.yaml").write_text(
        config.replace(old, said).replace("{file: prompt.md}", "'Sort {{ input }}'")
    )
    assert run_cli("validate", "imported.yaml").code == 0


def test_what_is_imported_is_told_so_that_a_configuration_can_take_it(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "rows.csv").write_text('"a: b",null,id,Split,label\n1,2,7,3,x\n1,2,8,3,\n')
    ended = run_cli("data", "import", "rows.csv", "-o", "my rows, all.jsonl")
    assert ended.err.splitlines() == [
        "2 rows of csv",
        "expected is missing in 1 of 2 rows: fill it in, or drop them",
        "left out: the column id, 2 times",
        'data: {file: "my rows, all.jsonl", inputs: ["a: b", "null", Split], id: id, expected: expected}',
    ]
    (cli_project / "tests.yaml").write_text("tests: [{vars: {q: a, split: odd}}]")
    ended = run_cli("data", "import", "tests.yaml")
    assert "renamed: the input split is input_split here" in ended.err
    document = run_cli("data", "import", "tests.yaml", "--json").json
    assert (document["renamed"], document["gaps"]) == ({"split": "input_split"}, {})


def test_what_cannot_be_imported_is_said(cli_project: Path, run_cli: Any) -> None:
    for source, said in (
        ("nowhere", "no such file"),
        ("prompt.md", "cannot be told by its looks"),
        (".", "save_to_disk"),
    ):
        ended = run_cli("data", "import", source)
        assert ended.code == 2
        assert said in ended.err
    assert "one of hf, promptfoo" in run_cli("data", "import", "prompt.md", "--as", "excel").err
    assert run_cli("data", "import", "support.jsonl", "--as", "openai-evals").code == 2
