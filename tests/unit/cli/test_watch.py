"""`watch`: what is told of each run, what it may spend, what it survives, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptprop.adapters.files.saves import Saves
from promptprop.cli import watching

BRIEF = "Which desk is it?\n- Output just the label, in lower case, with no explanation."
Step = Callable[[], object]


class Hands(Saves):
    """Somebody who saves files between runs, one step after another, and then presses Ctrl-C."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        super().__init__(self.pause)

    def pause(self, seconds: float) -> None:
        """The steps are done at once; a file that was saved has settled by the next look."""

    def wait(self) -> list[Path]:
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()
        self._pause = self.give_up
        return super().wait()

    def give_up(self, seconds: float) -> None:
        """A step that is no save must not wait for ever."""
        self._pause = self.tired

    def tired(self, seconds: float) -> None:
        self._pause = self.spent

    def spent(self, seconds: float) -> None:
        raise KeyboardInterrupt


@pytest.fixture
def watch(cli_project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Watches `small.yaml` while these steps are taken, with these options."""

    def watched(*steps: Step, options: tuple[str, ...] = ()) -> Any:
        real = watching.watch_until_stopped
        monkeypatch.setattr(watching, "watch_until_stopped", lambda *given: real(*given, lambda: Hands(*steps)))
        try:
            return run_cli("watch", "small.yaml", *options)
        finally:
            monkeypatch.setattr(watching, "watch_until_stopped", real)

    return watched


def edited(name: str, before: str, after: str) -> Step:
    def edit() -> None:
        text = Path(name).read_text()
        assert before in text
        Path(name).write_text(text.replace(before, after))

    return edit


BETTER, BACK = edited("prompt.md", "Which desk is it?", BRIEF), edited("prompt.md", BRIEF, "Which desk is it?")


def test_each_save_is_a_line_with_what_has_changed_since_and_answers_on_record_are_free(watch: Any) -> None:
    ended = watch(BETTER, BACK)
    assert ended.code == 0, ended.err
    first, second, third = (line.partition(" ")[2] for line in ended.out.splitlines())
    assert first.startswith("run 1 ")
    assert first.endswith("in all 265 of 2,000 calls, $0.0051")
    assert "since" not in first
    bounds = r"\[-?\d\.\d, -?\d\.\d\]"
    assert re.search(rf"\+3\.4 points {bounds} since the last · \+3\.4 points {bounds} since the first", second)
    assert "0 worse, 9 better · 265 new calls, $0.0054 · in all 530 of 2,000 calls" in second
    assert re.search(rf"-3\.4 points {bounds} since the last · 0\.0 points {bounds} since the first", third)
    assert "9 worse, 0 better · no new call · in all 530 of 2,000 calls" in third
    assert ended.err.strip() == "watched 3 runs: 530 calls, $0.010"


@pytest.mark.no_cover
def test_json_is_a_document_a_line_errors_too(watch: Any, run_cli: Any) -> None:
    ended = watch(BETTER, edited("prompt.md", "{{ text }}", "{{ txt }}"), options=("--json", "--repeats", "2"))
    first, second, third = map(json.loads, ended.out.splitlines())
    assert (first["run"], first["calls"], first["since_last"], first["changed"]) == (1, 530, None, [])
    assert (second["since_last"]["verdict"], second["since_last"]["run_id"]) == ("better", first["run_id"])
    assert len(second["since_last"]["better"]) > len(second["since_last"]["worse"])
    assert [Path(name).name for name in second["changed"]] == ["prompt.md"]
    assert second["session_calls"] == 1060
    assert "txt" in third["error"]["message"]
    assert len(run_cli("runs", "list", "--json").json) == 2


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (edited("prompt.md", "{{ text }}", "{{ txt }}"), "did you mean {{ text }}?"),
        (edited("small.yaml", "metrics:", "metrcs:"), "did you mean 'metrics'?"),
        (lambda: Path("prompt.md").unlink(), "no such file"),
        (edited("support.jsonl", '{"id": "s001"', '{"id": "s002"'), "s002"),
        (edited("small.yaml", "prompt: {file: prompt.md}", "prompt: [{text: 'a {{ text }}'}, {text: 'b {{ text }}'}]"),
         "a watch takes one prompt"),
    ],
    ids=["prompt", "configuration", "no prompt", "rows", "prompts"],
)  # fmt: skip
def test_what_is_broken_is_told_and_watched_on_until_it_is_mended(
    watch: Any, cli_project: Path, broken: Step, said: str
) -> None:
    before = {name: (cli_project / name).read_text() for name in ("prompt.md", "small.yaml", "support.jsonl")}

    def mended() -> None:
        for name, text in before.items():
            (cli_project / name).write_text(text)

    ended = watch(broken, mended)
    assert ended.code == 0, ended.err
    assert said in ended.err
    assert "watching on: save, and it runs again" in ended.err
    assert [line.split()[2] for line in ended.out.splitlines()] == ["1", "2"]
    assert "0 worse, 0 better · no new call" in ended.out


def test_what_is_broken_from_the_start_is_watched_but_not_what_the_command_line_says(
    watch: Any, cli_project: Path
) -> None:
    (cli_project / "prompt.md").write_text("Which desk is it? {{ txt }}")
    ended = watch(edited("prompt.md", "{{ txt }}", "{{ text }}"))
    assert (ended.code, len(ended.out.splitlines())) == (0, 1)
    for options, said in ((("--set", "metrics=3"), "metrics"), (("--split", "odd"), "there is no split 'odd'")):
        refused = watch(options=options)
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err
    (cli_project / "small.yaml").unlink()
    assert watch().code == 2


@pytest.mark.no_cover
def test_caps_hold_for_all_runs_together_and_what_is_on_record_goes_on(watch: Any, run_cli: Any) -> None:
    ended = watch(BETTER, BACK, options=("--max-calls", "300"))
    assert ended.code == 0
    first, second = ended.out.splitlines()
    assert "in all 265 of 300 calls" in first
    assert "the caps of this watch leave no room for the rows that are left" in ended.err
    assert "in all 300 of 300 calls, $0.0058; watching on" in ended.err
    assert "no new call · in all 300 of 300 calls" in second
    assert "0 worse, 0 better" in second, "a run that a cap cut short is not what the next one is held against"
    assert sum(one["calls"] for one in run_cli("runs", "list", "--json").json) == 300


@pytest.mark.no_cover
def test_money_is_capped_for_all_runs_together(watch: Any, run_cli: Any) -> None:
    ended = watch(BETTER, options=("--max-usd", "0.006"))
    assert ended.code == 0
    spent = sum(float(one["usd"]) for one in run_cli("runs", "list", "--json").json)
    assert 0.005 < spent <= 0.006


@pytest.mark.no_cover
def test_where_nothing_caps_it_only_simulated_models_are_watched(watch: Any, cli_project: Path) -> None:
    (cli_project / "small.yaml").write_text((cli_project / "small.yaml").read_text().replace("budget:", "# budget:"))
    assert watch().code == 0
    real = ("--set", "models.task={model: openai/gpt-5}")
    ended = watch(options=real)
    assert ended.code == 2
    assert "each save spends, and nothing caps it" in ended.err


@pytest.mark.no_cover
def test_other_metrics_begin_anew_and_other_rows_are_left_out(watch: Any) -> None:
    ended = watch(
        edited("small.yaml", "type: exact", "type: contains"),
        edited("small.yaml", "cluster: customer", "soft_negatives: soft_negatives, cluster: customer"),
        options=("--json",),
    )
    _, second, third = map(json.loads, ended.out.splitlines())
    assert (second["since_last"], second["since_first"]) == (None, None)
    assert "label is exact and contains" in second["notes"][0]
    assert third["since_last"]["run_id"] == third["since_first"]["run_id"] == second["run_id"]
    assert 0 < third["since_last"]["rows"] < 265


def test_code_that_a_metric_imports_is_loaded_anew_and_told(watch: Any, cli_project: Path) -> None:
    (cli_project / "own.py").write_text("import aside\n\ndef score(output, example):\n    return aside.VALUE\n")
    (cli_project / "aside.py").write_text("VALUE = 1.0\n")
    own = ("--set", "metrics=[{id: own, type: 'python:./own.py:score'}]", "--json")
    ended = watch(edited("aside.py", "1.0", "0.5"), edited("aside.py", "0.5", "0.("), edited("aside.py", "0.(", "0.0"),
                  options=own)  # fmt: skip
    first, second, broken, third = map(json.loads, ended.out.splitlines())
    assert [one["score"]["mean"] for one in (first, second, third)] == [1.0, 0.5, 0.0]
    assert second["notes"] == ["aside.py is code of a metric: the scores may mean something else now"]
    assert "cannot be imported" in broken["error"]["message"]


def test_a_watch_has_no_file_to_write_and_is_not_tracked(watch: Any, cli_project: Path, tmp_path: Path) -> None:
    for options in (("-o", "x.txt"), ("--format", "md")):
        assert watch(options=options).code == 2
    tracked = ("--set", f"tracking={{mlflow: {{uri: 'sqlite:///{tmp_path}/m.db'}}}}")
    assert watch(options=tracked).code == 0
    assert not (tmp_path / "m.db").exists()


def test_ctrl_c_during_a_run_ends_well_and_says_how_to_go_on(
    watch: Any, cli_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    from promptprop.cli import running

    real = running.progress_for

    class Pressing:
        """Presses Ctrl-C as the first answers come in."""

        def __init__(self, inner: Any) -> None:
            self.inner, self.pressed = inner, False

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def tick(self, tick: Any) -> None:
            if not self.pressed:
                self.pressed = True
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(running, "progress_for", lambda shell: Pressing(real(shell)))
    ended = watch(BETTER)
    assert (ended.code, ended.out) == (0, "")
    assert "was interrupted, `promptprop runs resume " in ended.err
