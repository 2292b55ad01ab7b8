"""The seams of the loop: metrics, the workbench, optimizers and roles."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from promptprop.domain.budget import Budget, Spend
from promptprop.domain.events import Event
from promptprop.domain.models import (
    Answer,
    Ask,
    Candidate,
    Cell,
    Evaluation,
    Example,
    Json,
    Judgement,
    Message,
    Program,
    Proposal,
    RoleName,
    Row,
)
from promptprop.domain.people import Correction, ReviewRequest, Ruling


@dataclass(frozen=True, slots=True)
class Effort:
    """What an answer takes in production: seconds over all steps, 10⁻¹² USD (None: unknown price), and tokens."""

    seconds: float
    picousd: int | None
    tokens: int


class Metric(Protocol):
    """Judges one answer against its example. Pure but for custom metrics."""

    id: str

    def judge(self, output: str, example: Example) -> Judgement:
        """Score in [0, 1] with feedback; `score=None` where the metric cannot judge this row."""
        ...


class AwaitingMetric(Metric, Protocol):
    """A metric that waits for something while it judges, such as a service; `judge` holds up whoever calls it."""

    async def judge_later(self, output: str, example: Example) -> Judgement:
        """The same without holding up the loop. It may be asked about all answers at once: it bounds itself."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """A model call that a metric needs for its judgement; `endpoint` is an alias such as `juror.strict` or `embed`."""

    endpoint: str
    role: RoleName
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a question: the reply's text, or why there is none."""

    question: Question
    text: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class QuestionBound:
    """The most that a metric asks an endpoint for one answer: calls, and bytes of a call beside row and answer."""

    endpoint: str
    calls: int
    size: int


class ModelMetric(Protocol):
    """Judges one answer by asking models. Pure: what it asks and says depends on its arguments alone."""

    id: str

    def consider(
        self, output: str, example: Example, judgements: Mapping[str, Judgement], told: Sequence[Told]
    ) -> tuple[Question, ...] | dict[str, Judgement]:
        """The next questions, after what has been told so far; or its judgements by id, its own among them.

        `judgements` are those of metrics that ask nobody. A score of None means that nobody could judge.
        """
        ...

    @property
    def bounds(self) -> tuple[QuestionBound, ...]:
        """The most that it asks, by endpoint."""
        ...


class Scorer(Protocol):
    """All metrics of a run as one loss."""

    @property
    def fingerprint(self) -> str:
        """Names what shapes a score: metric types, options, contents of files and functions, weights and gates."""
        ...

    def score(
        self,
        output: str,
        example: Example,
        effort: Effort | None = None,
        known: Mapping[str, Judgement] | None = None,
    ) -> tuple[dict[str, Judgement], float | None]:
        """Each metric's judgement by id, and the weighted and gated mean; None where nothing could judge.

        Metrics that ask models have no part in it. Without `effort`, those that weigh it cannot judge. What is `known`
        is not judged again: the word of a metric that awaits something, from whoever could wait for it.
        """
        ...

    @property
    def awaiting(self) -> Sequence[AwaitingMetric]:
        """The metrics in code that wait for something while they judge."""
        ...

    @property
    def wants_rubric(self) -> bool:
        """True where a metric judges by criteria that are still to be drafted."""
        ...

    @property
    def asking(self) -> Sequence[ModelMetric]:
        """The metrics that ask models; whoever has their judgements calls `combine`."""
        ...

    def combine(self, judgements: Mapping[str, Judgement]) -> float | None:
        """One score from all judgements; None where nothing could judge."""
        ...


class Reviewer(Protocol):
    """A person at the desk. Asked once for each rewrite that is about to be adopted."""

    async def decide(self, request: ReviewRequest) -> Ruling:
        """Approve, edit or refuse. May be cancelled: then nothing was decided."""
        ...


class Workbench(Protocol):
    """What an optimizer works with. It awaits one thing at a time and hands over all work at once."""

    async def evaluate(self, cells: Sequence[Cell]) -> list[Evaluation]:
        """Evaluate cells; results in the order asked. Raises BudgetSpent, TooManyErrors."""
        ...

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Ask roles; answers in the order asked. Raises BudgetSpent."""
        ...

    async def keep(self, proposal: Proposal) -> None:
        """Store a candidate's texts, so that events can name it by id."""
        ...

    def examples(self, ids: Sequence[str]) -> list[Example]:
        """The contents of rows, in the order asked."""
        ...

    def hold(self, evaluations: int, longest: int) -> None:
        """Hold back what `evaluations` more evaluations of prompts up to `longest` characters can cost.

        A `longest` of 0 tells that the search is over, and releases what was held.
        """
        ...

    async def review(self, request: ReviewRequest) -> Ruling:
        """What a person says to a rewrite before it is adopted; approval at once where nobody reviews."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of people, in force now, for critic and rewriter."""
        ...

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """Scores that people have changed, in force now; what is evaluated carries them already."""
        ...

    @property
    def spend(self) -> Spend:
        """What the run has spent so far."""
        ...

    @property
    def budget(self) -> Budget:
        """The caps in force."""
        ...

    @property
    def barrier(self) -> int:
        """How many times evaluate or ask were called: the run's own clock."""
        ...


@dataclass(frozen=True, slots=True)
class Brief:
    """What an optimizer is given: seeds, rows by split, a seed for randomness, and what the task is about.

    `drafts` more seeds are to be written from the task and train rows. `confirm` rows are cut from select and stay
    unseen by the search; `test` rows are sealed until FINISH.
    """

    task: str
    program: Program
    seeds: tuple[Candidate, ...]
    train: tuple[Row, ...]
    select: tuple[Row, ...]
    confirm: tuple[Row, ...]
    test: tuple[Row, ...]
    seed: int
    drafts: int = 0

    @property
    def unique_seeds(self) -> list[Candidate]:
        """The seeds, each once, in their order."""
        return list({seed.id: seed for seed in self.seeds}.values())


@dataclass(frozen=True, slots=True)
class Shape:
    """How an optimizer spends: evaluations of its set-up, of a round and of FINISH, and role calls of a round.

    `most_each_round` and `most_role_calls` bound a round; the others are likely figures, and FINISH is exact.
    """

    set_up: int
    each_round: int
    role_calls: int
    finish: int
    rounds: int
    most_each_round: int
    most_role_calls: int


class Optimizer(Protocol):
    """A search strategy: a generator of decisions, with all model access through the workbench."""

    def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """Search, then FINISH. Deterministic given the brief and what the workbench answered."""
        ...

    def shape(self, brief: Brief) -> Shape:
        """How it will spend, for `plan`: likely figures, not bounds; FINISH alone is exact."""
        ...


class Role(Protocol):
    """A model role: a template file plus the parser of its reply.

    `reply_schema` describes the JSON object that is asked for; what the parser takes beside it, such as a fenced text,
    is told in the class.
    """

    name: str
    summary: str
    reply_schema: Mapping[str, Json]

    def messages(self, inputs: Mapping[str, Json]) -> tuple[Message, ...]:
        """The filled template."""
        ...

    def parse(self, text: str, inputs: Mapping[str, Json]) -> Any:
        """The reply's value. Raises ValueError with a sentence that the model can act on."""
        ...
