"""`gepa`: the public library of that name, behind our ports: same ledger, budgets, resume, events and report.

Its search is its own (Agrawal et al. 2025, GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning);
what it asks for is answered here, and the claim at the end is FINISH, as for every optimizer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from promptprop.domain.errors import BudgetSpent, ConfigError, UnusableReplies
from promptprop.domain.events import (
    CandidateRaced,
    CandidateScreened,
    Estimate,
    Event,
    ProposalDropped,
    RaceOutcome,
    RoundEnded,
    RoundStarted,
)
from promptprop.domain.models import Ask, Candidate, Evaluation, Example, Hypothesis, Prompt, Proposal, Row, text_of
from promptprop.domain.sampling import stream
from promptprop.optimizers.finish import end_search, finish_size, hold_finish, longest_allowed, proposed, scored
from promptprop.optimizers.scores import Scores, difference_of, mean_of, nothing_to_gain
from promptprop.optimizers.thread import Line
from promptprop.ports import Brief, Shape, Workbench
from promptprop.roles.template import prompt_variables

MISSING = 0.5  # the library knows no missing score: a row that could not be scored says nothing either way
UNUSABLE = 3  # unusable rewrites in a row, after which the rewriter is called unusable


class GepaOptions(BaseModel):
    """Options of `gepa`: the library's own defaults but for its budget, which is the run's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iterations: int = Field(60, ge=1, le=1000, description="Iterations at most.")
    minibatch: int = Field(3, ge=1, le=50, description="Train rows that a rewrite is made from and accepted on.")
    valset: int | None = Field(
        None, ge=1, description="Select rows that accepted rewrites are scored on; all if unset."
    )
    parents: int = Field(1, ge=1, le=8, description="Parents that an iteration samples.")
    children: int = Field(1, ge=1, le=8, description="Rewrites of each parent.")
    merge: bool = Field(False, description="Merge candidates that win different rows.")
    longest: int = Field(6000, ge=200, le=200_000, description="Characters of a candidate at most (or 3 × the seed).")
    shortlist: int = Field(1, ge=1, le=10, description="Candidates that meet the confirm rows at most.")


class Gepa:
    """The library's loop; rows of train feed its reflection, rows of select are its valset."""

    Options = GepaOptions

    def __init__(self, options: GepaOptions) -> None:
        """Take the options."""
        self.options = options

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """Let the library search, then FINISH. Raises BudgetSpent, UnusableReplies, TooManyErrors."""
        search = _Search(brief, workbench, self.options)
        for seed in search.seeds:
            await workbench.keep(Proposal(seed))
            yield proposed(0, seed)
        hold_finish(workbench, brief, self.options.shortlist, ())
        try:
            await search.scores.fill(workbench, search.seeds, search.valset)
            for seed in search.seeds:
                yield scored(search.scores, seed, brief.select, "select", 0)
            reason = search.reason_to_stop()
            if not reason:
                line = search.line = Line()
                async with aclosing(line.events(search.optimize)) as told:
                    async for event in told:
                        yield event
                reason = search.reason_to_stop() or "rounds"
        except BudgetSpent as spent:
            reason = spent.cap
        if search.unusable >= UNUSABLE and not search.accepted:
            raise UnusableReplies(
                f"{UNUSABLE} rewrites in a row could not be used; the last one: {search.problem}",
                remedy="give models.rewriter a model that can follow the reply format, or raise its max_tokens",
            )
        ending = end_search(brief, workbench, search.scores, search.shortlist(), reason, search.iteration)
        async with aclosing(ending) as claims:
            async for event in claims:
                yield event

    def shape(self, brief: Brief) -> Shape:
        """How it will spend: about one rewrite in three is accepted and meets the whole valset."""
        options = self.options
        valset = min(options.valset or len(brief.select), len(brief.select))
        tries = options.parents * options.children
        each = options.minibatch * (options.parents + tries) + valset * tries // 3
        most = options.minibatch * (options.parents + tries) + valset * tries
        return Shape(
            set_up=len(brief.unique_seeds) * valset,
            each_round=each,
            role_calls=tries,
            finish=finish_size(brief, options.shortlist),
            rounds=options.iterations,
            most_each_round=most,
            most_role_calls=2 * tries,
        )


