"""What lint looks at: files of any kind, configurations, and what it writes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptprop.bootstrap.linting import Located, lint
from promptprop.domain.errors import ConfigError, UsageError

Load = Callable[..., Any]
NONE: frozenset[str] = frozenset()


def found_in(path: Path, *sets: str, fix: bool = False) -> list[Located]:
    return lint(path, sets, None, NONE, fix=fix)


def ids(path: Path) -> list[str]:
    return [one.rule.id for one in found_in(path)]


@pytest.mark.parametrize(
    ("name", "contents", "said"),
    [
        ("empty.md", b"", "the prompt is empty"),
        ("blank.md", b" \n\n", "the prompt is empty"),
        ("latin.md", b"caf\xe9 {{ text }}", "latin.md:1:4: not UTF-8"),
        ("packed.yaml", b"\x1f\x8b\x00\xff", "not UTF-8"),
        ("large.md", b"a" * 5_000_001, "larger than 5 MB"),
        ("empty.yaml", b"", "expected a list of messages"),
        ("odd.json", b"[", "not valid JSON"),
    ],
)
def test_what_is_no_prompt_is_refused_at_its_place(project: Path, name: str, contents: bytes, said: str) -> None:
    (project / name).write_bytes(contents)
    with pytest.raises(ConfigError, match=said) as caught:
        found_in(project / name)
    assert name in str(caught.value)


def test_what_is_not_there_or_no_file_is_refused_with_a_remedy(project: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as caught:
        found_in(project / "promt.md")
    assert caught.value.problems[0].remedy == f"did you mean {project / 'prompt.md'}?"
    with pytest.raises(ConfigError, match="this is a folder") as caught:
        found_in(project)
    assert caught.value.problems[0].remedy


def test_line_ends_of_windows_change_no_finding_and_stay(project: Path) -> None:
    text = "Answer in JSON.  \n\n\n\n\nText:\n{{ text }}\n"
    (project / "unix.md").write_bytes(text.encode())
    (project / "windows.md").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    both = [found_in(project / name) for name in ("unix.md", "windows.md")]
    places = [[(one.rule.id, one.line, one.column) for one in found] for found in both]
    assert places[0] == places[1] == [("PP012", 1, 16), ("PP012", 1, 18)]
    assert found_in(project / "windows.md", fix=True) == []
    assert (project / "windows.md").read_bytes() == b"Answer in JSON.\r\n\r\n\r\nText:\r\n{{ text }}\r\n"


def test_a_configuration_is_known_by_its_keys_in_any_layout(load_changed: Load, project: Path) -> None:
    config = load_changed().config.snapshot()
    load_changed(prompt="Answer in JSON.\n\nText:\n{{ text }} {{ nope }}")
    block = ids(project / "desks.yaml")
    assert "PP001" in block
    (project / "flow.yaml").write_text(json.dumps({**config, "prompt": "Answer in JSON to {{ text }} {{ nope }}"}))
    (project / "flow.json").write_text((project / "flow.yaml").read_text())
    for name in ("flow.yaml", "flow.json"):
        assert "PP001" in ids(project / name)


def test_without_labels_or_expected_answers_prompts_are_checked_all_the_same(load_changed: Load, project: Path) -> None:
    load_changed(**{"data.expected": ..., "metrics": [{"id": "size", "type": "length", "most": 3}]})
    assert "PP006" not in ids(project / "desks.yaml")


def test_a_literal_prompt_has_no_placeholders(load_changed: Load, project: Path) -> None:
    load_changed(prompt={"text": "Answer in JSON like {{ so }}", "literal": True})
    assert "PP001" not in ids(project / "desks.yaml")


def test_without_a_prompt_yet_it_says_what_can_be_checked_later(load_changed: Load, project: Path) -> None:
    load_changed(prompt=..., from_scratch=True)
    with pytest.raises(ConfigError, match="no prompt yet") as caught:
        found_in(project / "desks.yaml")
    assert "prompts export" in caught.value.problems[0].remedy


def test_settings_are_those_of_a_configuration(load_changed: Load, project: Path) -> None:
    with pytest.raises(UsageError, match="--set changes a configuration"):
        found_in(project / "prompt.md", "seed=1")
    load_changed()
    assert [one.rule.id for one in found_in(project / "desks.yaml", "prompt=TODO {{ text }}")].count("PP013") == 1
