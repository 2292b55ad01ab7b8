"""Exports: what stands in them reads back, and the Python module runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.files.exporters import EXPORTERS, export_prompt
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Candidate, Demo, Message, Program, Prompt, Step, demo_block, storable
from promptprop.roles.template import fill_prompt

ONE = Program((Step("main", "answer"),))
CHAIN = Program((Step("facts", "facts"), Step("desk", "desk")))
SYSTEM = Prompt((Message("system", "Be “kind”.\n\n  ```\nx\n```"), Message("user", "{{ text }}\n")))
DEMOS = (Demo("r1", {"text": "{{ not a variable }}"}, "bill\ning"), Demo("r2", {"text": "b"}, "security"))
CHAINED = Candidate({"facts": SYSTEM, "desk": Prompt.of("{{ facts }} → {{ meta.desk }}")}, DEMOS)
TEXTS = st.text(st.characters() | st.sampled_from("\n\n \t\r\x85\u2028\ufeff:#-'\"|>{}`"), max_size=40).map(storable)


def single(text: str, *, literal: bool = False) -> Candidate:
    return Candidate({"main": Prompt.of(text, literal=literal)})


def exported(candidate: Candidate, format_name: str, program: Program = ONE) -> str:
    text = export_prompt(candidate, program, format_name)
    assert isinstance(text, str)
    return text


def renderer(candidate: Candidate, program: Program = ONE) -> Callable[..., list[dict[str, str]]]:
    module: dict[str, Any] = {}
    exec(compile(exported(candidate, "python", program), "exported.py", "exec"), module)
    return module["render"]


def filled(prompt: Prompt, **values: object) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in fill_prompt(prompt, values)]


@pytest.mark.parametrize("format_name", ["json", "yaml"])
def test_documents_hold_steps_messages_and_demos(format_name: str) -> None:
    text = exported(CHAINED, format_name, CHAIN)
    document = json.loads(text) if format_name == "json" else yaml.safe_load(text)
    assert document["id"] == CHAINED.id
    assert [step["id"] for step in document["steps"]] == ["facts", "desk"]
    assert document["steps"][0] == {
        "id": "facts",
        "output": "facts",
        "literal": False,
        "messages": [
            {"role": "system", "content": SYSTEM.messages[0].content},
            {"role": "user", "content": "{{ text }}\n"},
        ],
    }
    assert document["demos"][0] == {
        "example_id": "r1",
        "inputs": {"text": "{{ not a variable }}"},
        "output": "bill\ning",
    }


@given(TEXTS)
def test_every_text_reads_back_exactly(text: str) -> None:
    candidate = single(text)
    for document in (json.loads(exported(candidate, "json")), yaml.safe_load(exported(candidate, "yaml"))):
        assert document["steps"][0]["messages"] == [{"role": "user", "content": text}]
    assert exported(candidate, "txt") == text


@pytest.mark.parametrize("text", ["\x85", "a\n\x85b", "\n a", "a \n b", "yes", "1", "- a\n- b", "a: b # c", ""])
def test_yaml_holds_awkward_texts(text: str) -> None:
    document = yaml.safe_load(exported(single(text), "yaml"))
    assert document["steps"][0]["messages"][0]["content"] == text


def test_yaml_shows_texts_of_several_lines_as_blocks() -> None:
    assert "content: |\n      one\n      two\n" in exported(single("one\ntwo\n"), "yaml")


def test_the_python_module_fills_variables_as_the_run_did() -> None:
    render = renderer(CHAINED, CHAIN)
    values = {"text": "hé {{ x }}", "facts": ["a", True], "meta": {"desk": None}}
    assert render("facts", **values) == filled(CHAINED.prompts["facts"], **values)
    assert render(**values) == render("facts", **values)
    [last] = render("desk", **values)
    assert last["content"] == demo_block(DEMOS) + filled(CHAINED.prompts["desk"], **values)[0]["content"]


@given(
    st.lists(TEXTS.map(lambda text: text.replace("{", "(")) | st.just("{{ a }}") | st.just("{{b}}"), max_size=5),
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.lists(st.text(), max_size=3),
)
def test_the_python_module_agrees_with_the_template_language(parts: list[str], value: object) -> None:
    candidate = single("".join(parts))
    assert renderer(candidate)(a=value, b="{{ a }}") == filled(candidate.prompts["main"], a=value, b="{{ a }}")


FRAMED = Candidate(
    {"main": Prompt((Message("user", "{{ x }}"),), True, "T: {{ '{' }}\n\n{{ instruction }} {{ text }}")}
)


@pytest.mark.parametrize("format_name", ["json", "yaml", "markdown"])
def test_a_frame_is_exported_beside_its_text(format_name: str) -> None:
    assert "{{ instruction }} {{ text }}" in exported(FRAMED, format_name)
    assert "frame" not in exported(single("a"), format_name).lower()


def test_the_python_module_puts_a_literal_text_into_its_frame() -> None:
    assert renderer(FRAMED)(text="{{ y }}") == [{"role": "user", "content": "T: {\n\n{{ x }} {{ y }}"}]
    with pytest.raises(KeyError, match="text"):
        renderer(FRAMED)()


def test_a_frame_that_does_more_than_name_variables_is_no_python_module() -> None:
    prompt = Prompt((Message("user", "a"),), True, "{% if text %}{{ instruction }}{% endif %}")
    with pytest.raises(UsageError, match="frame"):
        export_prompt(Candidate({"main": prompt}), ONE, "python")


def test_the_python_module_sends_literal_texts_as_they_are() -> None:
    assert renderer(single("{% if %} {{ x }}\r\n", literal=True))() == [
        {"role": "user", "content": "{% if %} {{ x }}\r\n"}
    ]


def test_the_python_module_takes_a_variable_called_step_and_names_a_missing_one() -> None:
    render = renderer(single("{{ step }} {{ text }}"))
    assert render(step="a", text="b")[0]["content"] == "a b"
    with pytest.raises(KeyError, match="text"):
        render(step="a")


@pytest.mark.parametrize(
    "text", ["{% if x %}a{% endif %}", "{{ x | upper }}", "{{- x }}", "{# a #}", "{{ true }}", "{{ x"]
)
def test_the_python_module_refuses_what_it_cannot_fill(text: str) -> None:
    with pytest.raises(UsageError, match="'main'") as caught:
        exported(single(text), "python")
    assert "json or yaml" in caught.value.remedy


def test_the_python_module_needs_the_standard_library_alone(tmp_path: Path) -> None:
    (tmp_path / "exported.py").write_text(exported(CHAINED, "python", CHAIN), "utf-8")
    code = "import exported; print(exported.render(text='a')[1]['content'])"
    run = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "a\n\n"


def test_markdown_fences_cannot_be_closed_by_the_text() -> None:
    page = exported(CHAINED, "markdown", CHAIN)
    assert "````text\nBe “kind”.\n\n  ```\nx\n```\n````" in page
    assert "## Step `desk` → `desk`" in page
    assert "bill\ning" in page


def test_plain_text_shows_steps_messages_and_demos() -> None:
    text = exported(CHAINED, "txt", CHAIN)
    assert text.startswith("## facts\n### system\nBe “kind”.")
    assert text.endswith("## desk\n" + demo_block(DEMOS) + "{{ facts }} → {{ meta.desk }}")


def test_plain_text_of_one_step_is_a_prompt_file_again() -> None:
    candidate = Candidate({"main": SYSTEM})
    assert exported(candidate, "txt") == SYSTEM.text


def test_an_unknown_format_suggests_the_closest() -> None:
    with pytest.raises(UsageError) as caught:
        export_prompt(single("a"), ONE, "markdwn")
    assert caught.value.remedy == "did you mean markdown?"


@pytest.mark.parametrize("format_name", EXPORTERS)
def test_every_registered_format_exports_a_chain_with_demos(format_name: str) -> None:
    text = exported(CHAINED, format_name, CHAIN)
    assert "Be “kind”." in text
    assert "security" in text
