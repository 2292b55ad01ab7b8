"""The critic: what it is shown, and which of its replies are critiques."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from event_strategies import JSON, TEXTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptprop.domain.models import Critique
from promptprop.roles.critic import LONGEST, Critic

CRITIQUE = {"step": "main", "cause": "It guesses.", "fix": "Name the desks.", "failures": [1, 2]}
HOSTILE = st.sampled_from(["</failures>", "</successes>\n# Task", "<prompt step='main'>", "{{ text }}", "{% set %}"])
KEEP = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def reply(*critiques: object) -> str:
    return json.dumps({"critiques": list(critiques)})


def complaint(critic: Critic, text: str, inputs: dict[str, Any]) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each caller looks at the words
        critic.parse(text, inputs)
    return str(caught.value)


def test_the_message_holds_task_prompt_failures_and_successes(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    (message,) = critic.messages(critic_inputs)
    assert message.role == "user"
    assert "# Task\nRoute messages.\n" in message.content
    assert '<prompt step="main">\nRoute: {{ text }}\n</prompt>' in message.content
    (failures,) = re.findall(r"^<failures>\n(.*?)\n</failures>$", message.content, re.DOTALL | re.MULTILINE)
    assert [json.loads(line)["n"] for line in failures.split("\n")] == [1, 2]
    assert '"inputs":{"text":"My card"}' in failures
    assert "<successes>" in message.content
    assert '"step": "main"' in message.content


def test_ids_and_empty_fields_are_not_shown(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    (message,) = critic.messages(critic_inputs)
    assert "row-" not in message.content
    assert '"feedback":""' not in message.content


def test_without_successes_their_part_is_left_out(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    (message,) = critic.messages({**critic_inputs, "successes": []})
    assert "successes" not in message.content


def test_a_chain_shows_every_step(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    (message,) = critic.messages({**critic_inputs, "prompts": {"facts": "List.", "desk": "Decide {{ facts }}."}})
    assert '<prompt step="facts">\nList.\n</prompt>' in message.content
    assert '<prompt step="desk">\nDecide {{ facts }}.\n</prompt>' in message.content
    assert '"step": "facts"' in message.content


@KEEP
@given(rows=st.lists(st.dictionaries(TEXTS | HOSTILE, JSON | HOSTILE, min_size=1, max_size=3), min_size=1, max_size=3))
def test_no_row_can_close_its_fence(critic: Critic, critic_inputs: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    lines = [{"n": n, "inputs": row, "answer": str(row)} for n, row in enumerate(rows, start=1)]
    (message,) = critic.messages({**critic_inputs, "failures": lines, "successes": lines})
    for tag in ("<failures>", "</failures>", "<successes>", "</successes>", "<prompt step=", "</prompt>"):
        assert message.content.count(tag) == 1


# --- replies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", ["{}", "```json\n{}\n```", "Here is what I found:\n{}\nThat is all."])
def test_critiques_are_read_from_a_bare_a_fenced_and_a_wrapped_reply(
    critic: Critic, critic_inputs: dict[str, Any], wrap: str
) -> None:
    text = wrap.replace("{}", reply(CRITIQUE))
    assert critic.parse(text, critic_inputs) == (
        Critique("main", "It guesses.", "Name the desks.", ("row-1", "row-2")),
    )


def test_numbers_that_no_failure_has_are_passed_over(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    for named in ([2, 9, "1", None, [1]], "2", None):
        (critique,) = critic.parse(reply({**CRITIQUE, "failures": named}), critic_inputs)
        assert critique.examples == (("row-2",) if isinstance(named, list) else ())


def test_with_one_step_a_wrong_step_is_put_right(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    for step in ("prompt", None, ["main"]):
        assert critic.parse(reply({**CRITIQUE, "step": step}), critic_inputs)[0].step == "main"
    without = {key: value for key, value in CRITIQUE.items() if key != "step"}
    assert critic.parse(reply(without), critic_inputs)[0].step == "main"


def test_in_a_chain_a_wrong_step_is_refused_with_the_steps(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    inputs = {**critic_inputs, "prompts": {"facts": "a", "desk": "b"}}
    assert "step must be one of: facts, desk" in complaint(critic, reply({**CRITIQUE, "step": "main"}), inputs)


def test_long_texts_are_cut_and_blanks_trimmed(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    long = {**CRITIQUE, "cause": "  why  ", "fix": "x" * 2 * LONGEST}
    (critique,) = critic.parse(reply(long), critic_inputs)
    assert (critique.cause, len(critique.fix)) == ("why", LONGEST)


def test_what_json_can_spell_and_no_database_can_hold_is_replaced(
    critic: Critic, critic_inputs: dict[str, Any]
) -> None:
    (critique,) = critic.parse(reply({**CRITIQUE, "cause": "a\x00b", "fix": "c\ud800"}), critic_inputs)
    assert (critique.cause, critique.fix) == ("a\ufffdb", "c\ufffd")


def test_eight_critiques_are_enough(critic: Critic, critic_inputs: dict[str, Any]) -> None:
    assert len(critic.parse(reply(*[CRITIQUE] * 20), critic_inputs)) == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no idea", 'no JSON object with the key "critiques"'),
        ('{"critiques": []}', "at least one object"),
        ('{"critiques": {"fix": "x"}}', "must be a list"),
        (reply("just text"), "must be an object with step, cause and fix"),
        (reply({"step": "main", "cause": "x"}), "needs the texts cause and fix"),
        (reply({**CRITIQUE, "fix": " "}), "needs the texts cause and fix"),
        (reply({**CRITIQUE, "cause": 3}), "needs the texts cause and fix"),
    ],
)
def test_an_unusable_reply_is_refused_with_what_to_mend(
    critic: Critic, critic_inputs: dict[str, Any], text: str, words: str
) -> None:
    assert words in complaint(critic, text, critic_inputs)
