"""`eval`: scores by tag and cluster, and how many rows flip, in every format and in `runs show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TAGS = "data.tags=tags"


def test_tags_are_shown_worst_first_and_no_more_than_a_screen_holds(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("eval", "small.yaml", "--set", TAGS, "-q")
    assert ended.code == 0, ended.err
    head, *rows = ended.out.partition("\ntag ")[2].splitlines()
    assert head.split() == ["score", "rows", "missing"]
    assert rows[:9] == [*rows[:8], "… and 20 more tags; `--by tag` shows more, --json tells all"]
    bounds = [float(row.partition(", ")[2].partition("]")[0]) for row in rows[:8]]
    assert bounds == sorted(bounds)
    assert "flip" not in ended.out


def test_rows_without_tags_say_nothing_of_them_unless_asked(cli_project: Path, run_cli: Any) -> None:
    assert "tag" not in run_cli("eval", "small.yaml", "-q").out
    asked = run_cli("runs", "show", "latest", "--by", "tag,cluster")
    assert "no row has a tag" in asked.out
    assert "\ncluster  score" in asked.out
    assert "… and 218 more clusters; --json tells all" in asked.out


@pytest.mark.no_cover
def test_repeats_tell_how_many_rows_flip_and_json_tells_every_group(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("eval", "small.yaml", "--repeats", "2", "--set", TAGS, "--json")
    (found,) = ended.json["breakdown"]
    assert found["repeated_rows"] == 265
    assert found["flip_rate"] == found["flipping_rows"] / 265 > 0
    assert found["differing_rows"] >= found["flipping_rows"]
    assert (len(found["tags"]), len(found["clusters"])) == (28, 238)
    assert {"name", "score", "rows", "missing", "flipping_rows"} <= set(found["tags"][0])
    (scored,) = ended.json["candidates"]
    assert scored["scores"]["all"]["n"] == 265
    shown = run_cli("runs", "show", "latest")
    assert f"noise   {found['flipping_rows']} of 265 rows" in shown.out
    markdown = run_cli("runs", "show", "latest", "--format", "md", "--by", "cluster").out
    assert "## By cluster, `" in markdown
    assert "And 208 more." in markdown
    assert f"Noise: {found['flipping_rows']} of 265 rows" in markdown


@pytest.mark.no_cover
def test_several_prompts_have_a_table_each(cli_project: Path, run_cli: Any) -> None:
    (cli_project / "other.md").write_text("Be brief.\n\n{{ text }}")
    ended = run_cli("eval", "small.yaml", "--set", TAGS, "--set", "prompt=[{file: prompt.md}, {file: other.md}]")
    first, second = (one["candidate"] for one in run_cli("runs", "show", "latest", "--json").json["breakdown"])
    assert f"\ntag of {first[:8]}" in ended.out
    assert f"\ntag of {second[:8]}" in ended.out


def test_a_kind_of_group_that_is_none_is_refused_before_anything_runs(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("eval", "small.yaml", "--by", "tag,label")
    assert (ended.code, "--by 'label' is not known" in ended.err) == (2, True)
    assert run_cli("runs", "list", "--json").json == []
