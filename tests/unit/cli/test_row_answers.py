"""`eval --row`: only these rows, with all that was asked and said, in every format."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest


def test_a_row_is_shown_with_what_was_asked_expected_answered_and_scored(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("eval", "small.yaml", "--row", "s001")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("row s001\nasked (user)\n  You work in the customer service")
    for said in ("We resell your mugs", "\nanswered\n  sales\n", "expected  sales", "score     1.000", "label     1."):
        assert said in ended.out
    assert "all, only s001" in ended.err
    assert not any(line.endswith(" ") for line in ended.out.splitlines())


def test_rows_are_named_in_any_order_and_shown_in_the_order_of_the_data(cli_project: Path, run_cli: Any) -> None:
    document = run_cli("eval", "small.yaml", "--row", "s003", "--row", "s001", "--repeats", "2", "--json").json
    assert [(one["row"], len(one["answers"])) for one in document["answers"]] == [("s001", 2), ("s003", 2)]
    assert document["rows"] == {"train": 0, "select": 2, "confirm": 0, "test": 0}
    assert document["spend"]["total"]["calls"] == 4


def test_many_rows_take_a_line_each(cli_project: Path, run_cli: Any) -> None:
    wanted = [part for number in range(1, 8) for part in ("--row", f"s{number:03}")]
    ended = run_cli("eval", "small.yaml", *wanted, "-q")
    assert ended.out.splitlines()[0].split() == ["row", "score", "expected", "answer"]
    assert ended.out.count("\ns00") == 7
    assert "asked (user)" not in ended.out
    assert "--json" in ended.out
    assert run_cli("eval", "small.yaml", *wanted, "-q", "--format", "md").out.count("\n| `s00") == 7


def test_markdown_holds_the_rows_in_fences(cli_project: Path, run_cli: Any) -> None:
    ended = run_cli("eval", "small.yaml", "--row", "s001", "--format", "md", "-q")
    assert "## Row `s001`\n\nAsked (user):\n\n```text\nYou work" in ended.out
    assert "Expected: `sales`\n\nAnswered:\n\n```text\nsales\n```\n\n- score: 1.000\n" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--row", "s-001"), "there is no row 's-001' in the data"),
        (("--row", "s001", "--row", "zzz"), "there is no row 'zzz' in the data"),
        (("--row", "s001", "--split", "test"), "in the split test"),
    ],
)
def test_a_row_that_is_not_there_is_a_mistake_and_leaves_no_run(
    cli_project: Path, run_cli: Any, arguments: tuple[str, ...], said: str
) -> None:
    ended = run_cli("eval", "small.yaml", *arguments, "--set", "data.split={train: 0.98, select: 0.01, test: 0.01}")
    assert (ended.code, said in ended.err) == (2, True), ended.err
    assert run_cli("runs", "list", "--json").json == []


def test_the_prompt_of_a_revision_can_be_asked(cli_project: Path, run_cli: Any) -> None:
    def git(*arguments: str) -> None:
        author = ("-c", "user.email=a@example.com", "-c", "user.name=a")
        subprocess.run(["git", *author, *arguments], cwd=cli_project, check=True, capture_output=True)

    git("init", "-q")
    git("add", "prompt.md")
    git("commit", "-qm", "first")
    (cli_project / "prompt.md").write_text("Say sales to {{ text }}")
    ended = run_cli("eval", "small.yaml", "--row", "s001", "--prompt", "git:HEAD", "-q")
    assert "  You work in the customer service" in ended.out
    gone = run_cli("eval", "small.yaml", "--row", "s001", "--prompt", "git:nowhere")
    assert (gone.code, "git has no prompt.md at 'nowhere'" in gone.err) == (2, True)
