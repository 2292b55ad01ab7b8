"""The workbench of a live run: turns cells and questions into model requests, and their replies into values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from promptprop.domain.budget import Amount, Budget, Price, Spend, worst_case
from promptprop.domain.errors import BudgetSpent, ConfigError, TooManyErrors, raise_failure
from promptprop.domain.models import (
    Answer,
    Ask,
    Candidate,
    Cell,
    Evaluation,
    Example,
    Failure,
    Json,
    Message,
    ModelRequest,
    Outcome,
    Program,
    Proposal,
    StepTrace,
    Usage,
)
from promptprop.ports import Clock, Ledger, Role, Scorer, Store
from promptprop.roles.registry import REPAIR
from promptprop.roles.template import fill_prompt
from promptprop.services.replay import Replay

BLOCK = 2000  # cells in memory at once
FEWEST_ERRORS = 5  # fewer missing rows than this never stop a run
RETRY_SHARE = 10  # one call in so many is held back for retries when FINISH is reserved


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """What a request to an endpoint says: model and parameters; `max_tokens` and price bound its worst case."""

    model: str
    parameters: Mapping[str, Json]
    max_tokens: int
    price: Price | None = None


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


def reserve_for(
    program: Program, endpoints: Mapping[str, EndpointSpec], longest_inputs: int, evaluations: int, longest: int
) -> Amount:
    """The worst case of so many evaluations: UTF-8 bytes bound tokens, and retries get a share on top.

    `longest_inputs` is in bytes, `longest` (of a candidate) in characters; a rewrite may hold letters of two bytes.
    """
    each, carried = Amount(), 0
    for step in program.steps:
        spec = endpoints[step.endpoint]
        size = longest * 2 + longest_inputs + carried
        each = each + worst_case((Message("user", "x" * size),), spec.max_tokens, spec.price)
        carried += spec.max_tokens * 4
    return each.times(evaluations + -(-evaluations // RETRY_SHARE))


def uses_of(candidate: Candidate) -> int:
    """How often a candidate's prompts can show a row's inputs: its placeholders, the step with most of them.

    >>> uses_of(Candidate({"main": Prompt.of("{{ text }} … again: {{ text }}")}))
    2
    """
    return max(1, *(prompt.text.count("{{") for prompt in candidate.prompts.values()))


@dataclass(slots=True)
class Draft:
    """A cell on its way through the steps of the program."""

    cell: Cell
    example: Example
    stored: Evaluation | None
    values: dict[str, Json] = field(default_factory=dict)
    trace: tuple[StepTrace, ...] = ()
    usage: Usage = field(default_factory=Usage)
    picousd: int | None = 0
    latency: float = 0.0
    failure: Failure | None = None

    def take(self, step: str, output: str, outcome: Outcome) -> None:
        """Go one step on with this outcome."""
        if outcome.reply is None:
            self.failure = outcome.failure
            return
        reply = outcome.reply
        self.values[output] = reply.text
        self.trace = (*self.trace, StepTrace(step, reply.text, outcome.request.key))
        self.usage = self.usage + reply.usage
        self.picousd = None if self.picousd is None or reply.picousd is None else self.picousd + reply.picousd
        self.latency += reply.latency


class LiveWorkbench:
    """Implements ports.Workbench over a ledger, a scorer and a store."""

    def __init__(
        self, equipment: Equipment, replay: Replay, active_seconds: Callable[[], float], on_tick: Callable[..., None]
    ) -> None:
        """`on_tick(phase, done, total)` is told of progress inside a block."""
        self._kit = equipment
        self._replay = replay
        self._active_seconds = active_seconds
        self._on_tick = on_tick
        self._barrier = 0
        self._uses = 1
        self._searching = False
        self._evaluated = 0
        self._missing = 0

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

    def examples(self, ids: Sequence[str]) -> list[Example]:
        """The contents of rows, in the order asked."""
        return self._kit.store.examples(self._kit.dataset_id, ids)

    async def keep(self, proposal: Proposal) -> None:
        """Store a candidate's texts, so that events can name it by id."""
        self._uses = max(self._uses, uses_of(proposal.candidate))
        await self._kit.store.keep_candidate(self._kit.run_id, proposal)

    def hold(self, evaluations: int, longest: int) -> None:
        """Hold back what `evaluations` more evaluations of prompts up to `longest` characters can cost; 0 releases."""
        self._searching = evaluations > 0
        kit = self._kit
        kit.ledger.hold(reserve_for(kit.program, kit.endpoints, kit.longest_inputs * self._uses, evaluations, longest))

    async def evaluate(self, cells: Sequence[Cell]) -> list[Evaluation]:
        """Evaluate cells; results in the order asked. Raises BudgetSpent, TooManyErrors."""
        self._begin()
        results: list[Evaluation] = []
        for start in range(0, len(cells), BLOCK):
            evaluations, cap = await self._block(cells[start : start + BLOCK])
            results.extend(evaluations)
            if cap:
                raise BudgetSpent(cap)
        return results

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Ask roles; answers in the order asked. Raises BudgetSpent."""
        self._begin()
        requests = [self._role_request(ask, self._kit.roles[ask.role].messages(ask.inputs)) for ask in asks]
        outcomes = await self._all_answers(requests, "asking")
        answers: dict[int, Answer] = {}
        repairs: list[tuple[int, ModelRequest]] = []
        for index, (ask, outcome) in enumerate(zip(asks, outcomes, strict=True)):
            if outcome.reply is None:
                answers[index] = Answer(None, failure=outcome.failure)
                continue
            try:
                answers[index] = Answer(self._kit.roles[ask.role].parse(outcome.reply.text, ask.inputs))
            except ValueError as problem:
                bad = Message("assistant", outcome.reply.text)
                ask_again = Message("user", REPAIR.format(problem=problem))
                repairs.append((index, self._role_request(ask, (*outcome.request.messages, bad, ask_again))))
        repaired = await self._all_answers([request for _, request in repairs], "repairing")
        for (index, _), outcome in zip(repairs, repaired, strict=True):
            answers[index] = self._repaired(asks[index], outcome)
        return [answers[index] for index in range(len(asks))]

    def _repaired(self, ask: Ask, outcome: Outcome) -> Answer:
        if outcome.reply is None:
            return Answer(None, repaired=True, failure=outcome.failure)
        try:
            return Answer(self._kit.roles[ask.role].parse(outcome.reply.text, ask.inputs), repaired=True)
        except ValueError as problem:
            return Answer(None, repaired=True, failure=Failure("unreadable_reply", str(problem)))

    def _role_request(self, ask: Ask, messages: tuple[Message, ...]) -> ModelRequest:
        spec = self._kit.endpoints[ask.role]
        return ModelRequest(ask.role, spec.model, messages, spec.parameters, ask.replicate, ask.role)

    async def _all_answers(self, requests: Sequence[ModelRequest], phase: str) -> list[Outcome]:
        if not requests:
            return []
        outcomes, cap = await self._answers(requests, phase)
        await self._commit([])
        if cap:
            raise BudgetSpent(cap)
        return outcomes

    def _begin(self) -> None:
        """A barrier: caps raised before here take effect, and a deadline may end the search."""
        self._barrier += 1
        self._apply_caps(refused=False)
        while self._searching and self._expired():
            if not self._apply_caps(refused=True):
                raise BudgetSpent("seconds")

    def _expired(self) -> bool:
        recorded = self._replay.deadline_met(self._barrier)
        if recorded is not None:
            return recorded
        seconds = self.budget.seconds
        return seconds is not None and self._active_seconds() >= seconds

    def _apply_caps(self, *, refused: bool) -> bool:
        caps = self._replay.take_caps(refused=refused)
        if caps:
            self._kit.ledger.raise_caps(caps)
        return bool(caps)

    async def _answers(self, requests: Sequence[ModelRequest], phase: str) -> tuple[list[Outcome], str | None]:
        """Outcomes in order, up to the first refusal; with the cap that refused, if any."""
        outcomes: list[Outcome] = []
        while True:
            cap: str | None = None
            async with aclosing(self._kit.ledger.complete_all(requests[len(outcomes) :])) as stream:
                async for outcome in stream:
                    failure = outcome.failure
                    if failure and failure.code.startswith("budget:"):
                        cap = failure.code.partition(":")[2]
                        break
                    outcomes.append(outcome)
                    self._on_tick(phase, len(outcomes), len(requests))
                    if failure and self._hopeless(outcomes, len(requests)):
                        break
            if failure := next((o.failure for o in outcomes if o.failure and o.failure.stops), None):
                await self._commit([])
                raise_failure(failure)
            if cap is None or not self._apply_caps(refused=True):
                return outcomes, cap

    def _hopeless(self, outcomes: Sequence[Outcome], planned: int) -> bool:
        """True when the block can no longer stay under the error rate, or when nothing will ever answer."""
        last = outcomes[-1].failure
        if last and last.stops:
            return True
        if outcomes[-1].request.role != "task":
            return False
        failed = self._missing + sum(1 for outcome in outcomes if outcome.failure)
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
        for step in kit.program.steps:
            asked = [(draft, self._task_request(draft, step.id, step.endpoint)) for draft in drafts]
            sent = [(draft, request) for draft, request in asked if request is not None]
            outcomes, cap = await self._answers([request for _, request in sent], "evaluating")
            for (draft, _), outcome in zip(sent, outcomes, strict=False):
                draft.take(step.id, step.output, outcome)
            if len(outcomes) < len(sent):  # refused, or hopeless: what was answered before stays
                answered = {id(draft) for draft, _ in sent[: len(outcomes)]}
                last = step is kit.program.steps[-1]
                drafts = [draft for draft in drafts if draft.failure or (last and id(draft) in answered)]
                break
        evaluations = [await self._scored(draft, index) for index, draft in enumerate(drafts)]
        known = {id(draft.stored) for draft in drafts if draft.stored}
        await self._commit([evaluation for evaluation in evaluations if id(evaluation) not in known])
        self._count_errors(evaluations)
        return evaluations, cap

    def _task_request(self, draft: Draft, step: str, endpoint: str) -> ModelRequest | None:
        if draft.failure:
            return None
        spec = self._kit.endpoints[endpoint]
        try:
            messages = fill_prompt(draft.cell.candidate.prompts[step], draft.values)
        except ConfigError as error:
            draft.failure = Failure("template", error.message)
            return None
        return ModelRequest(endpoint, spec.model, messages, spec.parameters, draft.cell.replicate)

    async def _scored(self, draft: Draft, index: int) -> Evaluation:
        if index % 200 == 199:
            await asyncio.sleep(0)  # scoring is pure CPU: let bars and streams breathe
        cell = draft.cell
        if draft.stored is not None and not draft.stored.error and not draft.failure:
            return draft.stored
        evaluation = Evaluation(
            cell.candidate.id,
            cell.example_id,
            cell.replicate,
            trace=draft.trace,
            usage=draft.usage,
            picousd=draft.picousd,
            latency=draft.latency,
        )
        if draft.failure:
            return evaluation.with_error(draft.failure)
        output = draft.trace[-1].output
        judgements, score = self._kit.scorer.score(output, draft.example)
        return Evaluation(
            cell.candidate.id,
            cell.example_id,
            cell.replicate,
            output,
            draft.trace,
            judgements,
            score,
            draft.usage,
            draft.picousd,
            draft.latency,
        )

    async def _commit(self, evaluations: Sequence[Evaluation]) -> None:
        kit = self._kit
        failures = kit.ledger.take_failures()
        if evaluations or failures:
            await kit.store.commit_block(
                kit.run_id, evaluations, failures, kit.scorer.fingerprint, self._replay.generation
            )

    def _count_errors(self, evaluations: Sequence[Evaluation]) -> None:
        self._evaluated += len(evaluations)
        failed = [evaluation.error for evaluation in evaluations if evaluation.error]
        self._missing += len(failed)
        if self._missing < FEWEST_ERRORS or self._missing <= self._kit.max_error_rate * self._evaluated:
            return
        reasons = _most_common(failure.message for failure in failed if failure)
        raise TooManyErrors(
            f"{self._missing} of {self._evaluated} evaluations have no score, more than max_error_rate "
            f"{self._kit.max_error_rate:g} allows; most often: {reasons}",
            remedy="mend the cause, then go on with `promptprop runs resume "
            f"{self._kit.run_id[:8]} --retry-errors`: nothing that was answered is asked again",
        )


def _most_common(messages: Iterator[str]) -> str:
    counts: dict[str, int] = {}
    for message in messages:
        counts[message] = counts.get(message, 0) + 1
    return max(counts, key=lambda message: counts[message], default="unknown")
