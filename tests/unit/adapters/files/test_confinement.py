"""Paths that a request names: files of the project, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.confinement import confine


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with data, secrets, and links to inside and outside."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / ".promptprop").mkdir()
    (folder / "data" / "rows.jsonl").write_text("{}\n")
    (folder / "data" / ".hidden").write_text("secret")
    (folder / ".env").write_text("KEY=secret")
    (folder / ".promptprop" / "promptprop.db").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    (folder / "inner.jsonl").symlink_to("data/rows.jsonl")
    (folder / "outer.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "env.txt").symlink_to(".env")
    (folder / "db.txt").symlink_to(".promptprop/promptprop.db")
    (folder / "round.txt").symlink_to("round.txt")
    return folder


@pytest.mark.parametrize("text", ["data/rows.jsonl", "./data/rows.jsonl", "inner.jsonl", "data//rows.jsonl"])
def test_a_file_of_the_project_is_found_and_links_inside_are_followed(project: Path, text: str) -> None:
    assert confine(text, project) == (project / "data" / "rows.jsonl").resolve()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "..",
        "../outside.txt",
        "data/../../outside.txt",
        "data/../data/rows.jsonl",
        "/etc/passwd",
        "//etc/passwd",
        "~/.ssh/id_rsa",
        "~root/x",
        ".env",
        "./.env",
        "data/.hidden",
        ".promptprop/promptprop.db",
        ".git/config",
        "outer.txt",
        "up/outside.txt",
        "up/project/data/rows.jsonl/..",
        "env.txt",
        "db.txt",
        "round.txt",
        "data",
        "data/",
        "data/rows.jsonl/x",
        "data/rows.jsonl\x00.txt",
        "data/rows.jsonl\n",
        "data\\rows.jsonl",
        "..\\outside.txt",
        "C:rows.jsonl",
        "C:\\rows.jsonl",
        "\\\\host\\share\\x",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "%2e%2e/outside.txt",
        "..%2foutside.txt",
        "．．/outside.txt",
        "x" * 300,
        "x" * 5000,
        "x/" * 400,
        "missing.jsonl",
    ],
)
def test_anything_else_is_refused(project: Path, text: str) -> None:
    assert isinstance(confine(text, project), str)


def test_a_pipe_is_no_file(project: Path) -> None:
    os.mkfifo(project / "pipe")
    assert isinstance(confine("pipe", project), str)


def test_what_is_said_does_not_tell_whether_a_file_outside_exists(project: Path) -> None:
    assert confine("../outside.txt", project) == confine("../missing.txt", project)
    assert confine("/etc/passwd", project) == confine("/etc/missing", project)
    assert confine("up/outside.txt", project) == confine("up/missing.txt", project)


def test_a_project_below_a_link_and_a_hidden_folder_is_a_project(project: Path, tmp_path: Path) -> None:
    hidden = tmp_path / ".work"
    hidden.symlink_to(project)
    assert confine("data/rows.jsonl", hidden) == (project / "data" / "rows.jsonl").resolve()


@given(
    st.lists(st.sampled_from(["..", ".", "/", "data", "up", "outer.txt", "rows.jsonl", ".env", "\\", "~"]), max_size=8)
)
def test_no_combination_leads_out(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    base = tmp_path_factory.getbasetemp() / "combined"
    folder = base / "project"
    if not folder.exists():
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "rows.jsonl").write_text("{}")
        (folder / ".env").write_text("secret")
        (base / "outside.txt").write_text("secret")
        (folder / "outer.txt").symlink_to(base / "outside.txt")
        (folder / "up").symlink_to(base)
    for text in ("/".join(parts), "".join(parts)):
        found = confine(text, folder)
        assert isinstance(found, str) or found == (folder / "data" / "rows.jsonl").resolve()
