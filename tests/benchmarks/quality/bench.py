"""A workbench in memory over a simulated office: real role templates, parsers, prompts and metrics, no database.

It counts at the simulated server: what the live workbench would send, and nothing that its ledger would answer. The cap
is on task calls alone, since the comparison is at equal task calls; roles are counted beside it, in calls and tokens.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chains import ChainOffice
from families import Office

from promptprop.adapters.models.offline.chance import draw
from promptprop.domain.budget import Budget, RoleSpend, Spend
from promptprop.domain.errors import BudgetSpent
from promptprop.domain.models import (
    Answer,
    Ask,
    Candidate,
    Cell,
    Evaluation,
    Example,
    Failure,
    Judgement,
    Message,
    Proposal,
    StepTrace,
    text_of,
)
from promptprop.domain.people import Correction, ReviewRequest, Ruling
from promptprop.metrics.scoring import MetricSpec, build_scorer
from promptprop.ports import AwaitingMetric, Effort, ModelMetric, Scorer
from promptprop.roles.registry import REPAIR, load_roles
from promptprop.roles.template import fill_prompt

CHARACTERS_PER_TOKEN = 4
ROLES = load_roles({})
JURORS = ((0.03, 0.10), (-0.06, 0.16))  # bias and noise of each juror of the simulated panel
SILENT = 0.04  # how often the panel says nothing usable


def jury_score(office: Office, example_id: str, output: str, right: bool) -> float | None:
    """The panel's mean for an answer: high where it is right, blurred by each juror's bias and noise; at times None."""
    key = [office.world.name, "jury", example_id, output]
    if draw(*key, "silent") < SILENT:
        return None
    centre, total = (0.86 if right else 0.36), 0.0
    for number, (bias, noise) in enumerate(JURORS):
        one, two = draw(*key, number, "a"), draw(*key, number, "b")
        normal = math.sqrt(-2 * math.log(one + 1e-12)) * math.cos(2 * math.pi * two)
        total += min(1.0, max(0.0, centre + bias + noise * normal))
    return total / len(JURORS)


@dataclass
class JuryScorer:
    """A noisy panel as the only metric, behind ports.Scorer."""

    office: Office
    fingerprint: str = "jury"
    asking: tuple[ModelMetric, ...] = ()
    awaiting: tuple[AwaitingMetric, ...] = ()
    wants_rubric: bool = False

    def score(
        self,
        output: str,
        example: Example,
        effort: Effort | None = None,
        known: Mapping[str, Judgement] | None = None,
    ) -> tuple[dict[str, Judgement], float | None]:
        """The panel's word; its feedback is that of a juror who knows the expected answer."""
        right = output == text_of(example.expected)
        score = jury_score(self.office, example.id, output, right)
        said = "" if right or score is None else f"expected {text_of(example.expected)}, got {output[:80]}"
        return {"panel": Judgement(score, said)}, score

    def combine(self, judgements: Mapping[str, Judgement]) -> float | None:
        """The panel's word is all there is."""
        return judgements["panel"].score


def scorer_of(office: Office | ChainOffice) -> Scorer:
    """The metrics of a family."""
    if isinstance(office, Office) and office.family.metric == "jury":
        return JuryScorer(office)
    kind = "json_fields" if office.family.metric == "fields" else "exact"
    return build_scorer([MetricSpec("answer", kind)], Path())


