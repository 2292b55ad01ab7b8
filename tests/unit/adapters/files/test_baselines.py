"""Baselines as files: readable, stable, whole or refused with a remedy; recordings the same, and byte for byte."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.baselines import (
    baseline_files,
    baseline_path,
    read_baseline,
    recording_path,
    render_baseline,
    write_baseline,
)
from promptprop.adapters.files.recordings import read_recording, write_recording
from promptprop.adapters.logs import register_secret
from promptprop.domain.baseline import Baseline, BaselineRow, Conditions
from promptprop.domain.errors import BaselineMissing, NotWritable
from promptprop.domain.models import Candidate, Demo, Message, ModelRequest, Prompt, Reply, Usage
from promptprop.ports import RecordedReply

CONDITIONS = Conditions(
    {"task": {"model": "m", "temperature": 0.5}}, {}, {"label": {"type": "exact"}}, [["a", "b", "c"]]
)
PROMPT = Prompt((Message("system", "Be kind.\n\nAnd “short”."), Message("user", "{{ text }}\n")))
ROWS = (
    BaselineRow("r1", "ab", (1.0, 0.0), {}, ("yes", "no"), 0.000012345, 1.23456, 3.5),
    BaselineRow("r\n2", "cd", (None, 0.39), {"label": (None, 0.39), "form": (1.0, 1.0)}, ("a", "a")),
)
BASELINE = Baseline("router", Candidate({"a": PROMPT}, (Demo("r9", {"text": "hi"}, "yes"),)), "all", CONDITIONS, ROWS)


def test_a_baseline_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "router.json"
    write_baseline(path, BASELINE)
    found = read_baseline(path)
    assert found.candidate == BASELINE.candidate
    assert found.conditions == BASELINE.conditions
    assert found.id == BASELINE.id
    assert [(row.scores, row.metrics, row.answers) for row in found.rows] == [
        (row.scores, row.metrics, row.answers) for row in ROWS
    ]
    assert (found.rows[0].usd, found.rows[0].seconds, found.rows[1].usd) == (1.234e-05, 1.235, None)
    assert render_baseline(found) == path.read_text(encoding="utf-8")
    assert baseline_files(tmp_path / "deep") == [path]


def test_it_is_made_to_be_reviewed_a_line_of_the_prompt_and_a_row_on_each_line() -> None:
    lines = render_baseline(BASELINE).splitlines()
    assert '            "And “short”."' in lines
    assert sum(line.startswith('    {"id": ') for line in lines) == 2
    assert '  "steps": [["a", "b", "c"]],' in lines
    (row,) = (line for line in lines if '"r1"' in line)
    assert '"scores": [1, 0]' in row
    assert json.loads("\n".join(lines))["score"] == 0.445


@given(
    st.lists(
        st.tuples(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=3), st.text(), st.text(min_size=1)),
        max_size=5,
    )
)
def test_whatever_a_row_holds_comes_back(rows: list[tuple[list[float | None], str, str]]) -> None:
    made = tuple(
        BaselineRow(f"{n}{name}", "c", tuple(scores), {}, (text,) * len(scores))
        for n, (scores, text, name) in enumerate(rows)
    )
    written = json.loads(
        render_baseline(Baseline("x", BASELINE.candidate, "all", CONDITIONS, made)).encode("utf-8", "replace")
    )
    assert [row["scores"] for row in written["rows"]] == [list(row.scores) for row in made]


def test_secrets_that_answers_repeat_are_left_out() -> None:
    register_secret("hunter2-hunter2")
    row = BaselineRow("r1", "ab", (1.0,), {}, ("my key is hunter2-hunter2",))
    text = render_baseline(Baseline("router", BASELINE.candidate, "all", CONDITIONS, (row,)))
    assert "hunter2" not in text
    assert "[redacted]" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<< HEAD\n{}", "is no JSON"),
        ("[1]", "is no baseline"),
        ("{}", "is no baseline"),
        ('{"promptprop_baseline": 9}', "has the format 9, and this version reads 1"),
        ('{"promptprop_baseline": 1}', "is no whole baseline: 'prompts' is missing"),
        ("[" * 100_000, "is no JSON"),
        ("\udcff", "cannot be read"),
    ],
)
def test_what_is_no_baseline_is_refused_with_its_reason(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BaselineMissing, match=said):
        read_baseline(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"scores": [1, 0]', '"scores": [7, 0]', "a score lies outside"),
        ('"id": "r1"', '"id": "r\\n2"', "is there twice"),
        ('"split": "all",', "", "'split' is missing"),
        ('"scores": [1, 0]', '"scores": "much"', "is no whole baseline"),
    ],
)
def test_a_baseline_that_was_edited_into_nonsense_is_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    text = render_baseline(BASELINE)
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(BaselineMissing, match=said):
        read_baseline(path)


def test_one_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(BaselineMissing) as missing:
        read_baseline(tmp_path / "none.json")
    assert "promptprop baseline accept" in missing.value.remedy


@pytest.mark.parametrize(
    ("name", "file"), [("router", "router.json"), ("a/b: c", "a-b-c.json"), ("../x", "x.json"), ("…", "baseline.json")]
)
def test_names_become_files_below_the_folder(name: str, file: str) -> None:
    assert baseline_path(name) == Path("promptprop-baselines") / file
    assert recording_path(baseline_path(name)).name == file.replace(".json", ".calls.jsonl.gz")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable):
        write_baseline(tmp_path / "file" / "x.json", BASELINE)
    with pytest.raises(NotWritable):
        write_recording(tmp_path / "file" / "x.gz", [])


def reply(key: str, text: str = "yes") -> RecordedReply:
    request = ModelRequest("task", "m", (), role="task", key=key)
    return RecordedReply(request, Reply(text, Usage(1, 2, 3, 4), None, "stop", "m-1", 0.25, simulated=True))


def test_a_recording_comes_back_in_an_order_of_its_own_and_equal_ones_are_equal_files(tmp_path: Path) -> None:
    one, other = tmp_path / "one.gz", tmp_path / "other.gz"
    assert write_recording(one, [reply("b", "née\n\u2028"), reply("a")]) == 2
    assert write_recording(other, [reply("a"), reply("b", "née\n\u2028")]) == 2
    assert one.read_bytes() == other.read_bytes()
    assert read_recording(one) == [reply("a"), reply("b", "née\n\u2028")]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no gzip", gzip.compress(b"", mtime=0), gzip.compress(b"{}\n", mtime=0), gzip.compress(b"[]\n", mtime=0),
        gzip.compress(b'{"promptprop_recording": 1}\n{"key": "a"}\n', mtime=0), gzip.compress(b"x" * 99, mtime=0)[:-9],
        gzip.compress(b'{"promptprop_recording": 1}\n\xff\n', mtime=0),
    ],
)  # fmt: skip
def test_a_recording_that_cannot_be_read_is_refused_with_the_way_to_make_one(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(data)
    with pytest.raises(BaselineMissing) as refused:
        read_recording(path)
    assert "--record" in refused.value.remedy
    with pytest.raises(BaselineMissing, match="there is no recording"):
        read_recording(tmp_path / "none.gz")


def test_a_framed_prompt_reads_back_from_its_file(tmp_path: Path) -> None:
    framed = Prompt((Message("user", "{{ as it is }}"),), True, "Do: {{ instruction }}\n{{ text }}")
    path = tmp_path / "framed.json"
    write_baseline(path, Baseline("router", Candidate({"main": framed}), "all", CONDITIONS, ROWS))
    assert read_baseline(path).candidate.prompts["main"] == framed
