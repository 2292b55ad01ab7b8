"""Where the report of a check goes: several files at once, the summary of a step, annotations at their lines."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from promptprop.adapters.files.gate_markdown import LONGEST
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.bootstrap.gate_document import abridged, clean, junit_of, markdown_of
from promptprop.cli.gate_outputs import annotations_of, call_of
from promptprop.cli.shell import Shell
from tests.fixtures.gate_documents import change, document, flip

ROOT = Path(__file__).parents[3]
WORLD = load_world(ROOT / "datasets" / "support.world.yaml")
RULES = [rule.says[0] for rule in WORLD.rules.values()]
LOST = 4  # of the rules


def prompt(rules: list[str]) -> str:
    assert WORLD.format
    head, _, tail = (ROOT / "configs/prompts/support.md").read_text().partition("Which desk is it?\n")
    return head + "\n".join(f"- {rule}" for rule in [WORLD.format.says[0], *rules]) + "\n" + tail


@pytest.fixture
def lossy(cli_project: Path) -> Path:
    """A project whose prompt has lost the first rules of `good.md`."""
    (cli_project / "good.md").write_text(prompt(RULES))
    (cli_project / "prompt.md").write_text(prompt(RULES[LOST:]))
    return cli_project


CHECK = ("check", "small.yaml", "--baseline", "good.md")


def test_one_check_feeds_every_file_and_stdout_alike(lossy: Path, run_cli: Any) -> None:
    files = ("r.json", "sub/r.md", "r.XML")
    (lossy / "sub").mkdir()
    ended = run_cli(*CHECK, *(part for file in files for part in ("--out", file)), "--format", "github")
    assert ended.code == 1, ended.err
    document = json.loads(Path("r.json").read_text())
    markdown = Path("sub/r.md").read_text()
    (suite,) = ElementTree.fromstring(Path("r.XML").read_bytes())
    sentence, first = document["sentence"], document["worse"][0]
    assert ended.out.startswith(f"::error file=prompt.md,line=12,title=promptprop check small::{sentence}")
    assert f"**{sentence}**" in markdown.replace("\\", "")
    assert suite.find("testcase/failure").get("message") == sentence  # type: ignore[union-attr]
    for told in (ended.out, markdown, Path("r.XML").read_text(), run_cli(*CHECK).out):
        assert first["row"] in told
        assert first["command"] in told
        assert f"{first['changed']['file']}:{first['changed']['line']} removed: {first['changed']['text']}"[:60] in told
    assert suite.get("failures") == str(len(document["worse"]) + 1)
    assert [one["mark"] for one in document["changes"]] == ["-"] * LOST
    assert run_cli("runs", "show", "latest", "--format", "md").out.startswith("<!-- promptprop check: small -->")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "r.html"), "the suffix does not tell the format"),
        (("--out", "absent/r.md"), "there is no folder absent"),
        (("--out", "r.md", "--out", "./r.md"), "r.md is named twice"),
        (("--out", "r.md", "-o", "r.md", "--format", "md"), "r.md is named twice"),
    ],
)
def test_a_file_that_cannot_be_is_told_before_the_check_costs_something(
    lossy: Path, run_cli: Any, arguments: tuple[str, ...], said: str
) -> None:
    ended = run_cli(*CHECK, *arguments)
    assert (ended.code, said in ended.err) == (2, True), ended.err
    assert not Path(".promptprop").exists()


@pytest.mark.no_cover
def test_a_file_that_fails_in_the_end_leaves_the_report_on_stdout(lossy: Path, run_cli: Any) -> None:
    Path("r.md").mkdir()
    ended = run_cli(*CHECK, "--out", "r.md", "-q")
    assert (ended.code, ended.out[:5]) == (2, "FAIL:")
    assert "cannot write r.md: it is a folder" in ended.err


@pytest.mark.no_cover
def test_the_summary_of_a_step_gets_the_markdown_whatever_the_format(
    lossy: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(lossy / "summary.md"))
    Path("summary.md").write_text("# Another step\n")
    assert run_cli(*CHECK, "--json").code == 1
    text = Path("summary.md").read_text()
    assert text.startswith("# Another step\n\n<!-- promptprop check: small -->\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(lossy / "absent" / "summary.md"))
    ended = run_cli(*CHECK)
    assert (ended.code, "warning: the step's summary" in ended.err) == (1, True)


@pytest.mark.no_cover
def test_the_command_of_a_row_is_run_by_a_shell_and_shows_that_row_for_free(lossy: Path, run_cli: Any) -> None:
    folder = lossy / "my configs"
    folder.mkdir()
    for name in ("small.yaml", "prompt.md", "support.jsonl", "support.world.yaml"):
        (lossy / name).rename(folder / name)
    (lossy / "ci env").write_text("PROMPTPROP_UNUSED=1\n")
    given = ("--set", "gate={replicates: [2]}", "--set", "task=It's \"this\" & that", "--db", "sqlite:///own.db",
             "--env-file", "ci env", "--split", "train")  # fmt: skip
    ended = run_cli("check", "my configs/small.yaml", "--baseline", "good.md", *given, "--json", "-q")
    assert ended.code in (1, 3), ended.err
    row = ended.json["worse"][0]
    assert shlex.split(row["command"])[:7] == [
        "promptprop", "eval", "my configs/small.yaml", "--row", row["row"], "--repeats", "2",
    ]  # fmt: skip
    script = f'promptprop() {{ "{sys.executable}" -m promptprop "$@"; }}\n{row["command"]}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"row {row['row']}\nasked (user)\n")
    assert f"\n  {row['candidate_answer']}\n" in done.stdout
    assert f"expected  {row['expected']}" in done.stdout
    again = run_cli(*shlex.split(row["command"])[1:], "--json").json
    assert again["spend"]["total"]["calls"] == 0
    (shown,) = again["answers"]
    assert sum(one["score"] for one in shown["answers"]) / 2 == row["after"]


@pytest.mark.no_cover
def test_the_command_of_an_offline_check_answers_from_the_recording(lossy: Path, run_cli: Any) -> None:
    candidate = Path("prompt.md").read_text()
    Path("prompt.md").write_text(Path("good.md").read_text())
    assert run_cli("baseline", "accept", "small.yaml", "--repeats", "1", "-q").code == 0
    Path("prompt.md").write_text(candidate)
    assert run_cli("check", "small.yaml", "--record", "-q").code == 1
    shutil.rmtree(".promptprop")
    row = run_cli("check", "small.yaml", "--offline", "--json", "-q").json["worse"][0]
    shutil.rmtree(".promptprop")
    assert row["command"].endswith("--recording promptprop-baselines/small.calls.jsonl.gz")
    shown = run_cli(*shlex.split(row["command"])[1:], "--json").json
    assert shown["answers"][0]["answers"][0]["answer"] == row["candidate_answer"]
    assert shown["spend"]["total"]["calls"] == 0
    lacking = run_cli(*shlex.split(row["command"])[1:], "--repeats", "2")
    assert (lacking.code, f"those of the rows {row['row']}" in lacking.err) == (6, True)
    gone = run_cli("eval", "small.yaml", "--recording", "absent.gz")
    assert (gone.code, "there is no recording absent.gz" in gone.err) == (6, True)


@pytest.mark.no_cover
def test_annotations_stand_at_the_line_of_the_file_as_the_repository_names_it(
    lossy: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lossy.parent / ".git").mkdir()
    lines = run_cli(*CHECK, "--format", "github", "-q").out.splitlines()
    assert lines[0].startswith("::error file=project/prompt.md,line=12,title=promptprop check small::FAIL")
    assert all(line.startswith("::warning file=project/prompt.md,line=12,title=row s") for line in lines[1:])
    assert len(lines) == 10
    assert "%0Aexpected: " in lines[1]
    text = Path("prompt.md").read_text().replace("Message:\n", "").rstrip("\n")
    inline = "prompt:\n  text: |\n" + "".join(f"    {line}\n" for line in text.split("\n"))
    Path("small.yaml").write_text(Path("small.yaml").read_text().replace("prompt: {file: prompt.md}\n", inline))
    (first, *_) = run_cli(*CHECK, "--format", "github", "-q").out.splitlines()
    assert first.startswith("::error file=project/small.yaml,line=17,title=promptprop check small::FAIL")


@pytest.mark.no_cover
def test_critical_rows_that_did_not_pass_stand_in_every_format(lossy: Path, run_cli: Any) -> None:
    lost = run_cli(*CHECK, "-q", "--json").json["worse"][0]["row"]
    gate = "gate={critical: {tag: must-pass, require: 2/2}}"
    marked = [json.loads(line) for line in Path("support.jsonl").read_text().splitlines()]
    for row in marked:
        row["tags"] = ["must-pass"] if row["id"] in (lost, "s001") else []
    Path("support.jsonl").write_text("".join(json.dumps(row) + "\n" for row in marked))
    more = ("--set", gate, "--set", "data.tags=tags", "-q")
    document = run_cli(*CHECK, *more, "--json").json
    assert document["verdict"] == "FAIL"
    (row, *_) = document["critical_rows"]
    assert row["command"].startswith(f"promptprop eval small.yaml --row {row['row']} --repeats 2 --set ")
    assert (row["passed"], row["answers"], row["answer"] != row["expected"]) == (0, 2, True)
    text = run_cli(*CHECK, *more).out
    assert f"{len(document['critical_rows'])} row" in text
    assert f"  {row['row']}  0 of 2  " in text
    assert row["command"] in text
    (suite,) = ElementTree.fromstring(run_cli(*CHECK, *more, "--format", "junit").out.encode())
    assert [case.get("name") for case in suite.findall("testcase")][:2] == ["verdict", f"row {row['row']}"]
    assert f"title=row {row['row']}::0 of 2: " in run_cli(*CHECK, *more, "--format", "github").out
    assert "### Critical rows that did not pass: " in run_cli(*CHECK, *more, "--format", "md").out


def test_rows_that_were_left_out_are_told_with_their_reason(lossy: Path, run_cli: Any) -> None:
    (lossy / "odd.py").write_text(
        "def score(output, example):\n"
        "    if 'mugs' in example.inputs['text']:\n        raise ValueError('no mugs here')\n"
        "    return float(output == example.expected)\n"
    )
    more = ("--set", "metrics=[{id: odd, type: 'python:./odd.py:score'}]", "-q")
    document = run_cli(*CHECK, *more, "--json").json
    assert document["missing"] == len(document["missing_rows"]) > 0
    row = document["missing_rows"][0]
    assert (row["side"], row["why"]) == ("both", "odd: the metric raised ValueError: see the log")
    assert "left out\n  s001  both  odd: the metric raised" in run_cli(*CHECK, *more).out
    (suite,) = ElementTree.fromstring(run_cli(*CHECK, *more, "--format", "junit").out.encode())
    assert suite.get("skipped") == str(document["missing"])


@pytest.mark.no_cover
def test_answers_and_prompts_of_any_length_fit_into_a_comment(lossy: Path, run_cli: Any) -> None:
    rows = [json.loads(line) for line in Path("support.jsonl").read_text().splitlines()]
    for row in rows:
        row["text"] += " " + "é|`@x" * 2_000
    Path("support.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("prompt.md").write_text(Path("prompt.md").read_text() + "".join(f"- line {n} ```\n" for n in range(9_000)))
    few = ("--set", "data.split={train: 0.05, select: 0.05, test: 0.9}", "--split", "train")
    ended = run_cli(*CHECK, *few, "--format", "md", "-q")
    assert ended.out.startswith("<!-- promptprop check: small -->"), ended.err
    assert len(ended.out) <= LONGEST
    assert "cut here, see the files" in ended.out


def test_no_secret_is_remembered_or_shown_and_none_takes_markup_with_it() -> None:
    call = call_of(Path("a.yaml"), "all", ["x.api_key=sk-abcdefgh12345"], None, "postgresql+psycopg://me:pw@host/db")
    assert "sk-abcdefgh12345" not in str(call)
    assert "pw@" not in str(call)
    cleaned = clean({"a": ["https://host/?key=abcdef"], "b": 1.5, "c": None, "d": "\x1b[31mred\x07"})
    assert cleaned == {"a": ["https://host/?key=[redacted]"], "b": 1.5, "c": None, "d": "red"}


def test_a_secret_at_the_end_of_a_text_leaves_the_markup_around_it_whole(capsys: pytest.CaptureFixture[str]) -> None:
    secret = "see https://host/?key=abcdefgh"
    row = flip(1, row=secret, candidate_answer=secret, said=secret, expected=secret)
    told = document(worse=[row], sentence=secret, name=secret)
    Shell(format="junit").show(told, list, None, None, lambda: junit_of(told, [("baseline", secret)]))
    (suite,) = ElementTree.fromstring(capsys.readouterr().out)
    assert len(suite.findall("testcase/failure")) == 2
    Shell(format="github").show(told, list, None, lambda: annotations_of(told))
    shown = capsys.readouterr().out
    assert [line.count("::") for line in shown.splitlines()] == [2, 2]
    assert "abcdefgh" not in shown + junit_of(told, []) + markdown_of(told, [])


def test_of_rows_that_are_not_shown_only_the_number_is_kept() -> None:
    told = document(worse=[flip(n) for n in range(30)], missing_rows=[], diff=["-" + "x" * 40] * 100)
    short = abridged(told, 20, 100)
    assert [row["row"] for row in short["worse"][:20]] == [f"r{n}" for n in range(20)]
    assert short["worse"][20:] == [None] * 10
    assert len(short["diff"]) == 3
    assert "### Worse: 30 rows, 20 of them here" in markdown_of(told, [])
    (suite,) = ElementTree.fromstring(junit_of(document(worse=[flip(n) for n in range(600)]), []))
    assert (suite.get("tests"), "100 more rows worse" in (suite.findtext("system-out") or "")) == ("501", True)


def test_properties_and_messages_of_annotations_are_escaped_as_github_reads_them() -> None:
    row = flip(1, row="a:b,c%d\r\ne", inputs={"text": "100%: a, b\r\nc"}, said="", changed=None, expected=None)
    told = document(worse=[row], file="pro:mpts,1/ro%uter.md", sentence="50% lost\nreally")
    first, second = annotations_of(told).splitlines()
    assert first == (
        "::error file=pro%3Ampts%2C1/ro%25uter.md,line=3,title=promptprop check router::50%25 lost%0Areally"
    )
    assert second.startswith(
        "::warning file=pro%3Ampts%2C1/ro%25uter.md,line=3,title=row a%3Ab%2Cc%25d%0Ae::1.00 → 0.00: 100%25: a, b c%0A"
    )


@pytest.mark.parametrize(
    ("verdict", "ends", "level"),
    [("PASS", "fail", "notice"), ("INCONCLUSIVE", "fail", "error"), ("INCONCLUSIVE", "warn", "warning"),
     ("INCONCLUSIVE", "pass", "notice")],
)  # fmt: skip
def test_the_level_of_an_annotation_is_what_the_verdict_comes_to(verdict: str, ends: str, level: str) -> None:
    told = document(verdict, inconclusive=ends, worse=[flip(1)], changes=[change(line=0)])
    assert annotations_of(told) == (
        f"::{level} file=prompts/router.md,title=promptprop check router::{verdict}: said so\n"
    )