@dataclass
class FastBench:
    """Implements ports.Workbench for one run; `cap` is on task calls. Equal requests are sent once."""

    office: Office | ChainOffice
    examples_by_id: dict[str, Example]
    cap: int
    calls: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    kept: dict[str, Candidate] = field(default_factory=dict)
    barrier: int = 0
    notes: tuple[str, ...] = ()
    corrections: tuple[Correction, ...] = ()
    held: int = 0
    _scorer: Scorer | None = None
    _answered: dict[tuple[str, int], str] = field(default_factory=dict)
    _done: dict[tuple[str, str, int], Evaluation] = field(default_factory=dict)

    @property
    def spend(self) -> Spend:
        """Task calls alone: what the cap is on."""
        return Spend({"task": RoleSpend(calls=self.calls["task"])})

    @property
    def budget(self) -> Budget:
        """The cap on task calls."""
        return Budget(calls=self.cap)

    @property
    def weighted_tokens(self) -> int:
        """Task tokens, and those of roles ten times: a rewriter is a larger model."""
        return sum(count * (1 if role == "task" else 10) for role, count in self.tokens.items())

    def examples(self, ids: Sequence[str]) -> list[Example]:
        """The contents of rows."""
        return [self.examples_by_id[name] for name in ids]

    async def keep(self, proposal: Proposal) -> None:
        """Remember a candidate."""
        self.kept[proposal.candidate.id] = proposal.candidate

    def hold(self, evaluations: int, longest: int) -> None:
        """Keep calls out of the search's reach, as the live bench does for FINISH."""
        self.held = evaluations

    async def review(self, _request: ReviewRequest) -> Ruling:
        """Nobody reviews."""
        return Ruling("approve")

    async def evaluate(self, cells: Sequence[Cell]) -> list[Evaluation]:
        """Evaluate cells in order. Raises BudgetSpent at the first call that the cap has no room for."""
        self.barrier += 1
        return [self._evaluation(cell) for cell in cells]

    def _evaluation(self, cell: Cell) -> Evaluation:
        place = (cell.candidate.id, cell.example_id, cell.replicate)
        if place not in self._done:
            example = self.examples_by_id[cell.example_id]
            traces = self.traces(cell.candidate, example, cell.replicate)
            output = traces[-1].output
            self._scorer = self._scorer or scorer_of(self.office)
            judgements, score = self._scorer.score(output, example)
            self._done[place] = Evaluation(*place, output=output, trace=traces, judgements=judgements, score=score)
        return self._done[place]

    def traces(self, candidate: Candidate, example: Example, replicate: int = 0) -> tuple[StepTrace, ...]:
        """What each step writes; the next one sees it under the step's output variable. Raises BudgetSpent."""
        values, traces = dict(example.inputs), []
        for step in self.office.program.steps:
            prompt = candidate.prompts[step.id]
            values[step.output] = self.answer(fill_prompt(prompt, values, candidate.demos_at(step.id)), replicate)
            traces.append(StepTrace(step.id, text_of(values[step.output]), ""))
        return tuple(traces)

    def answer(self, messages: tuple[Message, ...], replicate: int = 0) -> str:
        """The task model's answer, counted unless the same was asked before. Raises BudgetSpent."""
        key = ("\n".join(message.content for message in messages), replicate)
        if key not in self._answered:
            if self.calls["task"] + self.held >= self.cap:
                raise BudgetSpent("calls")
            self._answered[key] = self.office.answer(messages, replicate)
            self._count("task", messages, self._answered[key])
        return self._answered[key]

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Ask roles, each with one repair."""
        self.barrier += 1
        return [self._asked(ask) for ask in asks]

    def _asked(self, ask: Ask) -> Answer:
        role = ROLES[ask.role]
        messages = role.messages(ask.inputs)
        problem = ""
        for repaired in (False, True):
            reply = self.reply(ask.role, messages, ask.replicate)
            try:
                return Answer(role.parse(reply, ask.inputs), repaired=repaired)
            except ValueError as error:
                problem = str(error)
                again = Message("user", REPAIR.format(problem=problem))
                messages = (*messages, Message("assistant", reply), again)
        return Answer(None, repaired=True, failure=Failure("unreadable_reply", problem))

    def reply(self, part: str, messages: tuple[Message, ...], replicate: int) -> str:
        """The reply of the simulated critic or rewriter, counted."""
        reply = self.office.reply(part, messages, replicate)
        self._count(part, messages, reply)
        return reply

    def _count(self, role: str, messages: Sequence[Message], reply: str) -> None:
        self.calls[role] += 1
        characters = sum(len(message.content) for message in messages) + len(reply)
        self.tokens[role] += -(-characters // CHARACTERS_PER_TOKEN)


@dataclass(frozen=True)
class Result:
    """What a contender would return at a cap, by step, and what it took."""

    texts: Mapping[str, str]
    calls: int
    role_calls: int
    weighted_tokens: int
    length: int
