"""Prompt files: texts, roles, documents; programs and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.prompts import parse_prompt, read_prompts
from promptprop.domain.config import RunConfig
from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Message, Prompt, Step

CONTENTS = st.from_regex(r"[a-z{} #]{1,20}(\n[a-z #]{1,20}){0,2}", fullmatch=True).filter(
    lambda text: "###" not in text
)
ROLES = st.sampled_from(["system", "user", "assistant"])


def config(**changes: Any) -> RunConfig:
    parts = {
        "task": "t",
        "data": {"file": "x", "inputs": "text"},
        "models": {"task": "offline/x"},
        "metrics": ["exact"],
    }
    return RunConfig.model_validate({**parts, **changes})


def test_a_text_file_is_one_user_message(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Title\n\nRoute {{ text }}\n")
    program, seeds = read_prompts(config(prompt={"file": str(tmp_path / "a.md"), "literal": True}))
    assert program.steps == (Step("main", "output"),)
    assert [seed.prompts["main"] for seed in seeds] == [Prompt.of("# Title\n\nRoute {{ text }}", literal=True)]


def test_a_literal_text_stands_in_its_frame() -> None:
    _, (seed,) = read_prompts(config(prompt={"text": "{{", "literal": True, "frame": "{{ instruction }}: {{ text }}"}))
    assert seed.prompts["main"] == Prompt((Message("user", "{{"),), True, "{{ instruction }}: {{ text }}")


@given(st.lists(st.builds(Message, ROLES, CONTENTS), min_size=2, max_size=4))
def test_a_prompt_of_several_messages_is_read_back_from_its_text(messages: list[Message]) -> None:
    prompt = Prompt(tuple(messages))
    assert parse_prompt(prompt.text) == prompt


def test_a_role_heading_inside_a_text_that_begins_otherwise_is_text() -> None:
    assert parse_prompt("Hello\n### user\nx").messages == (Message("user", "Hello\n### user\nx"),)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "- {role: system, content: Be short.}\n- {role: user, content: '{{ text }}'}\n"),
        (
            "a.json",
            '{"messages": [\n\t{"role": "system", "content": "Be short."}, {"role": "user", "content": "{{ text }}"}]}',
        ),
        ("a.txt", "### system\nBe short.\n\n### user\n{{ text }}\n"),
    ],
)
def test_messages_are_read_from_every_kind_of_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    _, (seed,) = read_prompts(config(prompt={"file": str(tmp_path / name)}))
    assert seed.prompts["main"].messages == (Message("system", "Be short."), Message("user", "{{ text }}"))


def test_a_chain_is_one_seed_with_a_prompt_a_step() -> None:
    steps = [{"id": "facts", "prompt": "a"}, {"id": "desk", "prompt": "b", "output": "answer", "model": "offline/y"}]
    program, seeds = read_prompts(config(steps=steps))
    assert program.steps == (Step("facts", "facts"), Step("desk", "answer", "step.desk"))
    assert [seed.text for seed in seeds] == ["## facts\na\n\n## desk\nb"]


def test_equal_seeds_count_once() -> None:
    _, seeds = read_prompts(config(prompt=["a", "b", "a"]))
    assert [seed.text for seed in seeds] == ["a", "b"]


def test_the_problems_of_all_prompt_files_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- {role: robot, content: x}\n")
    (tmp_path / "b.json").write_text("[1,")
    (tmp_path / "c.md").write_text(" \n")
    files = [{"file": str(tmp_path / name)} for name in ("a.yaml", "b.json", "c.md", "d.md")]
    with pytest.raises(ConfigError) as caught:
        read_prompts(config(prompt=files))
    messages = [problem.message for problem in caught.value.problems]
    assert messages[0] == "role: expected 'system', 'user' or 'assistant', got the text 'robot'"
    assert caught.value.problems[0].place is not None
    assert (caught.value.problems[0].place.line, caught.value.problems[0].place.column) == (1, 10)
    assert [message.split(":")[0] for message in messages[1:]] == [
        "not valid JSON",
        "the prompt is empty",
        "no such file",
    ]
