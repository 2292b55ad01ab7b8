"""Runs as experiments: those of the page in its words, those begun elsewhere mapped."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from promptprop.domain import events as facts
from promptprop.domain.events import Estimate, StoredEvent
from promptprop.domain.history import History, fold
from promptprop.domain.models import Candidate, Critique, Evaluation, Example, Failure, Judgement, Prompt, Proposal
from promptprop.ports import RunRow
from promptprop.ports.experiments import Experiment
from promptprop.server.frontend.projection import detail_json, head_json, list_json

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SEED, CHILD, LAST = (Candidate({"main": Prompt.of(text)}) for text in ("{{ x }}?", "Say {{ x }}", "{{ x }}!"))
CONFIG: dict[str, Any] = {
    "task": "Route.",
    "models": {"task": {"model": "openai/gpt-5", "temperature": 0.0, "top_p": None, "params": {"top_k": 3}}},
    "metrics": [{"id": "label", "type": "exact"}, {"id": "panel", "type": "jury"}],
}
PAGE: dict[str, Any] = {
    "runner": {"provider": "gemini", "model": "gemini-2.5-flash", "settings": {"temperature": None, "topK": 40}},
    "jury": [{"id": "Ann", "name": "Ann", "provider": "", "model": "gpt-4o", "settings": {"temperature": None}}],
}


def run_row(status: str = "finished", name: str = "support", options: dict[str, Any] | None = None) -> RunRow:
    seeds = [[["main", SEED.prompts["main"].as_json()]]]
    snapshot = {"config": CONFIG, "seeds": seeds, "options": options or {}}
    return RunRow("f" * 32, name, "optimize", status, 7, NOW, NOW, snapshot, "d")


def experiment(run: RunRow | None = None) -> Experiment:
    return Experiment("f" * 32, NOW, NOW, "d", 2, run)


def evaluated(candidate: Candidate, row: str, score: float | None, replicate: int = 0, **more: Any) -> Evaluation:
    judged = {
        "label": Judgement(score, "expected a"), "panel": Judgement(score), "panel/openai/x": Judgement(score, "hm"),
    }  # fmt: skip
    return Evaluation(candidate.id, row, replicate, "out", judgements=judged, score=score, **more)


def history(optimizer: str = "backprop", *scored: Candidate) -> History:
    started = facts.RunStarted("n", "optimize", optimizer, 7, {}, {}, {}, False)
    proposed = [
        facts.CandidateProposed(place, one.id, (), "refine" if place else "seed", "why", 1)
        for place, one in enumerate((SEED, CHILD, LAST))
    ]
    scores = [facts.CandidateScored(1, one.id, "train", Estimate(0.5, 0, 1, 1), 0, {}) for one in scored]
    events = [started, *proposed, *scores]
    return fold(StoredEvent("f", seq, NOW, event) for seq, event in enumerate(events, start=1))


PROPOSALS = {
    SEED.id: Proposal(SEED),
    CHILD.id: Proposal(CHILD, (Critique("main", "since", "it failed"),)),
    LAST.id: Proposal(LAST, (Critique("main", "again", "it failed again"),)),
}
ROWS = [Example("1", {"x": "a", "y": 2}, "b", split="select"), Example("2", {"x": "c"}, None)]


def test_a_run_of_the_page_is_shown_in_its_own_words() -> None:
    run = run_row("running", "front-end", {"front_end": PAGE})
    head = head_json(experiment(run))
    assert head["name"] is None
    assert head["runnerModel"] == PAGE["runner"]
    assert (head["isComplete"], head["createdAt"]) == (False, "2026-01-02T03:04:05Z")
    detail = detail_json(experiment(run), ROWS, history("iterate"), PROPOSALS, [])
    assert detail["juryMembers"] == PAGE["jury"]


def test_a_run_begun_elsewhere_is_mapped() -> None:
    detail = detail_json(experiment(run_row()), ROWS, history(), PROPOSALS, [evaluated(SEED, "1", 1.0)])
    assert (detail["name"], detail["basePrompt"], detail["taskDescription"]) == ("support", "{{ x }}?", "Route.")
    assert detail["runnerModel"] == {
        "provider": "openai", "model": "openai/gpt-5", "settings": {"temperature": 0.0, "topK": 3},
    }  # fmt: skip
    assert [one["name"] for one in detail["juryMembers"]] == ["label", "panel"]
    first, second = detail["datasetRows"]
    assert (first["query"], first["split"]) == ('{"x": "a", "y": 2}', "val")
    assert (second["query"], second["split"], second["expectedOutput"]) == ("c", "train", "")
    (version,) = detail["promptVersions"]
    (result,) = version["results"]
    assert [one["juryName"] for one in result["juryEvaluations"]] == ["label", "panel"]


def test_every_terminal_state_is_complete() -> None:
    states = {state: head_json(experiment(run_row(state)))["isComplete"] for state in (
        "created", "queued", "running", "finished", "stopped", "cancelled")}  # fmt: skip
    assert states == {
        "created": False, "queued": False, "running": False, "finished": True, "stopped": True, "cancelled": True,
    }  # fmt: skip


def test_prompts_without_a_score_are_left_out_and_the_others_numbered() -> None:
    answers = [evaluated(SEED, "1", 0.5), evaluated(CHILD, "1", None), evaluated(LAST, "1", 0.25)]
    versions = detail_json(experiment(run_row()), ROWS, history(), PROPOSALS, answers)["promptVersions"]
    assert [(one["id"], one["iterationNumber"], one["averageScore"]) for one in versions] == [
        (SEED.id, 1, 50), (LAST.id, 2, 25),
    ]  # fmt: skip
    assert versions[0]["refinementFeedback"] is None


def test_an_iteration_that_is_under_way_is_left_out_and_its_refinement_stands_with_the_one_before() -> None:
    run = run_row("running", "front-end", {"front_end": PAGE})
    answers = [evaluated(SEED, "1", 0.5), evaluated(CHILD, "1", 0.7)]
    (version,) = detail_json(experiment(run), ROWS, history("iterate", SEED), PROPOSALS, answers)["promptVersions"]
    assert version["refinementFeedback"] == "it failed"
    assert version["refinementMeta"] == {"deltaReasoning": "since"}


def test_replicates_are_one_result_and_a_retried_answer_counts_as_it_was_stored_last() -> None:
    answers = [
        evaluated(SEED, "1", None, error=Failure("x", "down")), evaluated(SEED, "1", 1.0), evaluated(SEED, "1", 0.0, 1),
    ]  # fmt: skip
    (version,) = detail_json(experiment(run_row()), ROWS, history(), PROPOSALS, answers)["promptVersions"]
    (result,) = version["results"]
    assert (result["averageScore"], version["averageScore"]) == (50, 50)


def test_a_missing_row_has_no_score_and_says_why() -> None:
    answers = [evaluated(SEED, "1", 1.0), evaluated(SEED, "2", None, error=Failure("x", "it is down"))]
    (version,) = detail_json(experiment(run_row()), ROWS, history(), PROPOSALS, answers)["promptVersions"]
    missing = version["results"][1]
    assert (missing["averageScore"], missing["combinedFeedback"]) == (None, "no score: it is down")
    assert missing["juryEvaluations"] == []
    assert version["averageScore"] == 100


def test_rows_without_a_run_are_an_experiment_that_waits() -> None:
    detail = detail_json(experiment(), ROWS, History(), {}, [])
    assert (detail["basePrompt"], detail["isComplete"], detail["promptVersions"]) == ("", False, [])
    assert list_json(experiment(), {})["datasetSize"] == 2


def test_the_final_score_is_told_at_the_end() -> None:
    summary = {"score": 0.75, "scored": 3, "rounds": 2}
    over = list_json(experiment(run_row()), summary)
    live = list_json(experiment(replace(run_row(), status="running")), summary)
    assert (over["iterationCount"], over["bestScore"], over["finalScore"]) == (3, 75, 75)
    assert (live["bestScore"], live["finalScore"]) == (75, None)
    assert list_json(experiment(run_row()), {"score": None})["bestScore"] is None
