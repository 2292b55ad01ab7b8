"""The workbench of a live run: turns cells and questions into model requests, and their replies into values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from promptprop.domain.budget import Budget, Spend
from promptprop.domain.errors import BudgetSpent, ConfigError, TooManyErrors, raise_failure
from promptprop.domain.models import (
    Answer,
    Ask,
    Cell,
    Evaluation,
    Example,
    Failure,
    Judgement,
    ModelRequest,
    Outcome,
    Program,
    Proposal,
    Step,
)
from promptprop.domain.people import Correction, ReviewRequest, Ruling
from promptprop.ports import Clock, Ledger, Role, Scorer, Store
from promptprop.roles.template import fill_prompt
from promptprop.services.asking import ask_roles
from promptprop.services.commits import Commits
from promptprop.services.consult import consult, unjudged
from promptprop.services.desk import Desk
from promptprop.services.draft import Draft
from promptprop.services.replay import Replay
from promptprop.services.reserve import EndpointSpec, questions_of, reserve_for, uses_of
from promptprop.services.scores import Scores

BLOCK = 2000  # cells in memory at once
FEWEST_ERRORS = 5  # fewer missing rows than this stop a run only where nothing at all has a score


@dataclass(frozen=True, slots=True)
class Equipment:
    """All that a workbench works with, composed by bootstrap."""

    run_id: str
    dataset_id: str
    program: Program
    store: Store
    ledger: Ledger
    scorer: Scorer
    roles: Mapping[str, Role]
    endpoints: Mapping[str, EndpointSpec]
    clock: Clock
    max_error_rate: float = 0.1
    longest_inputs: int = 0


class LiveWorkbench:
    """Implements ports.Workbench over a ledger, a scorer and a store."""

    def __init__(
        self,
        equipment: Equipment,
        replay: Replay,
        active_seconds: Callable[[], float],
        on_tick: Callable[..., None],
        desk: Desk | None = None,
    ) -> None:
        """`on_tick(phase, done, total)` is told of progress inside a block; without a desk nobody decides anything."""
        self._desk = desk
        self._kit = equipment
        self._replay = replay
        self._active_seconds = active_seconds
        self._on_tick = on_tick
        self._barrier = 0
        self._uses = 1
        self._searching = False
        self._evaluated = 0
        self._missing = 0
        self._scored = 0

    def adopt(self, scorer: Scorer) -> None:
        """Judge by these metrics from here on."""
        self._kit = replace(self._kit, scorer=scorer)

    @property
    def spend(self) -> Spend:
        """What the run has spent so far."""
        return self._kit.ledger.spend

    @property
    def budget(self) -> Budget:
        """The caps in force."""
        return self._kit.ledger.budget

    @property
    def barrier(self) -> int:
        """How many times evaluate or ask were called."""
        return self._barrier

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of people, in force now."""
        return self._replay.notes

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """Scores that people have changed, in force now."""
        return self._replay.corrections

    async def review(self, request: ReviewRequest) -> Ruling:
        """What a person says to a rewrite; approval where nobody reviews."""
        return await self._desk.rule(request) if self._desk else Ruling("approve")

    def examples(self, ids: Sequence[str]) -> list[Example]:
        """The contents of rows, in the order asked."""
        return self._kit.store.examples(self._kit.dataset_id, ids)

    async def keep(self, proposal: Proposal) -> None:
        """Store a candidate's texts, so that events can name it by id."""
        self._uses = max(self._uses, uses_of(proposal.candidate))
        await self._kit.store.keep_candidate(self._kit.run_id, proposal)

    def hold(self, evaluations: int, longest: int) -> None:
        """Hold back for so many evaluations; a `longest` of 0 ends the search, after which no deadline cuts it."""
        self._searching = longest > 0
        kit = self._kit
        inputs, questions = kit.longest_inputs * self._uses, questions_of(kit.scorer)
        kit.ledger.hold(reserve_for(kit.program, kit.endpoints, inputs, evaluations, longest, questions))

    async def evaluate(self, cells: Sequence[Cell]) -> list[Evaluation]:
        """Evaluate cells; results in the order asked. Raises BudgetSpent, TooManyErrors."""
        self._begin()
        results: list[Evaluation] = []
        for start in range(0, len(cells), BLOCK):
            evaluations, cap = await self._block(cells[start : start + BLOCK])
            results.extend(evaluations)
            if cap:
                raise BudgetSpent(cap)
        # a decision that stands on record rests on what was known then, also where that was nothing
        if self._missing and not self._scored and self._replay.live:
            raise self._too_many(results, "which leaves nothing to go by")
        corrected = {(one.candidate_id, one.example_id): one for one in self.corrections}
        places = [(result.candidate_id, result.example_id) for result in results]
        return [
            corrected[place].applied(result) if place in corrected else result
            for place, result in zip(places, results, strict=True)
        ]

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Ask roles; answers in the order asked. Raises BudgetSpent."""
        self._begin()
        return await ask_roles(asks, self._kit.roles, self._kit.endpoints, self._all_answers)

    async def _all_answers(self, requests: Sequence[ModelRequest], phase: str) -> list[Outcome]:
        if not requests:
            return []
        outcomes: list[Outcome] = []
        cap = await self._answers(iter(requests), len(requests), phase, outcomes.append)
        await self._commit([])
        if cap:
            raise BudgetSpent(cap)
        return outcomes

    def _begin(self) -> None:
        """A barrier: caps given before here take effect, and a deadline may end the search."""
        self._barrier += 1
        caps = self._replay.take_caps()
        if caps:
            self._kit.ledger.raise_caps(caps)
        if self._searching and self._expired():
            raise BudgetSpent("seconds")

    def _expired(self) -> bool:
        recorded = self._replay.deadline_met(self._barrier)
        if recorded is not None:
            return recorded
        seconds = self.budget.seconds
        return seconds is not None and self._active_seconds() >= seconds

    async def _answers(
        self, requests: Iterator[ModelRequest], planned: int, phase: str, take: Callable[[Outcome], None]
    ) -> str | None:
        """Hand `take` the outcomes in order, up to the first refusal; returns the cap that refused, if any.

        The requests are read in a window, at most `planned` of them.
        """
        taken = failed = 0
        failure: Failure | None = None
        async with aclosing(self._kit.ledger.complete_all(requests)) as stream:
            async for outcome in stream:
                failure = outcome.failure
                if failure and failure.code.startswith("budget:"):
                    return failure.code.partition(":")[2]
                take(outcome)
                taken += 1
                self._on_tick(phase, taken, planned)
                if failure is not None:
                    failed += outcome.request.role == "task"
                    if failure.stops:
                        break
                    if self._hopeless(failed, planned):
                        return None
        if failure is not None and failure.stops:
            await self._commit([])
            raise_failure(failure)
        return None

    def _hopeless(self, failed: int, planned: int) -> bool:
        """True when a block of so many cells, of which so many have failed, can no longer stay under the error rate."""
        failed += self._missing
        return failed >= FEWEST_ERRORS and failed > self._kit.max_error_rate * (self._evaluated + planned)

    async def _block(self, cells: Sequence[Cell]) -> tuple[list[Evaluation], str | None]:
        kit = self._kit
        stored = kit.store.find_evaluations(kit.run_id, cells, kit.scorer.fingerprint, self._replay.generation)
        contents = {example.id: example for example in self.examples(list({cell.example_id: 0 for cell in cells}))}
        drafts = [
            Draft(cell, contents[cell.example_id], found, dict(contents[cell.example_id].inputs))
            for cell, found in zip(cells, stored, strict=True)
        ]
        cap: str | None = None
        commits = Commits(self._write)
        try:
            last = None if kit.scorer.asking else kit.program.steps[-1]  # where nobody is asked, the last step scores
            left = 0
            for step in kit.program.steps:
                asked = [draft for draft in drafts if not draft.failure]
                cap, left = await self._step(step, asked, commits if step is last else None)
                if left:  # refused, or hopeless: what was answered before stays
                    break
            if kit.scorer.asking and not cap:
                cap = await self._judge(drafts, commits)
            if left or cap:
                drafts = [draft for draft in drafts if draft.evaluation or draft.failure]
        finally:
            await commits.settle()
        evaluations = [draft.evaluation or draft.missing() for draft in drafts]
        await self._commit([evaluation for evaluation in evaluations if evaluation.error])
        self._count_errors(evaluations)
        return evaluations, cap

    async def _step(self, step: Step, drafts: Sequence[Draft], commits: Commits | None) -> tuple[str | None, int]:
        """Take drafts one step on; after the last one, score and commit them while later answers are under way.

        Returns the cap that refused, and how many drafts were not reached.
        """
        sent: list[Draft] = []
        reached = answered = 0

        def scored(draft: Draft, judgements: Mapping[str, Judgement], score: float | None) -> None:
            draft.evaluation = draft.judged(judgements, score)
            if commits:
                commits.add(draft.evaluation)

        def requests() -> Iterator[ModelRequest]:
            nonlocal reached
            for draft in drafts:
                reached += 1
                request = self._task_request(draft, step.id, step.endpoint)
                if request is not None:
                    sent.append(draft)
                    yield request

        def take(outcome: Outcome) -> None:
            nonlocal answered
            draft = sent[answered]
            answered += 1
            draft.take(step.id, step.output, outcome)
            if commits and not draft.failure and not draft.keep_stored():
                scores.add(draft)
                scores.score_ready(self._kit.clock.monotonic)

        async with aclosing(Scores(self._kit.scorer, scored)) as scores:
            cap = await self._answers(requests(), len(drafts), "evaluating", take)
            await scores.settle(partial(self._on_tick, "scoring"))
        return cap, len(drafts) - reached + len(sent) - answered

    def _task_request(self, draft: Draft, step: str, endpoint: str) -> ModelRequest | None:
        if draft.failure:
            return None
        spec, candidate = self._kit.endpoints[endpoint], draft.cell.candidate
        try:
            messages = fill_prompt(candidate.prompts[step], draft.values, candidate.demos_at(step))
        except ConfigError as error:
            draft.failure = Failure("template", error.message)
            return None
        return ModelRequest(endpoint, spec.model, messages, spec.parameters, draft.cell.replicate)

    async def _judge(self, drafts: Sequence[Draft], commits: Commits) -> str | None:
        """Score answers by metrics that ask models, too. Returns the cap that refused a question, if any."""
        steps = len(self._kit.program.steps)
        answered = [draft for draft in drafts if not draft.failure and len(draft.trace) == steps]

        def judged(draft: Draft, judgements: Mapping[str, Judgement]) -> None:
            if draft.keep_stored():
                return
            evaluation = draft.judged(judgements, self._kit.scorer.combine(judgements))
            if evaluation.score is None:
                draft.evaluation = evaluation.with_error(unjudged(judgements))  # committed with the block
                return
            draft.evaluation = evaluation
            commits.add(evaluation)

        return await consult(answered, self._kit.scorer, self._kit.endpoints, self._answers, judged)

    async def _write(self, evaluations: Sequence[Evaluation]) -> None:
        kit = self._kit
        await kit.store.commit_block(kit.run_id, evaluations, [], kit.scorer.fingerprint, self._replay.generation)

    async def _commit(self, evaluations: Sequence[Evaluation]) -> None:
        kit = self._kit
        failures = kit.ledger.take_failures()
        if evaluations or failures:
            await kit.store.commit_block(
                kit.run_id, evaluations, failures, kit.scorer.fingerprint, self._replay.generation
            )

    def _count_errors(self, evaluations: Sequence[Evaluation]) -> None:
        self._evaluated += len(evaluations)
        self._missing += sum(evaluation.error is not None for evaluation in evaluations)
        self._scored += sum(evaluation.score is not None for evaluation in evaluations)
        if self._missing >= FEWEST_ERRORS and self._missing > self._kit.max_error_rate * self._evaluated:
            raise self._too_many(evaluations, f"more than max_error_rate {self._kit.max_error_rate:g} allows")

    def _too_many(self, evaluations: Sequence[Evaluation], why: str) -> TooManyErrors:
        reasons = _most_common(evaluation.error.message for evaluation in evaluations if evaluation.error)
        return TooManyErrors(
            f"{self._missing} of {self._evaluated} evaluations have no score, {why}; most often: {reasons}",
            remedy="mend the cause, then go on with `promptprop runs resume "
            f"{self._kit.run_id[:8]} --retry-errors`: nothing that was answered is asked again",
        )


def _most_common(messages: Iterator[str]) -> str:
    counts: dict[str, int] = {}
    for message in messages:
        counts[message] = counts.get(message, 0) + 1
    return max(counts, key=lambda message: counts[message], default="unknown")
