"""docs/ci.md: its files can be read, its commands are commands, and its jobs give no more rights than they need."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from promptprop.cli.app import root

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "ci.md", ROOT / "docs" / "check.md"]
HOOKS = ROOT / ".pre-commit-hooks.yaml"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text("utf-8")) if kind == language]


def documents() -> list[Any]:
    return [yaml.safe_load(text) for text in fences(PAGES[0], "yaml")]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def commands() -> list[str]:
    """Every command line of the pages and of the hooks that begins with `promptprop`."""
    hooks = yaml.safe_load(HOOKS.read_text("utf-8"))
    pieces = [text for document in documents() for text in texts(document)]
    pieces += [text for page in PAGES for text in fences(page, "sh")]
    pieces += [f"{hook['entry']} configs/router.yaml" for hook in hooks]
    lines = [part.strip() for text in pieces for line in text.splitlines() for part in re.split(r"&&|\|\||;", line)]
    inline = [one for page in PAGES for one in re.findall(r"`(promptprop [a-z][^`]*)`", page.read_text("utf-8"))]
    return sorted({line for line in [*lines, *inline] if re.match(r"promptprop [a-z]+ \S", line)})


def parse(line: str) -> click.Context:
    """The command line as the real parser reads it. Raises click's UsageError."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = root()
    context = click.Context(command, info_name="promptprop")
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)  # type: ignore[assignment]
        context = click.Context(command, info_name=name, parent=context)
    if ">" in words:
        words = words[: words.index(">")]
    return command.make_context(context.info_name, list(words))


@pytest.mark.parametrize("line", commands())
def test_every_command_line_is_one_that_the_command_line_takes(line: str) -> None:
    assert parse(line).command.name


def test_the_pages_show_the_commands_that_a_pipeline_needs() -> None:
    found = "\n".join(commands())
    for wanted in ("--offline", "--record", "--out report.xml", "baseline accept", "promptprop lint", "--max-usd"):
        assert wanted in found


@pytest.mark.parametrize("line", ["promptprop check a.yaml --offlin", "promptprop chek a.yaml", "promptprop lint a b"])
def test_a_line_that_the_command_line_would_refuse_is_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line)


def test_the_workflow_gives_keys_only_to_branches_of_the_repository_itself() -> None:
    (workflow,) = [one for one in documents() if "jobs" in one]
    assert workflow["permissions"] == {"contents": "read"}
    triggers = workflow[True]  # YAML 1.1 reads `on` as true
    assert set(triggers) == {"push", "pull_request"}
    own, fork = workflow["jobs"]["check"], workflow["jobs"]["check-recorded"]
    same = "github.event.pull_request.head.repo.full_name == github.repository"
    assert own["if"] == f"github.event_name == 'push' || {same}"
    assert own["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert fork["if"] == f"github.event_name == 'pull_request' && {same.replace('==', '!=')}"
    assert "permissions" not in fork, "what the workflow gives is enough"
    assert "secrets." in str(own)
    assert not any(word in str(fork) for word in ("secrets", "github.token", "GH_TOKEN"))


def test_the_workflow_pins_its_actions_and_fetches_what_git_baselines_need() -> None:
    text = PAGES[0].read_text("utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert len(used) >= 6
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action, _ in used)
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", note) for _, note in used)
    (workflow,) = [one for one in documents() if "jobs" in one]
    for job in workflow["jobs"].values():
        (checkout,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}
        scripts = [step["run"] for step in job["steps"] if "run" in step]
        assert not any("${{" in script for script in scripts), "expressions reach scripts as variables alone"


def test_scripts_of_the_workflow_are_ones_that_a_shell_can_read() -> None:
    (workflow,) = [one for one in documents() if "jobs" in one]
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if "run" in step:
                done = subprocess.run(["sh", "-n", "-c", step["run"]], capture_output=True, check=False)
                assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("known", ["", "4711\n4712\n"])
def test_the_comment_is_edited_where_there_is_one_and_made_where_there_is_none(known: str, tmp_path: Path) -> None:
    (workflow,) = [one for one in documents() if "jobs" in one]
    (step,) = [step for step in workflow["jobs"]["check"]["steps"] if step.get("name") == "Comment"]
    (tmp_path / "comment.md").write_text("<!-- promptprop check: router -->\nFAIL\n")
    program = tmp_path / "gh"
    program.write_text(
        f'#!/bin/sh\necho "$MARKER|$*" >> calls\ncase "$*" in *--paginate*) printf "%s" "{known}";; esac\n'
    )
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PR": "7", "GITHUB_REPOSITORY": "me/mine"}
    subprocess.run(["sh", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    listed, told = (tmp_path / "calls").read_text().splitlines()
    assert listed.startswith("<!-- promptprop check: router -->|api --paginate repos/me/mine/issues/7/comments --jq")
    edited = "api --method PATCH repos/me/mine/issues/comments/4711 --field body=@comment.md --silent"
    assert told.partition("|")[2] == (edited if known else "pr comment 7 --repo me/mine --body-file comment.md")


def test_gitlab_shows_the_report_and_its_jobs_exclude_each_other() -> None:
    (pipeline,) = [one for one in documents() if "prompt-check" in one]
    assert pipeline[".prompts"]["artifacts"]["reports"] == {"junit": "report.xml"}
    assert "--offline" in str(pipeline["prompt-check-recorded"]["script"])
    own, fork = (pipeline[name]["rules"][0]["if"] for name in ("prompt-check", "prompt-check-recorded"))
    assert fork == own.replace("PROJECT_ID == ", "PROJECT_ID != ")


def test_the_hooks_are_what_pre_commit_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", str(HOOKS)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    known = {hook["id"]: hook for hook in yaml.safe_load(HOOKS.read_text("utf-8"))}
    assert set(known) == {"promptprop-lint", "promptprop-check"}
    local, remote = ([hook["id"] for hook in one["repos"][0]["hooks"]] for one in documents() if "repos" in one)
    assert local == remote == list(known)


def test_the_configurations_of_pre_commit_are_ones_that_it_takes(tmp_path: Path) -> None:
    for number, text in enumerate(text for text in fences(PAGES[0], "yaml") if text.startswith("repos:")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        command = [sys.executable, "-m", "pre_commit", "validate-config", str(file)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout
