"""What was asked on a row, step by step, and what came of each answer."""

from __future__ import annotations

from promptprop.domain.models import (
    Candidate,
    Evaluation,
    Example,
    Failure,
    Judgement,
    Program,
    Prompt,
    Step,
    StepTrace,
)
from promptprop.services.row_answers import row_answers

CHAIN = Program((Step("facts", "facts"), Step("desk", "output")))
CANDIDATE = Candidate({"facts": Prompt.of("Read {{ text }}"), "desk": Prompt.of("Decide by {{ facts }}")})
ROWS = [Example("a", {"text": "one"}, "yes"), Example("b", {"text": "two"})]


def answered(row: str, replicate: int, *outputs: str) -> Evaluation:
    trace = tuple(StepTrace(step, said, "") for step, said in zip(("facts", "desk"), outputs, strict=False))
    failure = None if len(outputs) == 2 else Failure("refused", "no")
    said, score = {"label": Judgement(1.0, "fine")}, None if failure else 1.0
    last = outputs[-1] if outputs else ""
    return Evaluation(CANDIDATE.id, row, replicate, last, trace, said, score, error=failure)


def test_each_step_is_shown_as_it_was_asked_with_what_earlier_steps_wrote() -> None:
    (first, _) = row_answers(CHAIN, CANDIDATE, ROWS, [answered("a", 1, "g", "no"), answered("a", 0, "f", "yes")])
    asked = {step: messages[0].content for step, messages in first.asked.items()}
    assert asked == {"facts": "Read one", "desk": "Decide by f"}
    assert [one.replicate for one in first.evaluations] == [0, 1]
    document = first.as_json()
    assert document["asked"][1] == {"step": "desk", "messages": [{"role": "user", "content": "Decide by f"}]}
    assert document["answers"][0]["metrics"] == {"label": {"score": 1.0, "said": "fine"}}
    assert document["answers"][0]["error"] is None


def test_a_row_that_failed_shows_what_was_asked_up_to_there() -> None:
    (_, second) = row_answers(CHAIN, CANDIDATE, ROWS, [answered("b", 0)])
    assert list(second.asked) == ["facts"]
    assert second.as_json()["answers"][0]["error"] == {"code": "refused", "message": "no"}


def test_answers_of_other_prompts_are_left_out() -> None:
    other = Candidate({"facts": Prompt.of("x {{ text }}"), "desk": Prompt.of("y")})
    assert [one.evaluations for one in row_answers(CHAIN, other, ROWS, [answered("a", 0, "f", "yes")])] == [(), ()]


def test_a_prompt_that_could_not_be_filled_was_not_asked() -> None:
    wanting = Candidate({"facts": Prompt.of("Read {{ gone }}"), "desk": Prompt.of("y")})
    assert row_answers(CHAIN, wanting, ROWS[:1], [])[0].asked == {}
