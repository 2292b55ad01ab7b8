"""The pytest plugin, in suites of its own that pytest runs in other processes, loaded by its entry point."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from promptprop.adapters.models.offline.worldfile import load_world

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CONFIG = """\
version: 1
name: small
task: Route each customer message of an online shop to the one desk that has to deal with it.
prompt: {file: ../prompt.md}
data: {file: ../support.jsonl, inputs: [text], expected: label, id: id, cluster: customer}
models: {task: {model: offline/task, temperature: 0, max_tokens: 64}}
metrics: [{id: label, type: exact}]
gate: {replicates: [1]}
"""
OTHERS = (  # slow to load, and not asked here
    "asyncio",
    "schemathesis",
    "hypothesispytest",
    "syrupy",
    "anyio",
    "pytest_cov",
)
STRICT = (
    *("--strict-markers", "-p", "no:cacheprovider", "-W", "error"),
    *(part for name in OTHERS for part in ("-p", f"no:{name}")),
)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a prompt that lost rules, what it was before, and the plugin's entry point on the path."""
    world = load_world(ROOT / "datasets" / "support.world.yaml")
    rules = [rule.says[0] for rule in world.rules.values()]
    head, _, tail = (ROOT / "configs/prompts/support.md").read_text().partition("Which desk is it?\n")
    folder = pytester.path
    assert world.format
    for name, kept in (("good.md", rules), ("prompt.md", rules[4:])):
        stated = "\n".join(f"- {rule}" for rule in [world.format.says[0], *kept])
        (folder / name).write_text(f"{head}{stated}\n{tail}")
    for name in ("support.jsonl", "support.world.yaml"):
        shutil.copy(ROOT / "datasets" / name, folder)
    (folder / "configs").mkdir()
    (folder / "configs" / "small.yaml").write_text(CONFIG)
    project = (ROOT / "pyproject.toml").read_text()
    (point,) = re.findall(r"^\[project.entry-points.pytest11\]\n(.+)\n\n", project, re.MULTILINE)
    dist = folder / "dist" / "promptprop_points-0.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: promptprop-points\nVersion: 0\n")
    (dist / "entry_points.txt").write_text("[pytest11]\n" + point.replace('"', "") + "\n")
    for name in [name for name in os.environ if name.startswith(("PROMPTPROP_", "PYTEST_", "COV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", f"{folder / 'dist'}{os.pathsep}{ROOT}")
    monkeypatch.setenv("HOME", str(folder))
    return pytester


def run(suite: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    suite.makepyfile(test_it=f"import pathlib\nimport pytest\n{source}")
    return suite.runpytest_subprocess(*STRICT, *arguments)


def test_a_marked_test_fails_with_the_sentence_and_the_worst_rows_and_without_a_traceback(
    suite: pytest.Pytester,
) -> None:
    done = run(suite, """
@pytest.mark.promptprop("configs/small.yaml", baseline="good.md")
def test_router():
    pathlib.Path("body").touch()
""")  # fmt: skip
    done.assert_outcomes(failed=1)
    out = done.stdout.str()
    assert "\npromptprop check small: FAIL: the candidate is worse than the baseline (label" not in out
    assert "\npromptprop check small: FAIL: the candidate is worse than the baseline (score -" in out
    assert re.search(r"\n\d+ rows worse\n  s\d+  -100.0  \S", out)
    assert re.search(r"\n      promptprop eval configs/small.yaml --row s\d+\n", out)
    assert "removed: - " in out
    failures, _, _summary = out.partition("short test summary")  # which repeats all of it where CI is set
    assert failures.count("\n  s") == 5
    for absent in ("Traceback", "pytest_plugin.py", "bootstrap", "Captured", "warnings summary"):
        assert absent not in out
    assert not (suite.path / "body").exists(), "the check comes first"


def test_a_class_is_checked_once_and_its_fixture_has_the_report(suite: pytest.Pytester) -> None:
    done = run(suite, """
@pytest.mark.promptprop("configs/small.yaml", baseline="prompt.md")
class TestRouter:
    def test_one(self, promptprop_check):
        assert promptprop_check.verdict == "PASS"
        assert "nothing was asked" in promptprop_check.sentence
    @pytest.mark.parametrize("n", range(3))
    def test_more(self, n):
        pathlib.Path(f"body{n}").touch()

def test_runs():
    import sqlite3
    assert sqlite3.connect(".promptprop/promptprop.db").execute("select count(*) from runs").fetchone() == (1,)
""")  # fmt: skip
    done.assert_outcomes(passed=5)
    assert len(list(suite.path.glob("body*"))) == 3


def test_the_fixture_of_an_unmarked_test_makes_checks_and_raises_for_no_verdict(suite: pytest.Pytester) -> None:
    done = run(suite, """
import asyncio

def test_verdicts(promptprop_check, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = promptprop_check("configs/small.yaml", baseline="good.md")
    assert report.verdict == "FAIL" and report.worse[0].delta < 0
    assert report.as_json()["worse"][0]["command"].startswith("promptprop eval configs/small.yaml --row ")
    assert pathlib.Path.cwd() == tmp_path
    assert promptprop_check(pathlib.Path("configs/small.yaml"), "good.md") is report

def test_inside_a_loop(promptprop_check):
    async def body():
        sets = ["gate.margin=30pp", "gate.fail_when=beyond_margin"]
        return promptprop_check("configs/small.yaml", "good.md", sets=sets)
    assert asyncio.run(body()).verdict == "PASS"
""")  # fmt: skip
    done.assert_outcomes(passed=2)


def test_an_open_verdict_fails_warns_or_passes_as_asked(suite: pytest.Pytester) -> None:
    (suite.path / "near.md").write_text(
        (suite.path / "prompt.md").read_text().replace("Message:", "Be thorough.\n\nMessage:")
    )
    done = run(suite, """
OPEN = {"baseline": "near.md", "sets": ["gate.margin=0.2pp"]}
@pytest.mark.promptprop("configs/small.yaml", **OPEN)
def test_fails():
    pass
@pytest.mark.promptprop("configs/small.yaml", inconclusive="pass", **OPEN)
def test_passes():
    pass
@pytest.mark.promptprop("configs/small.yaml", inconclusive="warn", **OPEN)
def test_warns():
    pass
""", "-W", "default::pytest.PytestWarning")  # fmt: skip
    done.assert_outcomes(passed=2, failed=1, warnings=1)
    assert done.stdout.str().count("INCONCLUSIVE: the rows do not tell") >= 2


def test_mistakes_fail_with_their_remedy_and_nothing_else(suite: pytest.Pytester) -> None:
    done = run(suite, """
@pytest.mark.promptprop("configs/small.yaml")
def test_no_baseline():
    pass
@pytest.mark.promptprop("absent.yaml", baseline="good.md")
def test_no_configuration():
    pass
@pytest.mark.promptprop("configs/small.yaml", basline="good.md")
def test_odd_option():
    pass
@pytest.mark.promptprop("configs/small.yaml", inconclusive="maybe")
def test_odd_end():
    pass
@pytest.mark.promptprop()
def test_no_argument():
    pass
def test_by_fixture(promptprop_check):
    promptprop_check("configs/small.yaml", baseline="git:nowhere")
""")  # fmt: skip
    done.assert_outcomes(failed=6)
    out = done.stdout.str()
    for said in (
        "promptprop check configs/small.yaml: a check needs a baseline, and there is none stored as",
        "→ `promptprop baseline accept CONFIG` stores one",
        "absent.yaml",
        "there is no option 'basline': known are allow, baseline, database, offline, sets, split",
        "inconclusive='maybe' is not one of fail, warn, pass",
        "the mark takes one configuration, and was given 0",
        "git has no prompt.md at 'nowhere'",
    ):
        assert said in out
    assert "Traceback" not in out


def test_a_suite_that_does_not_use_it_loads_nothing_but_the_plugin(suite: pytest.Pytester) -> None:
    (suite.path / "conftest.py").write_text(
        "import json, sys\ndef pytest_sessionfinish():\n    json.dump(sorted(sys.modules), open('loaded', 'w'))\n"
    )
    done = run(suite, "def test_it():\n    pass\n")
    done.assert_outcomes(passed=1)
    loaded = json.loads((suite.path / "loaded").read_text())
    assert [name for name in loaded if name.partition(".")[0] == "promptprop"] == [
        "promptprop",
        "promptprop.pytest_plugin",
    ]
    assert {"pydantic", "sqlalchemy", "typer", "rich", "litellm", "asyncio.runners"} & set(loaded) <= {
        "asyncio.runners"
    }


def test_it_can_be_left_out_and_skips_and_expected_failures_stay_what_they_are(suite: pytest.Pytester) -> None:
    source = """
@pytest.mark.skip
@pytest.mark.promptprop("absent.yaml")
def test_skipped():
    pass
@pytest.mark.xfail
@pytest.mark.promptprop("configs/small.yaml", baseline="good.md")
def test_expected():
    pass
"""
    run(suite, source).assert_outcomes(skipped=1, xfailed=1)
    out = run(suite, "def test_it(promptprop_check):\n    pass\n", "-p", "no:promptprop").stdout.str()
    assert "fixture 'promptprop_check' not found" in out
    shown = suite.runpytest_subprocess(*STRICT, "--markers").stdout.str()
    assert "@pytest.mark.promptprop(config, baseline=None, inconclusive='fail', **options): hold the prompt" in shown


def test_processes_of_xdist_share_the_work(suite: pytest.Pytester) -> None:
    done = run(suite, """
@pytest.mark.parametrize("n", range(4))
@pytest.mark.promptprop("configs/small.yaml", baseline="good.md")
def test_router(n):
    pass
""", "-p", "xdist", "-n", "2")  # fmt: skip
    done.assert_outcomes(failed=4)
    assert done.stdout.str().count("promptprop check small: FAIL") >= 4