@dataclass
class _Search:
    """The library's adapter and callbacks. All methods but the plain ones run in its thread, through the line."""

    brief: Brief
    bench: Workbench
    options: GepaOptions
    scores: Scores = field(default_factory=Scores)
    iteration: int = 0
    accepted: list[Candidate] = field(default_factory=list)
    unusable: int = 0
    problem: str = ""
    propose_new_texts: None = None
    line: Line = field(init=False)
    parent: Candidate = field(init=False)
    best: Candidate = field(init=False)

    def __post_init__(self) -> None:
        self.seeds = self.brief.unique_seeds
        self.known = {seed.id: seed for seed in self.seeds}
        self.longest = longest_allowed(self.options.longest, self.brief)
        rows = list(self.brief.select)
        if self.options.valset is not None:
            stream(self.brief.seed, "valset").shuffle(rows)
        self.valset = rows[: self.options.valset or len(rows)]
        self.parent = self.best = self.seeds[0]
        self.asked = 0
        self.skipped = 0
        self.proposed: list[Candidate] = []

    # --- before and after the library

    def reason_to_stop(self) -> str:
        """Why the search ends here, or nothing to go on."""
        if not self.accepted:
            self.best = max(self.seeds, key=self._mean)
        if plain := nothing_to_gain(self.scores.numbers(self.best.id, self.valset).values()):
            return plain
        if self.unusable >= UNUSABLE:
            return "unusable replies"
        return "no failures left" if self._nothing_to_learn() else ""

    def shortlist(self) -> list[Candidate]:
        """The best by the mean on the valset, the first seed apart."""
        rivals = {one.id: one for one in (*self.seeds, *self.accepted)}.values()
        seed = self.seeds[0]
        better = [one for one in rivals if one is not seed and self._mean(one) > self._mean(seed)]
        return sorted(better, key=lambda one: (-self._mean(one), one.length, one.id))[: self.options.shortlist]

    def _mean(self, candidate: Candidate) -> float:
        numbers = self.scores.numbers(candidate.id, self.valset)
        return sum(numbers.values()) / len(numbers) if numbers else -1.0

    def _nothing_to_learn(self) -> bool:
        """Whether as many minibatches in a row as make up train held no failure."""
        return self.skipped * self.options.minibatch >= len(self.brief.train)

    # --- in the thread

    def optimize(self) -> None:
        """Run the library to its end."""
        import gepa
        from gepa.strategies.proposal_sampling import PxNSampling

        options = self.options
        several = options.parents * options.children > 1
        gepa.optimize(
            seed_candidate={step: prompt.text for step, prompt in self.best.prompts.items()},
            trainset=list(self.brief.train),
            valset=list(self.valset),
            adapter=self,
            reflection_lm=self.reflect,
            reflection_minibatch_size=min(options.minibatch, len(self.brief.train)),
            sampling_strategy=PxNSampling(options.parents, options.children) if several else None,
            use_merge=options.merge,
            stop_callbacks=self.stops,
            callbacks=[self],
            seed=self.brief.seed,
            logger=_Silent(),
            raise_on_exception=True,
            track_best_outputs=False,
        )

    def stops(self, state: Any) -> bool:  # noqa: ARG002 - the library's signature
        """The library's question before each iteration."""
        return self.iteration >= self.options.iterations or self._nothing_to_learn() or self.unusable >= UNUSABLE

    def evaluate(self, batch: Sequence[Row], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        """Scores of a batch; a prompt that cannot be used scores 0 without a call."""
        from gepa.core.adapter import EvaluationBatch

        known = self._candidate(candidate)
        if known is None:
            return EvaluationBatch(
                [""] * len(batch), [0.0] * len(batch), [None] * len(batch) if capture_traces else None
            )
        self.line.do(lambda: self.scores.fill(self.bench, [known], batch))
        seen: dict[str, Evaluation] = self.scores.of(known.id, batch)
        scores = [MISSING if (one := seen.get(row.id)) is None or one.score is None else one.score for row in batch]
        outputs = [seen[row.id].output if row.id in seen else "" for row in batch]
        traces = [(row, seen.get(row.id)) for row in batch] if capture_traces else None
        return EvaluationBatch(outputs, scores, traces)

    def make_reflective_dataset(
        self,
        candidate: Any,  # noqa: ARG002 - the library's signature
        batch: Any,
        components: Sequence[str],
    ) -> dict[str, Any]:
        """What the library shows its reflection model, in the form that its own adapters use.

        Of a chain each component sees what it was given and what it wrote, with the feedback on the last answer.
        """
        rows = [(row, one) for row, one in (batch.trajectories or []) if one is not None]
        examples = self.bench.examples([row.id for row, _ in rows])
        seen = [(example, one) for example, (_, one) in zip(examples, rows, strict=True)]
        return {component: [self._record(component, example, one) for example, one in seen] for component in components}

    def _record(self, component: str, example: Example, one: Evaluation) -> dict[str, Any]:
        given, wrote = dict(example.inputs), one.output
        said = "; ".join(judged.feedback for judged in one.judgements.values() if judged.feedback)
        right = f" The expected answer is: {text_of(example.expected)}" if example.expected is not None else ""
        feedback = f"{said or 'This answer is right.'}{right}"
        steps = self.brief.program.steps
        if len(steps) > 1:
            wanted = prompt_variables(self.seeds[0].prompts[component])
            written = {step.output: done.output for step, done in zip(steps, one.trace, strict=False)}
            given = {name: value for name, value in {**given, **written}.items() if name in wanted}
            wrote = next((done.output for done in one.trace if done.step == component), "")
            if component != steps[-1].id:
                feedback = f"The final answer was: {one.output}\n{feedback}"
        return {"Inputs": given, "Generated Outputs": wrote, "Feedback": feedback}

    def reflect(self, prompt: str | list[dict[str, Any]]) -> str:
        """The rewriter's reply to the library's question."""
        self.asked += 1
        text = prompt if isinstance(prompt, str) else "\n\n".join(str(one.get("content", "")) for one in prompt)
        ask = Ask("reflector", {"prompt": text}, replicate=self.asked)
        (answer,) = self.line.do(lambda: self.bench.ask([ask]))
        if answer.value is None:
            self.problem = answer.failure.message if answer.failure else "the reply could not be read"
            return ""
        return str(answer.value)

    def _candidate(self, texts: Mapping[str, str]) -> Candidate | None:
        """The candidate with these texts, kept and told when it is new; None where it cannot be used."""
        kinds = self.best.prompts.items()
        prompts = {step: replace(kind, messages=Prompt.of(texts[step]).messages) for step, kind in kinds}
        candidate = Candidate(
            prompts, parents=(self.parent.id,), hypothesis=Hypothesis("reflection", "a reflection on a few rows")
        )
        if candidate.id in self.known:
            return self.known[candidate.id]
        problem = self._problem(candidate)
        if problem:
            self.unusable += 1
            self.problem = self.problem or problem
            self.line.tell(ProposalDropped(self.iteration, "reflection", problem))
            return None
        self.unusable, self.problem = 0, ""
        self.known[candidate.id] = candidate
        self.line.do(lambda: self.bench.keep(Proposal(candidate)))
        hold_finish(self.bench, self.brief, self.options.shortlist, self.known.values())
        self.line.tell(proposed(self.iteration, candidate))
        self.proposed.append(candidate)
        return candidate

    def _problem(self, candidate: Candidate) -> str:
        if candidate.length > self.longest:
            return f"it has {candidate.length} characters, and at most {self.longest} are allowed"
        for step, prompt in candidate.prompts.items():
            try:
                found = prompt_variables(prompt)
            except ConfigError:
                return f"the placeholders of step {step} cannot be read"
            if found != prompt_variables(self.seeds[0].prompts[step]):
                return f"the placeholders of step {step} are not those of the seed"
        return ""

    # --- what the library tells

    def on_candidate_selected(self, event: Mapping[str, Any]) -> None:
        """A parent was picked: a round begins, unless it is one more parent of the same."""
        self.parent = self._candidate(event["candidate"]) or self.best
        if event["iteration"] > self.iteration:
            self.iteration = int(event["iteration"])
            self.line.tell(RoundStarted(self.iteration, self.parent.id, "drawn from GEPA's Pareto front"))

    def on_evaluation_skipped(self, event: Mapping[str, Any]) -> None:  # noqa: ARG002 - the library's signature
        """A minibatch without a failure teaches nothing."""
        self.skipped += 1

    def on_proposal_start(self, event: Mapping[str, Any]) -> None:
        """There is something to learn from."""
        self.skipped = 0
        self.parent = self._candidate(event["parent_candidate"]) or self.parent

    def on_valset_evaluated(self, event: Mapping[str, Any]) -> None:
        """A rewrite was accepted on its minibatch and met the valset."""
        candidate = self._candidate(event["candidate"])
        if candidate is None or candidate.id in {one.id for one in (*self.seeds, *self.accepted)}:
            return
        self.accepted.append(candidate)
        before, after, _ = self.scores.pairs(self.best.id, candidate.id, self.valset)
        delta = difference_of(before, after)
        won = self._mean(candidate) > self._mean(self.best)
        outcome: RaceOutcome = "promoted" if won else "undecided"
        self.line.tell(CandidateScreened(self.iteration, candidate.id, self._on_train(candidate), kept=True))
        self.line.tell(CandidateRaced(self.iteration, candidate.id, self.best.id, delta, outcome))
        if won:
            self.best = candidate

    def _on_train(self, candidate: Candidate) -> Estimate:
        parent = candidate.parents[0] if candidate.parents else self.best.id
        before, after, _ = self.scores.pairs(parent, candidate.id, self.brief.train)
        return difference_of(before, after)

    def on_iteration_end(self, event: Mapping[str, Any]) -> None:
        """A round is over; rewrites that were not better on their minibatch went no further."""
        for candidate in self.proposed:
            if candidate not in self.accepted:
                self.line.tell(CandidateScreened(self.iteration, candidate.id, self._on_train(candidate), kept=False))
        self.proposed = []
        if event["iteration"] == self.iteration and self.iteration:
            mean = mean_of(self.scores.numbers(self.best.id, self.valset).values())
            self.line.tell(RoundEnded(self.iteration, self.best.id, mean, int(bool(event["proposal_accepted"]))))


class _Silent:
    def log(self, message: str) -> None:
        """The library's own progress is not shown: the run tells its events."""
