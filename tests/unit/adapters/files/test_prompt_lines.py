"""A line of a prompt is found again in its file, which has the name that its repository gives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptprop.adapters.files.prompt_lines import in_repository, lines_in_file


def test_a_plain_file_has_the_lines_of_its_prompt() -> None:
    assert lines_in_file(["a", "", "b"], "a\n\nb\n") == [1, 2, 3]


def test_lines_are_found_behind_headings_and_inside_of_documents() -> None:
    held = "### system\n\nBe kind.\n\n\n### user\n\n{{ x }}\n"
    assert lines_in_file(["### system", "Be kind.", "", "### user", "{{ x }}"], held) == [1, 3, 4, 6, 8]
    held = "version: 1\nprompt:\n  text: |\n    Be kind.\n    Say {{ x }}\n"
    assert lines_in_file(["Be kind.", "Say {{ x }}"], held) == [4, 5]


def test_a_line_that_is_not_found_stands_at_the_one_before_it() -> None:
    assert lines_in_file(["a", "joined", "b"], "x\na\nb\n") == [2, 2, 3]
    assert lines_in_file(["first", "a"], "x\na\n") == [2, 2]


def test_where_the_file_holds_none_of_them_there_is_no_place() -> None:
    assert lines_in_file(["Be kind.", ""], 'prompt: "Be\\nkind"\n\n') == [0, 0]


def test_a_file_is_called_what_its_repository_calls_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "repository" / "prompts"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert in_repository(folder / "a.md") == "a.md"
    assert in_repository(tmp_path / "b.md") == (tmp_path / "b.md").as_posix()
    (tmp_path / "repository" / ".git").write_text("gitdir: elsewhere\n")
    assert in_repository("a.md") == "prompts/a.md"
