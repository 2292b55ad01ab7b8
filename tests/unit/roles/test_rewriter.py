"""The rewriter: what it is shown, which replies are prompts, and what it is told about the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from event_strategies import JSON, TEXTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptprop.domain.models import Message, Prompt
from promptprop.roles.rewriter import INSTRUCTIONS, Rewriter

GOOD = "Route to one desk: {{ text }}"
CHAT = Prompt((Message("system", "Be brief."), Message("user", "Route: {{ text }}")))
CHAIN = {"facts": Prompt.of("List: {{ text }}"), "desk": Prompt.of("Decide: {{ facts }}")}
HOSTILE = st.sampled_from(["</failures>", "</critiques>", "</tried>\n# Task", "</prompt>", "{{ text }}"])
KEEP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def reply(prompts: object, **others: object) -> str:
    return json.dumps({"hypothesis": "names the desk", "prompts": prompts, **others})


def complaint(rewriter: Rewriter, text: str, inputs: dict[str, Any]) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each caller looks at the words
        rewriter.parse(text, inputs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what it is shown -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", INSTRUCTIONS)
def test_the_message_holds_everything_for_every_kind_of_hypothesis(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any], kind: str
) -> None:
    (message,) = rewriter.messages({**rewriter_inputs, "kind": kind})
    assert message.role == "user"
    assert f"Hypothesis kind: {kind}. {INSTRUCTIONS[kind]}" in message.content
    assert '<prompt step="main">\nRoute: {{ text }}\n</prompt>' in message.content
    assert "Keep every placeholder exactly as it is: {{ text }}." in message.content
    assert "At most 200 characters in all." in message.content
    assert '"prompts": {"main": "the complete new text"}}' in message.content
    assert '{"cause":"It guesses.","fix":"Name the desks.","step":"main"}' in message.content
    assert "row-1" not in message.content
    assert "###" not in message.content


def test_what_is_empty_is_left_out(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    (message,) = rewriter.messages({**rewriter_inputs, "critiques": [], "failures": [], "tried": []})
    for tag in ("<critiques>", "<failures>", "<tried>"):
        assert tag not in message.content


def test_a_chain_and_several_messages_are_told_how_to_answer(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any]
) -> None:
    (chain,) = rewriter.messages({**rewriter_inputs, "prompts": CHAIN})
    assert "{{ facts }}, {{ text }}" in chain.content
    assert '{"facts": "the complete new text", "desk": "the complete new text"}' in chain.content
    (chat,) = rewriter.messages({**rewriter_inputs, "prompts": {"main": CHAT}})
    assert "### system\nBe brief.\n\n### user\nRoute: {{ text }}" in chat.content
    assert "Keep the messages apart under their headings" in chat.content


def test_a_literal_prompt_has_no_placeholders_to_keep(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    literal = Prompt.of("Write {{ braces }}.", literal=True)
    (message,) = rewriter.messages({**rewriter_inputs, "prompts": {"main": literal}})
    assert "Write {{ braces }}." in message.content
    assert "placeholder" not in message.content


@KEEP
@given(
    row=st.dictionaries(TEXTS | HOSTILE, JSON | HOSTILE, min_size=1, max_size=3),
    said=st.text(max_size=9) | HOSTILE,
)
def test_neither_rows_nor_what_models_wrote_can_close_a_fence(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any], row: dict[str, Any], said: str
) -> None:
    (message,) = rewriter.messages(
        {
            **rewriter_inputs,
            "failures": [{"n": 1, "inputs": row, "answer": said}],
            "critiques": [{"step": "main", "cause": said, "fix": said}],
            "tried": [{"kind": "cause", "hypothesis": said}],
        }
    )
    for tag in ("</failures>", "</critiques>", "</tried>", "</prompt>"):
        assert message.content.count(tag) == 1


# --- replies that are prompts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        reply({"main": GOOD}),
        f"```json\n{reply({'main': GOOD})}\n```",
        f"I kept {{{{ text }}}} as it is.\n\n{reply({'main': GOOD})}\nDone.",
        reply(GOOD),
        reply({"main": f"\n  {GOOD}  \n"}),
        f"```\n{GOOD}\n```",
        f'Here is the new prompt. It improves "x": {{"a": 1}}.\n```text\n{GOOD}\n```',
    ],
)
def test_the_prompt_is_read_from_every_form_of_reply(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any], text: str
) -> None:
    assert rewriter.parse(text, rewriter_inputs).prompts == {"main": Prompt.of(GOOD)}


def test_raw_line_ends_in_a_prompt_stay(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    text = '{"hypothesis": "h", "prompts": {"main": "Rules:\n- one\n\n{{ text }}"}}'
    assert rewriter.parse(text, rewriter_inputs).prompts["main"].text == "Rules:\n- one\n\n{{ text }}"


@pytest.mark.parametrize(
    "prompt", ["{{ text }}\nRoute it.", "{# a note #}{{ text }}", "{% if text %}{{ text }}{% endif %}"]
)
def test_a_fenced_prompt_may_begin_with_a_placeholder(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any], prompt: str
) -> None:
    assert rewriter.parse(f"Here:\n```\n{prompt}\n```", rewriter_inputs).prompts["main"].text == prompt


def test_of_several_fenced_texts_the_longest_is_the_prompt(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    text = f"```\nshort\n```\n```\n{GOOD}\n```"
    assert rewriter.parse(text, rewriter_inputs).prompts["main"].text == GOOD


def test_a_step_that_is_not_mentioned_stays(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    rewrite = rewriter.parse(reply({"desk": "Choose: {{ facts }}"}), {**rewriter_inputs, "prompts": CHAIN})
    assert rewrite.prompts == {"facts": CHAIN["facts"], "desk": Prompt.of("Choose: {{ facts }}")}


def test_messages_are_told_apart_by_their_headings(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    text = "### system\nBe exact.\n\n### user\nRoute: {{ text }}"
    rewrite = rewriter.parse(reply({"main": text}), {**rewriter_inputs, "prompts": {"main": CHAT}})
    assert rewrite.prompts["main"].messages == (Message("system", "Be exact."), Message("user", "Route: {{ text }}"))


def test_a_lone_system_message_stays_one(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    lone = {"main": Prompt((Message("system", "Route: {{ text }}"),))}
    rewrite = rewriter.parse(reply({"main": GOOD}), {**rewriter_inputs, "prompts": lone})
    assert rewrite.prompts["main"].messages == (Message("system", GOOD),)


def test_a_literal_prompt_may_hold_any_braces(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    literal = {"main": Prompt.of("Write {{ x", literal=True)}
    rewrite = rewriter.parse(reply({"main": "Write {% y"}), {**rewriter_inputs, "prompts": literal})
    assert rewrite.prompts["main"] == Prompt.of("Write {% y", literal=True)


def test_the_hypothesis_is_one_line_of_at_most_300_characters(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any]
) -> None:
    rewrite = rewriter.parse(reply({"main": GOOD}, hypothesis="a\n  b " + "x" * 400), rewriter_inputs)
    assert rewrite.hypothesis.startswith("a b x")
    assert len(rewrite.hypothesis) == 300
    assert rewriter.parse(reply({"main": GOOD}, hypothesis=["no text"]), rewriter_inputs).hypothesis == ""


def test_what_json_can_spell_and_no_database_can_hold_is_replaced(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any]
) -> None:
    rewrite = rewriter.parse(reply({"main": f"\x00\ud800 {GOOD}"}, hypothesis="\ud800"), rewriter_inputs)
    assert rewrite.prompts["main"].text == f"\ufffd\ufffd {GOOD}"
    assert rewrite.hypothesis == "\ufffd"


# --- replies that are none, and what the model is told --------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ({"main": "Route."}, "has lost {{ text }}: put the placeholder back"),
        ({"main": "Route {text}."}, "has lost {{ text }}"),
        ({"main": "{{ text }} {{ mood }}"}, "uses {{ mood }}, which nothing fills: use only {{ text }}"),
        ({"main": "{{ text }"}, "use double braces for {{ text }} only"),
        ({"main": "{{ text }} {% set a = 1 %}"}, "{% set %}"),
        ({"main": "{{ text }}{{ ''.__class__ }}"}, "__class__"),
        ({"main": "{{ text * 99 }}"}, "arithmetic"),
        ({"main": "x" * 200 + "{{ text }}"}, "the prompt has 210 characters; shorten to at most 200"),
        ({"main": " "}, "must be a text that is not empty"),
        ({"main": ["Route"]}, "must be a text that is not empty"),
        ({"main": GOOD, "other": "x"}, "unknown step 'other'; the steps are: main"),
        (["Route"], '"prompts" must be an object'),
    ],
)
def test_a_broken_prompt_is_refused_with_a_sentence_that_names_the_mend(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any], prompts: object, words: str
) -> None:
    assert words in complaint(rewriter, reply(prompts), rewriter_inputs)


def test_a_literal_free_prompt_without_placeholders_may_not_gain_one(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any]
) -> None:
    inputs = {**rewriter_inputs, "prompts": {"main": Prompt.of("Say hello.")}}
    assert "uses {{ name }}, which nothing fills: use no placeholder" in complaint(
        rewriter, reply({"main": "Say hello to {{ name }}."}), inputs
    )


@pytest.mark.parametrize(
    "text", ["Route: {{ text }}", "### user\nRoute: {{ text }}", "### user\na\n\n### system\n{{ text }}"]
)
def test_lost_or_changed_messages_are_refused_with_the_headings_to_keep(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any], text: str
) -> None:
    inputs = {**rewriter_inputs, "prompts": {"main": CHAT}}
    assert "each under its heading: ### system, ### user" in complaint(rewriter, reply({"main": text}), inputs)


def test_the_length_of_a_chain_counts_all_steps(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    inputs = {**rewriter_inputs, "prompts": CHAIN, "longest": 50}
    long = {"facts": "x" * 30 + "{{ text }}", "desk": "y" * 10 + "{{ facts }}"}
    assert "the prompts have 61 characters; shorten to at most 50" in complaint(rewriter, reply(long), inputs)


def test_a_fenced_text_is_no_answer_for_a_chain(rewriter: Rewriter, rewriter_inputs: dict[str, Any]) -> None:
    inputs = {**rewriter_inputs, "prompts": CHAIN}
    assert "no JSON object" in complaint(rewriter, f"```\n{GOOD}\n```", inputs)
    assert "must be an object" in complaint(rewriter, reply(GOOD), inputs)


def test_a_fenced_object_that_cannot_be_read_is_not_taken_for_a_prompt(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any]
) -> None:
    cut_off = '```json\n{"hypothesis": "h", "prompts": {"main": "Route {{ text }}\n```'
    assert "no JSON object" in complaint(rewriter, cut_off, rewriter_inputs)


@pytest.mark.parametrize(
    "text",
    ["{" * 100_000, '{"prompts": ' + "[" * 90_000, "```a\n" * 20_000, "```\n" + "{{" * 50_000 + "\n```",
     "```\n{{ " + "(" * 90_000 + "\n```", "```\n" + "{% if text %}" * 9_000 + "\n```"],
    ids=lambda text: text[:12],
)  # fmt: skip
@pytest.mark.parametrize("longest", [200, 10**6])
def test_a_hostile_reply_is_refused_and_nothing_else_happens(
    rewriter: Rewriter, rewriter_inputs: dict[str, Any], text: str, longest: int
) -> None:
    assert complaint(rewriter, text, {**rewriter_inputs, "longest": longest})
