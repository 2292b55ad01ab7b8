"""What a server takes from a file, from the environment and from flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptprop.adapters.files.serve_file import load_serve_file
from promptprop.domain.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "server.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


def test_without_a_file_the_defaults_hold() -> None:
    assert load_serve_file(None).serve.limits.runs == 20


def test_of_a_runs_configuration_only_what_concerns_a_server_is_read(tmp_path: Path) -> None:
    text = "task: 5\nnonsense: true\nserve: {limits: {runs: 3}}\ndatabase: {url: sqlite:///x.db}\n"
    found = load_serve_file(written(tmp_path, text))
    assert (found.serve.limits.runs, found.database.url) == (3, "sqlite:///x.db")


def test_a_mistake_is_told_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_serve_file(written(tmp_path, "serve:\n  limits:\n    rnus: 3\n"))
    [problem] = caught.value.problems
    assert problem.place is not None
    assert (problem.place.line, problem.place.column) == (3, 5)
    assert "runs" in problem.remedy


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTPROP_SERVE__LIMITS__RUNS", "9")
    monkeypatch.setenv("PROMPTPROP_BUDGET__CALLS", "4")  # concerns runs, and is none of a server's
    assert load_serve_file(written(tmp_path, "serve: {limits: {runs: 3}}")).serve.limits.runs == 9


def test_flags_join_the_lists_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "serve: {origins: [https://a.example], hosts: [a.example]}")
    found = load_serve_file(path, more={"origins": ["http://b.example:80"], "hosts": []}).serve
    assert (found.origins, found.hosts) == (("https://a.example", "http://b.example"), ("a.example",))


def test_a_flag_that_is_no_origin_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load_serve_file(None, more={"origins": ["*"]})
    assert "--allow-origin" in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_serve_file(tmp_path / "absent.yaml")
