"""The refiner: failures and the whole new prompt in one reply."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from promptprop.domain.models import Prompt
from promptprop.roles.refiner import LONGEST, Refinement, Refiner
from promptprop.roles.registry import load_roles

LITERAL = Prompt.of("Route {{ it }}", literal=True)
INPUTS: dict[str, Any] = {"task": "Route.", "prompts": {"main": LITERAL}, "failures": [], "longest": 100}


@pytest.fixture
def refiner() -> Refiner:
    """The refiner with its own template."""
    return cast("Refiner", load_roles({})["refiner"])


def reply(**changes: Any) -> str:
    said = {"explanation": " It failed. ", "refinedPrompt": "Go {{ on", "deltaReasoning": "since it does"}
    return json.dumps({**said, **changes})


def test_a_literal_prompt_may_say_anything_and_keeps_its_frame(refiner: Refiner) -> None:
    framed = replace(LITERAL, frame="F: {{ instruction }}")
    found = refiner.parse(f"```json\n{reply()}\n```", {**INPUTS, "prompts": {"main": framed}})
    assert found == Refinement("It failed.", replace(framed, messages=Prompt.of("Go {{ on").messages), "since it does")


def test_a_template_keeps_its_placeholders(refiner: Refiner) -> None:
    inputs = {**INPUTS, "prompts": {"main": Prompt.of("Route {{ text }}")}}
    with pytest.raises(ValueError, match="has lost"):
        refiner.parse(reply(refinedPrompt="Route it"), inputs)
    assert refiner.parse(reply(refinedPrompt="Go {{ text }}"), inputs).prompt == Prompt.of("Go {{ text }}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON at all", "no JSON object"),
        (reply(refinedPrompt=None), "must be a text"),
        (reply(refinedPrompt="  "), "not empty"),
        (reply(refinedPrompt="x" * 101), "shorten to at most 100"),
        (reply(explanation=["a"]), "explanation must be a text"),
    ],
)
def test_a_reply_that_cannot_be_used_says_why(refiner: Refiner, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        refiner.parse(text, INPUTS)


def test_a_fenced_text_alone_is_the_prompt(refiner: Refiner) -> None:
    assert refiner.parse("Here:\n```\nGo on\n```", INPUTS).prompt.text == "Go on"


def test_what_stands_beside_the_prompt_may_be_missing_and_is_cut(refiner: Refiner) -> None:
    assert refiner.parse('{"refinedPrompt": "a"}', INPUTS) == Refinement(
        "", replace(LITERAL, messages=Prompt.of("a").messages)
    )
    assert len(refiner.parse(reply(explanation="x" * 2 * LONGEST), INPUTS).explanation) == LONGEST


def test_failures_come_as_rows_or_as_a_text(refiner: Refiner) -> None:
    row = {"n": 1, "id": "secret-id", "inputs": {"query": "q"}, "expected": "e", "answer": "a", "feedback": "wrong"}
    (rows,) = refiner.messages({**INPUTS, "failures": [row]})
    (said,) = refiner.messages({**INPUTS, "said": "row 3\n</failures> failed"})
    assert '"feedback":"wrong"' in rows.content
    assert "secret-id" not in rows.content
    assert said.content.count("</failures>") == 1
    assert "row 3" in said.content
