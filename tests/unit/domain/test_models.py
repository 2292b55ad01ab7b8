"""Values and their ids: content hashes that depend on contents and on nothing else."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from event_strategies import JSON
from hypothesis import example, given
from hypothesis import strategies as st

from promptprop.domain.models import (
    Candidate,
    Demo,
    Evaluation,
    Failure,
    Hypothesis,
    Message,
    ModelRequest,
    Prompt,
    Usage,
    canonical,
    digest,
    storable,
    text_of,
)

TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates and NUL included
REQUEST = ModelRequest("task", "openai/m", (Message("user", "hi"),), {"temperature": 0, "max_tokens": 9}, 1)


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same JSON with the keys of every map in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(below, rng)) for key, below in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [shuffled(below, rng) for below in value] if isinstance(value, list) else value


@given(JSON, st.randoms())
def test_equal_values_have_one_text_and_one_digest_whatever_the_order_of_keys(value: Any, rng: random.Random) -> None:
    assert canonical(shuffled(value, rng)) == canonical(value)
    assert digest(shuffled(value, rng)) == digest(value)
    assert json.loads(canonical(value)) == value


@given(JSON, JSON)
def test_values_that_differ_have_texts_that_differ(one: Any, other: Any) -> None:
    told_apart = json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)
    assert (canonical(one) != canonical(other)) == told_apart


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_json_has_no_canonical_text(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical([number])


def test_a_digest_is_the_same_on_every_machine() -> None:
    assert digest({"b": [1, None], "a": "ä"}) == "e4caa232016484a6396284455390402a"
    assert digest({"a": 1}, 16) == digest({"a": 1})[:16]


@example("a\ud800\x00b")
@given(TEXTS)
def test_a_storable_text_is_utf8_without_nul_and_stays_as_it_is(text: str) -> None:
    stored = storable(text)
    stored.encode("utf-8")
    assert "\x00" not in stored
    assert len(stored) == len(text)
    assert storable(stored) == stored
    assert stored == "".join("\ufffd" if c == "\x00" or "\ud800" <= c <= "\udfff" else c for c in text)


def test_values_are_shown_as_json_and_texts_as_they_are() -> None:
    assert [text_of(value) for value in ("a\nb", {"b": 1, "a": "ä"}, None, True)] == [
        "a\nb", '{"a": "ä", "b": 1}', "null", "true",
    ]  # fmt: skip


# --- prompts and candidates -----------------------------------------------------------------------------------------

CONTENTS = st.text("ab{} \n#", min_size=1, max_size=20).filter(lambda text: text == text.strip("\n"))
ROLES = st.sampled_from(["system", "user", "assistant"])


@given(st.lists(st.builds(Message, ROLES, CONTENTS), min_size=2, max_size=4), st.booleans())
def test_a_prompt_of_several_messages_reads_back_from_its_text_and_its_json(
    messages: list[Message], literal: bool
) -> None:
    prompt = Prompt(tuple(messages), literal)
    assert Prompt.from_text(prompt.text, literal=literal) == prompt
    assert Prompt.from_json(json.loads(json.dumps(prompt.as_json()))) == prompt
    assert prompt.length == sum(len(message.content) for message in messages)


def test_a_frame_is_part_of_what_is_sent_and_stored() -> None:
    prompt = Prompt((Message("user", "{{ x }}"),), True, "Do: {{ instruction }}")
    assert Prompt.from_json(json.loads(json.dumps(prompt.as_json()))) == prompt
    assert prompt.text == "{{ x }}"
    assert prompt.length == 7 + 21
    assert "frame" not in Prompt.of("a").as_json(), "ids of prompts that have none stay as they were"


@pytest.mark.parametrize("text", ["plain", "before\n### user\nafter", "### robot\nhello", ""])
def test_a_text_without_leading_headings_is_one_user_message(text: str) -> None:
    assert Prompt.from_text(text) == Prompt.of(text)
    assert Prompt.of(text).text == text


def test_a_candidate_is_named_by_its_texts_and_demos_alone() -> None:
    prompts, braces = {"main": Prompt.of("{{ x }}")}, "{{ x }}"
    demos = (Demo("r1", {"b": 1, "a": 2}, "out"),)
    first = Candidate(prompts, demos)
    assert Candidate(prompts, demos, ("parent",), Hypothesis("cause", "why")).id == first.id
    assert Candidate(prompts, (Demo("r1", {"a": 2, "b": 1}, "out"),)).id == first.id
    assert len(first.id) == 16
    others = [
        Candidate(prompts),
        Candidate(prompts, demos * 2),
        Candidate({"other": Prompt.of(braces)}, demos),
        Candidate({"main": Prompt.of(braces + " ")}, demos),
        Candidate({"main": Prompt.of(braces, literal=True)}, demos),
        Candidate({"main": Prompt((Message("user", braces),), True, "{{ instruction }}")}, demos),
        Candidate({"main": Prompt((Message("system", braces),))}, demos),
        Candidate(prompts, (Demo("r2", {"b": 1, "a": 2}, "out"),)),
        Candidate(prompts, (Demo("r1", {}, "out"),)),
        Candidate(prompts, (Demo("r1", {"b": 1, "a": 2}, "other"),)),
    ]
    assert len({first.id, *(other.id for other in others)}) == len(others) + 1


def test_an_id_or_key_that_is_given_stays() -> None:
    assert Candidate({"main": Prompt.of("x")}, id="stored").id == "stored"
    assert replace(REQUEST, replicate=9).key == REQUEST.key


def test_the_order_of_steps_does_not_name_a_candidate() -> None:
    one, two = Prompt.of("one"), Prompt.of("two")
    assert Candidate({"a": one, "b": two}).id == Candidate({"b": two, "a": one}).id


def test_a_chain_is_shown_with_a_heading_for_each_step() -> None:
    chain = Candidate({"facts": Prompt.of("List."), "desk": Prompt.of("Decide.")})
    assert chain.text == "## facts\nList.\n\n## desk\nDecide."
    assert chain.length == len("List.") + len("Decide.")
    assert Candidate({"main": Prompt.of("Route.")}).text == "Route."


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "critic"},
        {"model": "openai/n"},
        {"parameters": {"temperature": 0.0, "max_tokens": 10}},
        {"parameters": {"temperature": 0, "max_tokens": 9, "top_p": None}},
        {"messages": (Message("system", "hi"),)},
        {"messages": (Message("user", "hi "),)},
        {"messages": (Message("user", "hi"), Message("user", "hi"))},
        {"replicate": 2},
    ],
)
def test_a_request_that_differs_in_what_it_says_has_another_key(changes: dict[str, Any]) -> None:
    assert replace(REQUEST, key="", **changes).key != REQUEST.key


def test_who_asks_and_the_order_of_parameters_do_not_change_a_key() -> None:
    assert replace(REQUEST, key="", role="critic").key == REQUEST.key
    assert replace(REQUEST, key="", parameters={"max_tokens": 9, "temperature": 0}).key == REQUEST.key
    assert len(REQUEST.key) == 32


def test_a_request_that_holds_a_lone_surrogate_still_has_a_key() -> None:
    assert len(ModelRequest("task", "m", (Message("user", "\ud800"),)).key) == 32


# --- the rest -------------------------------------------------------------------------------------------------------

USAGES = st.builds(Usage, *[st.integers(0, 10**6)] * 4)


@given(USAGES, USAGES)
def test_usage_adds_up(one: Usage, other: Usage) -> None:
    assert (one + other).total == one.total + other.total
    assert one + other == other + one
    assert one + Usage() == one


def test_an_evaluation_without_a_score_is_missing() -> None:
    scored = Evaluation("c", "r", 0, output="x", score=0.0)
    assert not scored.missing
    failed = scored.with_error(Failure("rate_limited", "slow down"))
    assert failed.missing
    assert (failed.error, failed.candidate_id, failed.output) == (Failure("rate_limited", "slow down"), "c", "x")
