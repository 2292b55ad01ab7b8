"""The strict YAML loader: nothing is mangled, everything odd is refused at its place, nothing else is raised."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.yaml_strict import MAX_BYTES, Node, parse_yaml, read_yaml
from promptprop.domain.errors import ConfigError, Problem

WHOLE_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WHOLE_TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WHOLE_TEXTS, inner, max_size=4),
    max_leaves=12,
)


class QuotingDumper(yaml.SafeDumper):
    """Block style, with quotes around every text and no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def refused(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "x.yaml")
    return caught.value.problems


def same(left: object, right: object) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


@given(VALUES)
def test_any_json_value_survives_the_way_through_yaml(value: object) -> None:
    assert same(parse_yaml(json.dumps(value), "x").plain(), value)
    assert same(parse_yaml(json.dumps(value, indent=1), "x").plain(), value)
    assert same(parse_yaml(yaml.dump(value, Dumper=QuotingDumper, width=4096), "x").plain(), value)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), WHOLE_TEXTS | st.integers(), max_size=5))
def test_a_block_map_of_quoted_texts_and_numbers_survives(value: dict[str, str | int]) -> None:
    text = "\n".join(f"{key}: {json.dumps(below)}" for key, below in value.items())
    assert parse_yaml(text or "{}", "x").plain() == value


@given(st.text(max_size=200) | st.text("{}[]:,-#&*!|>'\"%@` \n\ta1<\\?", max_size=60))
def test_random_text_raises_nothing_but_a_config_error(text: str) -> None:
    try:
        root = parse_yaml(text, "x")
    except ConfigError as error:
        problems = error.problems
    else:
        problems = ()
        json.dumps(root.plain(), allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert all(problem.message for problem in problems)


@pytest.mark.parametrize(
    "text", ["no", "yes", "on", "off", "010", "1_000", "0x1F", "12:30:00", "2024-01-01", ".inf", "1e999"]
)
def test_what_yaml_1_1_would_mangle_stays_a_text(text: str) -> None:
    assert parse_yaml(f"key: {text}", "x").plain() == {"key": text}


def test_numbers_flags_and_nulls_are_read_as_such() -> None:
    root = parse_yaml("[1e-3, .5, -7, +2, 1.10, true, FALSE, null, ~, ]", "x")
    assert root.plain() == [1e-3, 0.5, -7, 2, 1.1, True, False, None, None]
    assert root.items[4].text == "1.10"
    assert math.copysign(1, parse_yaml("-0.0", "x").plain()) == -1


def test_a_surrogate_pair_as_json_writes_it_is_one_character() -> None:
    assert parse_yaml(r'"\ud83d\ude00"', "x").plain() == "😀"


def test_every_node_knows_its_line_and_column() -> None:
    root = parse_yaml("a:\n  - b: 1\n", "x.yaml")
    place = root.entries["a"].items[0].entries["b"].place
    assert (place.file, place.line, place.column, place.source) == ("x.yaml", 2, 8, "  - b: 1")
    assert root.entries["a"].items[0].keys["b"].column == 5


def test_a_duplicate_key_is_refused_with_its_line_and_the_first_one() -> None:
    (problem,) = refused("a: 1\nb: 2\na: 3\n")
    assert problem.place is not None
    assert (problem.place.line, problem.place.column) == (3, 1)
    assert "line 1" in problem.message
    assert problem.place.caret() == "    a: 3\n    ^"


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("a: &x 1", "anchors", 1),
        ("a: &x 1\nb: *x", "aliases", 2),
        ("a: !!python/object:os.system 1", "tags", 1),
        ("b: 1\na: !mine {}", "tags", 2),
        ("<<: {a: 1}", "merge keys", 1),
        ("a:\n\t- b", "a tab", 2),
        ("--- 1\n--- 2", "a second document", 2),
        ("a: b: c", "': '", 1),
        ("a: {{ b }}", "a key must be a text", 1),
        ("ok: 1\na: {b: ${env:X}}", "a reference inside", 2),
        ("a: [1,\n  2", "flow sequence", 1),
        ('a: "\\ud800"', "half a character", 1),
        ("ok: 1\na: \x07", "U+0007", 2),
    ],
)
def test_what_is_not_supported_is_refused_at_its_line(text: str, words: str, line: int) -> None:
    problems = refused(text)
    hits = [problem for problem in problems if words in problem.message]
    assert hits
    assert hits[0].place is not None
    assert hits[0].place.line == line


def test_all_problems_are_reported_at_once() -> None:
    assert len(refused("a: &x 1\na: !t 2\nb: *x\n")) == 4


def test_forty_levels_are_accepted_and_one_more_is_refused() -> None:
    assert isinstance(parse_yaml("[" * 40 + "]" * 40, "x"), Node)
    assert "40 levels" in refused("[" * 41 + "]" * 41)[0].message
    assert "40 levels" in refused("[" * 50_000)[0].message


def test_bad_utf_8_is_refused_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert str(caught.value).startswith(f"{file}:2:7: not UTF-8: byte 0xe9")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert read_yaml(tmp_path / "x.yaml").plain() == {"a": 1}


def test_a_file_that_is_missing_too_large_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    for name, words in [("none.yaml", "no such file"), ("large.yaml", "5 MB"), (".", "a folder")]:
        with pytest.raises(ConfigError, match=words):
            read_yaml(tmp_path / name)


def test_a_key_that_is_written_out_is_not_shown_in_source_lines() -> None:
    (problem,) = refused("models: {task: {api_key: sk-very-secret, a: 1, a: 2}}")
    assert "secret" not in str(problem)
    assert "******" in str(problem)


def test_importing_the_loader_does_not_import_pydantic() -> None:
    code = "import sys, promptprop.adapters.files.yaml_strict; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
