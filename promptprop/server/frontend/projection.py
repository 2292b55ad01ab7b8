"""Runs as the experiments of the contract: heads for lists, and prompts with their results. Pure.

Any run can be shown. What the page began is shown in its own words; of a run begun elsewhere the metrics are jurors,
and the prompts are numbered as they were proposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptprop.bootstrap.experiments import NAME
from promptprop.domain.history import History
from promptprop.domain.models import Candidate, Evaluation, Example, Json, Prompt, Proposal
from promptprop.ports import ENDED, RunRow
from promptprop.ports.experiments import Experiment
from promptprop.server.frontend.rows import (
    Member,
    feedback_of,
    points,
    row_json,
    votes_of,
)
from promptprop.server.frontend.story import Cast, refinement_of
from promptprop.server.times import utc_text

UNKNOWN_MODEL: dict[str, Json] = {"provider": "", "model": "", "settings": {"temperature": None}}


def page_options(run: RunRow) -> Mapping[str, Any] | None:
    """What the page has sent, where it began the run."""
    found: Mapping[str, Any] | None = run.snapshot.get("options", {}).get("front_end")
    return found


def head_json(experiment: Experiment) -> dict[str, Json]:
    """What lists and details have in common; a run that was interrupted is complete until it goes on."""
    run = experiment.run
    config: Mapping[str, Any] = run.snapshot["config"] if run else {}
    return {
        "id": experiment.id,
        "name": None if run is None or run.name == NAME else run.name,
        "taskDescription": config.get("task", ""),
        "basePrompt": base_prompt(run) if run else "",
        "runnerModel": runner_of(run) if run else UNKNOWN_MODEL,
        "isComplete": run is not None and run.status in ENDED,
        "createdAt": utc_text(experiment.created_at),
        "updatedAt": utc_text(experiment.updated_at),
    }


def base_prompt(run: RunRow) -> str:
    """The text that the run began with."""
    seeds = run.snapshot.get("seeds") or []
    return Candidate({step: Prompt.from_json(prompt) for step, prompt in seeds[0]}).text if seeds else ""


def runner_of(run: RunRow) -> dict[str, Json]:
    """The model that runs the prompt."""
    if options := page_options(run):
        return {**UNKNOWN_MODEL, **options["runner"]}
    task: Mapping[str, Any] = run.snapshot["config"]["models"]["task"]
    return {"provider": str(task["model"]).partition("/")[0], "model": task["model"], "settings": _settings(task)}


def _settings(model: Mapping[str, Any]) -> dict[str, Json]:
    given = {"topP": model.get("top_p"), "topK": (model.get("params") or {}).get("top_k")}
    return {
        "temperature": model.get("temperature"),
        **{name: one for name, one in given.items() if one is not None},
    }


def members_json(run: RunRow) -> list[dict[str, Json]]:
    """The jury; the metrics of a run that was begun elsewhere."""
    if options := page_options(run):
        return [dict(juror) for juror in options["jury"]]
    metrics: Sequence[Mapping[str, Any]] = run.snapshot["config"]["metrics"]
    return [
        {
            "id": one["id"],
            "name": one["id"],
            "provider": "metric",
            "model": one["type"],
            "settings": {"temperature": None},
        }
        for one in metrics
    ]


def jury_of(run: RunRow) -> tuple[Member, ...]:
    """The jury by the ids of its metrics."""
    return tuple(Member(str(one["id"]), str(one["name"])) for one in members_json(run))


def cast_of(run: RunRow, rows: Sequence[str]) -> Cast:
    """What the story of a run of the page is told with; `rows` are its train rows."""
    options = page_options(run) or {}
    return Cast(
        run.id,
        tuple(sorted(rows)),
        jury_of(run),
        options["iterations"],
        options["perfect"],
        options["settled"],
        options["passing"],
    )


def list_json(experiment: Experiment, summary: Mapping[str, Any]) -> dict[str, Json]:
    """An experiment as the list shows it; `summary` is that of its run as of now, empty without one."""
    score = summary.get("score")
    over = experiment.run is not None and experiment.run.status in ENDED
    return {
        **head_json(experiment),
        "iterationCount": summary.get("scored", summary.get("rounds", 0)),
        "bestScore": None if score is None else points(score),
        "finalScore": points(score) if score is not None and over else None,
        "datasetSize": experiment.rows,
    }


def detail_json(
    experiment: Experiment,
    examples: Sequence[Example],
    history: History,
    proposals: Mapping[str, Proposal],
    evaluations: Iterable[Evaluation],
) -> dict[str, Json]:
    """An experiment with its rows and all prompts that have a score."""
    run = experiment.run
    rows = sorted(examples, key=lambda one: one.id) if run and page_options(run) else examples
    return {
        **head_json(experiment),
        "juryMembers": members_json(run) if run else [],
        "datasetRows": [row_json(example) for example in rows],
        "promptVersions": versions_json(
            history, proposals, evaluations, [one.id for one in rows], jury_of(run) if run else ()
        ),
    }


def versions_json(
    history: History,
    proposals: Mapping[str, Proposal],
    evaluations: Iterable[Evaluation],
    rows: Sequence[str],
    jury: Sequence[Member],
) -> list[dict[str, Json]]:
    """The prompts that have a score, in the order in which they were proposed, with the results of their rows."""
    answers: dict[str, dict[str, list[Evaluation]]] = {}
    for one in evaluations:
        answers.setdefault(one.candidate_id, {}).setdefault(one.example_id, []).append(one)
    iterating = history.optimizer == "iterate"
    order = [candidate for candidate in history.candidates if candidate in proposals]
    order += [candidate for candidate in proposals if candidate not in history.candidates and candidate in answers]
    found: list[dict[str, Json]] = []
    for place, candidate in enumerate(order):
        if iterating and not history.record(candidate).scores:
            continue  # the iteration is under way still, or was cut short
        by_row = answers.get(candidate, {})
        merged = [merged_answer(by_row[row]) for row in rows if row in by_row]
        scored = [one.score for one in merged if one.score is not None]
        if not scored:
            continue
        following = proposals.get(order[place + 1]) if iterating and place + 1 < len(order) else None
        explanation, reasoning = refinement_of(following) if following else (None, None)
        found.append(
            {
                "id": candidate,
                "iterationNumber": len(found) + 1,
                "promptText": proposals[candidate].candidate.text,
                "averageScore": points(sum(scored) / len(scored)),
                "refinementFeedback": explanation,
                "refinementMeta": {"deltaReasoning": reasoning} if following else None,
                "results": [result_json(one, jury) for one in merged],
            }
        )
    return found


def merged_answer(answers: Sequence[Evaluation]) -> Evaluation:
    """One answer for all replicates of a row, each as it was stored last: the first one's output, and their mean."""
    newest = {one.replicate: one for one in answers}
    first = newest[min(newest)]
    scores = [one.score for one in newest.values() if one.score is not None]
    return replace(first, score=sum(scores) / len(scores)) if scores else first


def result_json(evaluation: Evaluation, jury: Sequence[Member]) -> dict[str, Json]:
    """A row's result, with the votes on it."""
    votes = votes_of(evaluation, jury)
    result = f"{evaluation.candidate_id}:{evaluation.example_id}"
    return {
        "id": result,
        "datasetRowId": evaluation.example_id,
        "actualOutput": evaluation.output,
        "averageScore": None if evaluation.score is None else points(evaluation.score),
        "combinedFeedback": feedback_of(evaluation, votes),
        "juryEvaluations": [
            {"id": f"{result}:{vote.member.id}", "juryMemberId": vote.member.id, **vote.as_json()} for vote in votes
        ],
    }
