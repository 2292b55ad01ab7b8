"""The frames of a search: from the events and evaluations of its run, in the order of the contract. Pure.

Whoever tells the story hands over events first and evaluations after them, as they are stored: what an event speaks of
was committed before it. Rows come in their order, each as soon as all before it are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from promptprop.domain import events as facts
from promptprop.domain.budget import Spend
from promptprop.domain.events import StoredEvent
from promptprop.domain.models import Evaluation, Json, Proposal, Usage
from promptprop.optimizers.iterate import converged
from promptprop.server.frontend.rows import (
    Member,
    feedback_of,
    points,
    row_score,
    summary_metrics,
    usage_json,
    votes_of,
)

Frame: TypeAlias = tuple[str, dict[str, Json]]
ROLES = {"inference": "task", "jury": "juror", "refinement": "rewriter"}  # the contract's words and ours
RESTING = ("interrupted", "paused")  # the run goes on when a worker, or a person, takes it up
SETUP, UNKNOWN = "setup", "unknown"


@dataclass(frozen=True, slots=True)
class Cast:
    """What is known before the story begins: rows in their order, the jury, and when the search has converged."""

    experiment_id: str
    rows: tuple[str, ...]
    jury: tuple[Member, ...]
    iterations: int
    perfect: float
    settled: float
    passing: float


@dataclass(slots=True)
class Scene:
    """One iteration, as far as it is told."""

    number: int
    candidate_id: str
    told: list[Evaluation] = field(default_factory=list)


class Story:
    """Tells a search once, from its first event on."""

    def __init__(self, cast: Cast, proposals: Mapping[str, Proposal]) -> None:
        """`proposals` are the run's candidates; whoever tells the story keeps them up to date."""
        self.cast = cast
        self.proposals = proposals
        self.over = False
        self.scene: Scene | None = None
        self._answers: dict[str, dict[str, Evaluation]] = {}
        self._means: list[float] = []
        self._completed: list[tuple[str, float]] = []  # the prompts of iterations with a score, by candidate
        self._iterations = 0
        self._before = Spend()  # what was spent up to the last iteration_complete
        self._spend = Spend()

    def begin(self) -> Frame:
        """The first frame."""
        cast = self.cast
        sizes = {"totalRows": len(cast.rows), "totalJury": len(cast.jury), "maxIterations": cast.iterations}
        return "start", {"experimentId": cast.experiment_id, **sizes}

    def tell(self, stored: Sequence[StoredEvent], evaluations: Iterable[Evaluation]) -> Iterator[Frame]:
        """The frames after these events, and evaluations that were read after them; none once the story is over."""
        for evaluation in evaluations:
            self._answers.setdefault(evaluation.candidate_id, {})[evaluation.example_id] = evaluation
        for one in stored:
            if self.over:
                return
            spend = one.meta.get("spend")
            before, self._spend = self._spend, Spend.from_json(spend) if spend is not None else self._spend
            yield from self._of_event(one.event, before)
        if not self.over:
            yield from self._rows(whole=False)

    def _of_event(self, event: facts.Event, before: Spend) -> Iterator[Frame]:
        if isinstance(event, facts.RoundStarted):
            self.scene = Scene(event.round, event.parent_id)
            text = self._text(event.parent_id)
            yield (
                "iteration_start",
                {"iteration": event.round, "promptText": text, "promptVersionId": event.parent_id},
            )
        elif isinstance(event, facts.CandidateScored) and event.split == "train" and self.scene is not None:
            yield from self._rows(whole=True)
            yield self._complete_iteration(self.scene, event)
        elif isinstance(event, facts.CandidateProposed) and event.round > 0:
            yield self._refined(event, before)
        elif isinstance(event, facts.RunFinished):
            yield self._completion()
        elif isinstance(event, facts.RunStopped) and event.reason not in RESTING:
            yield self.fail(self.stage(), event.detail or f"the run was {event.reason}")

    def _text(self, candidate_id: str) -> str:
        proposal = self.proposals.get(candidate_id)
        return proposal.candidate.text if proposal else ""

    def _rows(self, *, whole: bool) -> Iterator[Frame]:
        """The rows of this iteration that are due; all of them where it is `whole`: what is not there is missing."""
        scene = self.scene
        if scene is None:
            return
        answers = self._answers.get(scene.candidate_id, {})
        for index in range(len(scene.told), len(self.cast.rows)):
            row = self.cast.rows[index]
            found = answers.get(row)
            if not whole and (found is None or found.missing):
                return  # a missing row may be answered yet, as long as the iteration goes on
            evaluation = found or Evaluation(scene.candidate_id, row, 0)
            scene.told.append(evaluation)
            yield from self._row(scene.number, index, evaluation)

    def _row(self, iteration: int, index: int, evaluation: Evaluation) -> Iterator[Frame]:
        place: dict[str, Json] = {"iteration": iteration, "rowIndex": index, "rowId": evaluation.example_id}
        said = {"actualOutput": evaluation.output, "tokenUsage": usage_json(evaluation.usage)}
        yield "inference_result", {**place, **said}
        scores = [vote.as_json() for vote in votes_of(evaluation, self.cast.jury)]
        yield "jury_result", {**place, "scores": scores, "averageScore": row_score(evaluation)}

    def _complete_iteration(self, scene: Scene, event: facts.CandidateScored) -> Frame:
        mean = event.score.mean if event.score.n else 0.0
        if event.score.n:
            self._means.append(mean)
            self._completed.append((scene.candidate_id, mean))
        self._iterations += 1
        known = [row_score(one) for one in scene.told if not one.missing]
        spent = {name: self._tokens(role, self._before) for name, role in ROLES.items()}
        self._before = self._spend
        return "iteration_complete", {
            "iteration": scene.number,
            "averageScore": points(mean),
            "metrics": self._metrics(known, event),
            "mlflowRunId": None,
            "converged": bool(event.score.n) and converged(self._means, self.cast.perfect, self.cast.settled),
            "results": [self._result(one) for one in scene.told],
            "iterationTokens": spent,
            "cumulativeTokens": self._totals(),
        }

    def _metrics(self, known: Sequence[float], event: facts.CandidateScored) -> dict[str, float]:
        names = _distinct(self.cast.jury)
        by_juror = {names[name]: points(mean) for name, mean in event.metrics.items() if name in names}
        return {**by_juror, **summary_metrics(known, points(self.cast.passing))}

    def _result(self, evaluation: Evaluation) -> dict[str, Json]:
        votes = votes_of(evaluation, self.cast.jury)
        return {
            "rowId": evaluation.example_id,
            "actualOutput": evaluation.output,
            "scores": [vote.as_json() for vote in votes],
            "averageScore": row_score(evaluation),
            "combinedFeedback": feedback_of(evaluation, votes),
        }

    def _refined(self, event: facts.CandidateProposed, before: Spend) -> Frame:
        explanation, reasoning = refinement_of(self.proposals.get(event.candidate_id))
        now, then = self._spend.of("rewriter"), before.of("rewriter")
        usage = Usage(now.prompt_tokens - then.prompt_tokens, now.completion_tokens - then.completion_tokens)
        return "refinement", {
            "iteration": event.round - 1,
            "explanation": explanation,
            "refinedPrompt": self._text(event.candidate_id),
            "deltaReasoning": reasoning,
            "tokenUsage": usage_json(usage),
            "cumulativeTokens": self._totals(),
        }

    def _completion(self) -> Frame:
        self.over = True
        if not self._completed:
            return self.fail(UNKNOWN, "no row could be scored")
        best, mean = max(self._completed, key=lambda one: one[1])  # the earlier one where equal
        return "complete", {
            "experimentId": self.cast.experiment_id,
            "finalScore": points(mean),
            "finalPrompt": self._text(best),
            "totalIterations": self._iterations,
            "totalTokens": self._totals(),
        }

    def fail(self, stage: str, message: str) -> Frame:
        """The frame that ends the story badly."""
        self.over = True
        data: dict[str, Json] = {"stage": stage, "message": message}
        if self.scene is not None:
            data["iteration"] = self.scene.number
            if stage in ("inference", "jury"):
                data["rowIndex"] = min(len(self.scene.told), len(self.cast.rows) - 1)
        return "error", data

    def stage(self) -> str:
        """What the run was at when it stopped."""
        if self.scene is None:
            return SETUP
        if self.scene.number <= self._iterations:
            return "refinement"
        if self._spend.of("juror") != self._before.of("juror"):
            return "jury"
        failed = [one.error.code for one in self._answers.get(self.scene.candidate_id, {}).values() if one.error]
        return "jury" if failed and all(code == "unjudged" for code in failed) else "inference"

    def _tokens(self, role: str, since: Spend) -> int:
        return self._spend.of(role).tokens - since.of(role).tokens

    def _totals(self) -> dict[str, int]:
        found = {name: self._spend.of(role).tokens for name, role in ROLES.items()}
        return {**found, "total": sum(found.values())}


def _distinct(jury: Iterable[Member]) -> dict[str, str]:
    """What to call each juror where every name may stand once: by name, and a namesake by its id."""
    names: dict[str, str] = {}
    for member in jury:
        names[member.id] = member.id if member.name in names.values() else member.name
    return names


def refinement_of(proposal: Proposal | None) -> tuple[str, str]:
    """What a refiner said: its explanation, and why it changed what it did."""
    if proposal is None:
        return "", ""
    for critique in proposal.critiques:
        return critique.fix, critique.cause
    return proposal.candidate.hypothesis.text, ""
