"""The frames of a search, from events and evaluations alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

import pytest

from promptprop.domain import events as facts
from promptprop.domain.budget import RoleSpend, Spend
from promptprop.domain.events import Estimate, Event, StoredEvent
from promptprop.domain.models import (
    Candidate,
    Critique,
    Evaluation,
    Failure,
    Hypothesis,
    Judgement,
    Prompt,
    Proposal,
    Usage,
)
from promptprop.server.frontend.rows import Member
from promptprop.server.frontend.story import Cast, Frame, Story

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
SEED = Candidate({"main": Prompt.of("first", literal=True)})
CHILD = Candidate(
    {"main": Prompt.of("second", literal=True)}, parents=(SEED.id,), hypothesis=Hypothesis("refine", "in short")
)
PROPOSALS = {SEED.id: Proposal(SEED), CHILD.id: Proposal(CHILD, (Critique("main", "because", "the whole story"),))}
CAST = Cast("run-1", ("r0", "r1"), (Member("a", "Ann"), Member("b", "Ben")), 5, 0.98, 0.002, 0.9)


def answer(candidate: Candidate, row: str, *scores: float | None, output: str = "out") -> Evaluation:
    known = [one for one in scores if one is not None]
    judged = {name: Judgement(one, f"{name} says") for name, one in zip("ab", scores, strict=False)}
    score = sum(known) / len(known) if known else None
    return Evaluation(candidate.id, row, 0, output, judgements=judged, score=score, usage=Usage(3, 4))


class Told:
    """A story with its events numbered, and what was told of it so far."""

    def __init__(self, cast: Cast = CAST) -> None:
        self.story = Story(cast, PROPOSALS)
        self.seq = 0

    def after(self, *events: Event, answers: Iterable[Evaluation] = (), spend: Spend | None = None) -> list[Frame]:
        meta = {"spend": spend.as_json()} if spend else {}
        stored = []
        for event in events:
            self.seq += 1
            stored.append(StoredEvent("run-1", self.seq, NOW, event, meta))
        return list(self.story.tell(stored, answers))


def begun(number: int = 1, candidate: Candidate = SEED) -> Event:
    return facts.RoundStarted(number, candidate.id, "the newest prompt")


def scored(mean: float, number: int = 1, candidate: Candidate = SEED, n: int = 2) -> Event:
    means = {"a": mean, "b": mean}
    return facts.CandidateScored(number, candidate.id, "train", Estimate(mean, 0, 1, n), 2 - n, means)


def proposed(number: int = 2) -> Event:
    return facts.CandidateProposed(number, CHILD.id, (SEED.id,), "refine", "in short", 6)


def spent(task: int = 0, juror: int = 0, rewriter: int = 0) -> Spend:
    counts = {"task": task, "juror": juror, "rewriter": rewriter}
    return Spend({role: RoleSpend(calls=1, prompt_tokens=count) for role, count in counts.items() if count})


def names(frames: Iterable[Frame]) -> list[str]:
    return [name for name, _ in frames]


def test_rows_are_told_as_soon_as_all_before_them_are_there() -> None:
    told = Told()
    assert told.story.begin()[1] == {"experimentId": "run-1", "totalRows": 2, "totalJury": 2, "maxIterations": 5}
    (start,) = told.after(begun())
    assert start == ("iteration_start", {"iteration": 1, "promptText": "first", "promptVersionId": SEED.id})
    assert told.after(answers=[answer(SEED, "r1", 0.5, 0.5)]) == []
    frames = told.after(answers=[answer(SEED, "r0", 0.4, 0.6)])
    assert [(name, data["rowIndex"]) for name, data in frames] == [
        ("inference_result", 0), ("jury_result", 0), ("inference_result", 1), ("jury_result", 1),
    ]  # fmt: skip
    assert frames[0][1]["tokenUsage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert frames[1][1]["averageScore"] == 50
    assert frames[1][1]["scores"][1] == {"juryName": "Ben", "score": 60, "reasoning": "b says"}


def test_an_iteration_is_complete_with_its_rows_before_it_though_all_came_in_one_look() -> None:
    told = Told()
    rows = [answer(SEED, "r0", 1.0, 0.9), answer(SEED, "r1", 1.0, 1.0)]
    frames = told.after(begun(), scored(0.975), proposed(), begun(2, CHILD), answers=rows, spend=spent(10, 20, 5))
    row = ["inference_result", "jury_result"]
    assert names(frames) == ["iteration_start", *row, *row, "iteration_complete", "refinement", "iteration_start"]
    whole = dict(frames)["iteration_complete"]
    assert whole["averageScore"] == 97.5
    assert whole["iterationTokens"] == {"inference": 10, "jury": 20, "refinement": 5}
    assert whole["converged"] is False
    assert whole["metrics"]["Ann"] == 97.5
    assert whole["results"][0]["combinedFeedback"] == "Ann: a says\nBen: b says"


def test_a_missing_row_waits_for_the_end_of_its_iteration_and_has_no_scores() -> None:
    told = Told()
    broken = Evaluation(SEED.id, "r0", 0, error=Failure("refused", "it was refused"))
    told.after(begun())
    assert told.after(answers=[broken, answer(SEED, "r1", 0.5, None)]) == []
    frames = told.after(scored(0.5, n=1))
    missing, second = [data for name, data in frames if name == "jury_result"]
    assert (missing["scores"], missing["averageScore"]) == ([], 0)
    assert [one["juryName"] for one in second["scores"]] == ["Ann"]
    result = dict(frames)["iteration_complete"]["results"][0]
    assert result["combinedFeedback"] == "no score: it was refused"
    assert result["actualOutput"] == ""


def test_the_refinement_says_all_and_what_it_took() -> None:
    told = Told()
    told.after(begun(), scored(0.5), spend=spent(10, 20))
    ((name, data),) = told.after(proposed(), spend=spent(10, 20, 7))
    assert name == "refinement"
    assert data == {
        "iteration": 1,
        "explanation": "the whole story",
        "refinedPrompt": "second",
        "deltaReasoning": "because",
        "tokenUsage": {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7},
        "cumulativeTokens": {"inference": 10, "jury": 20, "refinement": 7, "total": 37},
    }


def test_tokens_of_iterations_sum_up_to_the_total() -> None:
    told = Told()
    first = told.after(begun(), scored(0.5), spend=spent(10, 20))
    told.after(proposed(), spend=spent(10, 20, 7))
    second = told.after(begun(2, CHILD), scored(0.6, 2, CHILD), spend=spent(15, 30, 7))
    (end,) = told.after(facts.RunFinished("rounds"), spend=spent(15, 30, 7))
    parts = [dict(frames)["iteration_complete"]["iterationTokens"] for frames in (first, second)]
    assert parts == [
        {"inference": 10, "jury": 20, "refinement": 0}, {"inference": 5, "jury": 10, "refinement": 7},
    ]  # fmt: skip
    assert end[1]["totalTokens"] == {"inference": 15, "jury": 30, "refinement": 7, "total": 52}


@pytest.mark.parametrize(
    ("means", "expected"), [([0.98], [True]), ([0.5, 0.5015], [False, True]), ([0.5, 0.51], [False, False])]
)
def test_it_says_when_the_search_has_converged(means: list[float], expected: list[bool]) -> None:
    told, found = Told(), []
    for number, mean in enumerate(means, start=1):
        found.append(dict(told.after(begun(number), scored(mean, number)))["iteration_complete"]["converged"])
    assert found == expected


@pytest.mark.parametrize(("second", "prompt"), [(0.4, "first"), (0.5, "first"), (0.6, "second")])
def test_the_best_prompt_is_the_final_one_and_the_earlier_where_equal(second: float, prompt: str) -> None:
    told = Told()
    told.after(begun(), scored(0.5), proposed(), begun(2, CHILD), scored(second, 2, CHILD))
    ((name, data),) = told.after(facts.RunFinished("rounds"))
    assert name == "complete"
    assert (data["finalPrompt"], data["totalIterations"]) == (prompt, 2)
    assert data["finalScore"] == pytest.approx(100 * max(0.5, second))


def test_an_iteration_without_any_score_is_told_as_0_and_never_wins() -> None:
    told = Told()
    told.after(begun(), scored(0.1), proposed(), begun(2, CHILD))
    whole = dict(told.after(scored(0.0, 2, CHILD, n=0)))["iteration_complete"]
    assert (whole["averageScore"], whole["converged"], whole["metrics"].get("averageScore")) == (0, False, None)
    assert told.after(facts.RunFinished("no failures left"))[0][1]["finalPrompt"] == "first"


@pytest.mark.parametrize(
    ("before", "spend", "stage"),
    [
        ([], spent(), "setup"),
        ([begun()], spent(3), "inference"),
        ([begun()], spent(3, 4), "jury"),
        ([begun(), scored(0.5)], spent(3, 4), "refinement"),
        ([begun(), scored(0.5), proposed(), begun(2, CHILD)], spent(3, 4, 5), "inference"),
    ],
)
def test_an_error_names_its_stage_and_is_the_last_frame(before: list[Event], spend: Spend, stage: str) -> None:
    told = Told()
    told.after(*before, spend=spent(3, 4) if len(before) > 1 else None)
    (*_, (name, data)) = told.after(facts.RunStopped("failed", "no key"), spend=spend)
    assert (name, data["stage"], data["message"]) == ("error", stage, "no key")
    assert told.after(facts.RunResumed(), begun(3)) == []


def test_a_run_that_waits_for_a_worker_or_a_person_is_not_over() -> None:
    told = Told()
    told.after(begun())
    assert told.after(facts.RunStopped("interrupted"), facts.RunStopped("paused"), facts.RunResumed()) == []
    assert not told.story.over
    ((name, data),) = told.after(facts.RunStopped("cancelled"))
    assert (name, data["message"]) == ("error", "the run was cancelled")


def test_a_search_that_ends_without_any_score_is_an_error() -> None:
    told = Told()
    ((name, _),) = told.after(facts.RunFinished("done"))
    assert name == "error"
