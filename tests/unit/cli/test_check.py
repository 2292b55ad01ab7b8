"""`check`: verdicts with their exit codes, every format, baselines of every kind, and what is told beforehand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from promptprop.adapters.models.offline.worldfile import load_world

WORLD = load_world(Path(__file__).parents[3] / "datasets" / "support.world.yaml")
RULES = [rule.says[0] for rule in WORLD.rules.values()]


def written(folder: Path, name: str, rules: int) -> str:
    """A prompt that states so many of the world's rules."""
    text = (folder / "prompt.md").read_text().replace("Which desk is it?", "")
    assert WORLD.format
    stated = "\n".join(f"- {rule}" for rule in [WORLD.format.says[0], *RULES[:rules]])
    head, _, tail = text.partition("Message:")
    (folder / name).write_text(f"{head}{stated}\n\nMessage:{tail}")
    return name


@pytest.fixture
def prompts(cli_project: Path) -> tuple[str, str]:
    """A good prompt, and one that has lost half of its rules; the configuration names the latter."""
    good, worse = written(cli_project, "good.md", len(RULES)), written(cli_project, "worse.md", len(RULES) // 2)
    (cli_project / "prompt.md").write_text((cli_project / worse).read_text())
    return good, worse


def test_a_candidate_that_lost_rules_fails_with_the_rows_that_flipped_and_what_changed(
    prompts: tuple[str, str], run_cli: Any
) -> None:
    ended = run_cli("check", "small.yaml", "--baseline", prompts[0])
    assert ended.code == 1, ended.err
    assert ended.out.startswith("FAIL: the candidate is worse than the baseline (score -")
    for said in ("rows worse", "expected ", "was ", "--- baseline", "baseline  good.md"):
        assert said in ended.out
    assert "sees   a drop of" in ended.err
    assert "noise  assumed" in ended.err
    assert "at most 2,650 calls" in ended.err
    assert run_cli("check", "small.yaml", "--baseline", prompts[0], "--exit-zero").code == 0


def test_the_other_way_round_it_passes_and_what_was_answered_is_free(prompts: tuple[str, str], run_cli: Any) -> None:
    Path("prompt.md").write_text(Path(prompts[0]).read_text())
    first = run_cli("check", "small.yaml", "--baseline", prompts[1], "--json")
    assert first.code == 0
    document = first.json
    assert (document["verdict"], document["rows"], document["missing"]) == ("PASS", 265, 0)
    assert document["spend"]["total"]["calls"] == 530
    assert len(document["better"]) > len(document["worse"])
    assert document["looks"][0]["metrics"]["score"]["lower"] > -0.05
    again = run_cli("check", "small.yaml", "--baseline", prompts[1], "--json").json
    assert again["spend"]["total"]["calls"] == 0
    assert (again["verdict"], again["better"]) == (document["verdict"], document["better"])
    (run, _) = run_cli("runs", "list", "--json").json
    assert (run["activity"], run["verdict"]) == ("check", "PASS")


@pytest.mark.no_cover
def test_every_format_tells_the_same(prompts: tuple[str, str], run_cli: Any) -> None:
    def told(format_: str) -> str:
        ended = run_cli("check", "small.yaml", "--baseline", prompts[0], "--format", format_, "-q")
        assert (ended.code, ended.err) == (1, "")
        return str(ended.out)

    worse = json.loads(told("json"))["worse"]
    (suite,) = ElementTree.fromstring(told("junit").encode())
    assert suite.get("failures") == str(len(worse) + 1)
    markdown = told("md")
    assert markdown.startswith("<!-- promptprop check: small -->")
    assert f"### Worse: {len(worse)} rows, 20 of them here" in markdown
    annotations = told("github").splitlines()
    assert len(annotations) == 10
    assert annotations[0].startswith("::error file=prompt.md,line=19,title=promptprop check small::FAIL")
    assert all(line.startswith("::warning file=prompt.md,line=19,title=row ") for line in annotations[1:])


@pytest.mark.no_cover
def test_the_baseline_can_be_a_revision_of_git(prompts: tuple[str, str], cli_project: Path, run_cli: Any) -> None:
    def git(*arguments: str) -> None:
        author = ("-c", "user.email=a@example.com", "-c", "user.name=a")
        subprocess.run(["git", *author, *arguments], cwd=cli_project, check=True, capture_output=True)

    (cli_project / "prompt.md").write_text((cli_project / prompts[0]).read_text())
    git("init", "-q")
    git("add", "prompt.md")
    git("commit", "-qm", "good")
    same = run_cli("check", "small.yaml", "--baseline", "git:HEAD")
    assert (same.code, "word by word; nothing was asked" in same.out) == (0, True)
    (cli_project / "prompt.md").write_text((cli_project / prompts[1]).read_text())
    ended = run_cli("check", "small.yaml", "--baseline", "git:HEAD", "--json")
    assert (ended.code, ended.json["baseline"]["label"]) == (1, "git:HEAD")
    gone = run_cli("check", "small.yaml", "--baseline", "git:nowhere")
    assert (gone.code, "git has no prompt.md at 'nowhere'" in gone.err) == (6, True)
    option = run_cli("check", "small.yaml", "--baseline", "git:--output=written")
    assert (option.code, "is no revision of git" in option.err) == (6, True)
    assert not list(cli_project.glob("written*"))


@pytest.mark.no_cover
def test_rows_that_do_not_tell_end_with_three_or_as_asked(prompts: tuple[str, str], run_cli: Any) -> None:
    Path("near.md").write_text(Path(prompts[1]).read_text().replace("Message:", "Be thorough.\n\nMessage:"))
    options = ("check", "small.yaml", "--baseline", "near.md", "--margin", "0.2pp", "--max-replicates", "1")
    ended = run_cli(*options, "--json")
    assert (ended.code, ended.json["verdict"]) == (3, "INCONCLUSIVE")
    assert run_cli(*options, "--inconclusive", "warn").code == 0
    assert run_cli(*options, "--inconclusive", "pass").code == 0


@pytest.mark.no_cover
def test_fewer_rows_than_a_margin_takes_are_told_of(prompts: tuple[str, str], run_cli: Any) -> None:
    said = "passes  only if it wins some rows: being as good takes 299 at this margin"
    options = ("check", "small.yaml", "--baseline", prompts[0], "--max-replicates", "1")
    assert said in run_cli(*options, "--margin", "1pp").err
    assert "passes" not in run_cli(*options).err


@pytest.mark.no_cover
def test_noise_of_answers_on_record_is_used_and_a_blind_check_can_be_refused(
    prompts: tuple[str, str], run_cli: Any
) -> None:
    assert run_cli("eval", "small.yaml", "--prompt", prompts[0], "--repeats", "2", "-q").code == 0
    ended = run_cli("check", "small.yaml", "--baseline", prompts[0])
    assert "noise  that of answers on record" in ended.err
    blind = run_cli("check", "small.yaml", "--baseline", prompts[1], "--margin", "0.5pp", "--require-power")
    assert blind.code == 2
    assert "would not see a drop of 0.5 points" in blind.err
    assert len(run_cli("runs", "list", "--json").json) == 2, "nothing was begun"


@pytest.mark.no_cover
def test_the_configuration_can_say_what_the_gate_promises(prompts: tuple[str, str], run_cli: Any) -> None:
    gate = "gate={metric: label, margin: 10pp, replicates: [1, 2], critical: {tag: must-pass, require: 1/1}}"
    ended = run_cli("check", "small.yaml", "--baseline", prompts[0], "--set", gate, "--json")
    assert ended.json["gate"]["margin"] == 0.1
    assert set(ended.json["looks"][0]["metrics"]) == {"label"}
    wrong = run_cli("check", "small.yaml", "--baseline", prompts[0], "--set", "gate={metric: nobody}")
    assert (wrong.code, "gate.metric: there is no metric 'nobody'" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 6, "a check needs a baseline"),
        (("--baseline", "absent.md"), 6, "no baseline: there is no file absent.md"),
        (("--baseline", "nobody@1"), 6, "no baseline"),
        (("--baseline", "good.md", "--split", "odd"), 2, "--split 'odd' is not known"),
        (("--baseline", "good.md", "--inconclusive", "odd"), 2, "--inconclusive 'odd'"),
        (("--baseline", "good.md", "--margin", "odd"), 2, "0.05 or 5pp"),
        (("--baseline", "good.md", "--format", "sarif"), 2, "--format 'sarif'"),
        (("--baseline", "good.md", "--max-calls", "10"), 5, "the calls cap leaves no room"),
    ],
)
def test_what_cannot_be_checked_ends_with_its_code_and_a_reason(
    prompts: tuple[str, str], run_cli: Any, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = run_cli("check", "small.yaml", *arguments)
    assert ended.code == code, ended.err
    assert said in ended.err


@pytest.mark.no_cover
def test_a_check_that_a_cap_cut_short_goes_on_where_it_was(prompts: tuple[str, str], run_cli: Any) -> None:
    assert run_cli("check", "small.yaml", "--baseline", prompts[0], "--max-calls", "100", "-q").code == 5
    ended = run_cli("runs", "resume", "latest", "--max-calls", "2000")
    assert ended.code == 1, ended.err
    assert ended.out.startswith("FAIL: the candidate is worse than the baseline")
    (run,) = run_cli("runs", "list", "--json").json
    assert (run["status"], run["verdict"]) == ("finished", "FAIL")
    shown = run_cli("runs", "show", "latest")
    assert "FAIL: the candidate is worse than the baseline" in shown.out
    assert run_cli("runs", "show", "latest", "--json").json["check"]["verdict"] == "FAIL"
    assert run_cli("runs", "show", "latest", "--format", "md").out.startswith("<!-- promptprop check: small -->")
