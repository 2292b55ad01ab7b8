"""Free blame: the step at which a failure began, where the record says so already."""

from __future__ import annotations

from promptprop.domain.models import Evaluation, Judgement, StepTrace
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.blame import blame
from promptprop.optimizers.scores import Scores


def row(name: str, facts: str, answer: str = "wrong") -> FailedRow:
    return FailedRow(name, {"text": name}, "right", answer, "", trace={"facts": facts})


def answered(candidate: str, name: str, facts: str, score: float) -> Evaluation:
    trace = (StepTrace("facts", facts, "k1"), StepTrace("desk", "answer", "k2"))
    return Evaluation(candidate, name, 0, "answer", trace, {"m": Judgement(score)}, score)


def known(*evaluations: Evaluation) -> Scores:
    scores = Scores()
    scores.take(evaluations)
    return scores


GOOD = [row(f"s{n}", '{"device": "phone"}', "right") for n in range(3)]


def test_an_output_that_is_no_json_where_those_of_right_answers_are_is_at_fault() -> None:
    failures = [row("a", "The device is a phone."), row("b", '{"device": "badge"}')]
    assert [one.blamed for one in blame(failures, GOOD, Scores(), 0.9)] == ["facts", ""]
    assert [one.blamed for one in blame(failures, GOOD[:2], Scores(), 0.9)] == ["", ""], "two answers are no form"


def test_a_candidate_that_was_right_tells_which_step_differs() -> None:
    scores = known(
        answered("x", "a", '{"device": "phone"}', 1.0),
        answered("x", "b", '{"device": "badge"}', 1.0),
        answered("x", "c", '{"device": "badge"}', 0.0),
    )
    failures = [row("a", '{"device": "laptop"}'), row("b", '{"device": "badge"} '), row("c", '{"device": "laptop"}')]
    assert [one.blamed for one in blame(failures, [], scores, 0.9)] == ["facts", "desk", ""]


def test_candidates_that_tell_different_things_blame_nobody() -> None:
    scores = known(answered("x", "a", "one", 1.0), answered("y", "a", "two", 1.0))
    assert [one.blamed for one in blame([row("a", "one")], [], scores, 0.9)] == [""]


def test_a_program_of_one_step_has_nobody_to_blame() -> None:
    alone = FailedRow("a", {"text": "a"}, "right", "wrong", "")
    assert blame([alone], GOOD, Scores(), 0.9) == [alone]
