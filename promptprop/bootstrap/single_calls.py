"""Single calls of scripts: one answer, one vote, one refinement. Each is an inquiry: recorded, and under the caps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from promptprop.bootstrap.experiments import PageRow, example_of_row, framed, loaded_of
from promptprop.bootstrap.page_models import PageModel, lent, server_rewriter
from promptprop.domain.errors import BudgetSpent, ConfigError, DataError, UnusableReplies, raise_failure
from promptprop.domain.models import Ask, Json, Message, ModelRequest, Outcome, Prompt, storable

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.requests import Lender
    from promptprop.domain.model_config import ModelConfig
    from promptprop.domain.models import Judgement
    from promptprop.ports import Question, Told
    from promptprop.roles.refiner import Refinement
    from promptprop.services.inquiry import Inquiry

SEAT = "juror"
LONGEST = 60_000  # characters of a refined prompt
PATIENCE, RETRIES = 5.0, 2
MOST_CALLS = 20  # of one single call: a repair and retries among them


class NoRewriter(ConfigError):
    """The server has no model that writes prompts, and the request names none."""

    code = "no_rewriter"


async def infer(store: SqlStore, lender: Lender, model: PageModel, task: str, prompt: str, query: str) -> str:
    """What a model answers to one input under a literal prompt. Raises ModelError, ConfigError, BudgetExhausted."""
    from promptprop.roles.template import fill_prompt

    task_model = _at_once(lent(model, "task", lender.serve))
    config = {"prompt": framed(task, prompt), "models": {"task": task_model}, "metrics": ["exact"]}
    text = Prompt((Message("user", storable(prompt)),), True, str(framed(task, prompt)["frame"]))
    async with _inquiry(store, lender, "infer", task, config) as inquiry:
        (outcome,) = await _ask(inquiry, "task", [fill_prompt(text, {"query": storable(query)})])
        return outcome.reply.text if outcome.reply else ""


async def judge(
    store: SqlStore, lender: Lender, model: PageModel, task: str, row: PageRow, answer: str
) -> tuple[float, str]:
    """A juror's score in [0, 1] of one answer, and why. Raises UnusableReplies, ModelError, BudgetExhausted."""
    from promptprop.metrics.base import Seat, Setting
    from promptprop.metrics.jury import Jury, JuryOptions

    juror = _at_once(lent(model, "juror", lender.serve))
    config = {
        "prompt": framed(task, "-"),
        "models": {"task": juror, "jury": [{**juror, "name": SEAT}]},
        "metrics": [{"type": "jury", "id": SEAT}],
    }
    setting = Setting(task=storable(task), jury=(Seat(SEAT),))
    metric = Jury(SEAT, JuryOptions(), Path(), setting)
    example = example_of_row(row, 0)
    async with _inquiry(store, lender, "judge", task, config) as inquiry:
        told: list[Told] = []
        while not isinstance(said := metric.consider(storable(answer), example, {}, told), dict):
            told += await _replies(inquiry, said)
    return _vote(said)


def _at_once(model: ModelConfig) -> dict[str, Json]:
    """The model as somebody calls it who waits for the answer: a provider that is down is soon said to be."""
    return {**model.model_dump(mode="json"), "patience": PATIENCE, "retries": min(model.retries, RETRIES)}


def _vote(judgements: Mapping[str, Judgement]) -> tuple[float, str]:
    own = judgements.get(f"{SEAT}/{SEAT}") or judgements[SEAT]
    if own.score is None:
        raise UnusableReplies(f"the juror gave no score: {own.feedback}", remedy="ask again, or name another model")
    return own.score, own.feedback


async def _replies(inquiry: Inquiry, questions: Sequence[Question]) -> list[Told]:
    from promptprop.ports import Told

    outcomes = await _ask(inquiry, f"juror.{SEAT}", [question.messages for question in questions])
    return [
        Told(question, outcome.reply.text if outcome.reply else None)
        for question, outcome in zip(questions, outcomes, strict=True)
    ]


async def refine(store: SqlStore, lender: Lender, task: str, prompt: str, failures: str) -> Refinement:
    """A better prompt from a text about its failures, by the server's rewriter.

    Raises NoRewriter, UnusableReplies, DataError.
    """
    if not prompt.strip():
        raise DataError("the prompt that is to be refined is empty")
    model = server_rewriter(lender.serve)
    if model is None:
        raise NoRewriter("the server has no model that writes prompts", remedy="set serve.models.rewriter")
    plain = _at_once(model)
    config = {"prompt": framed(task, prompt), "models": {"task": plain, "rewriter": plain}, "metrics": ["exact"]}
    inputs = {
        "task": storable(task),
        "prompts": {"main": Prompt.of(storable(prompt), literal=True)},
        "said": storable(failures),
        "longest": max(LONGEST, 3 * len(prompt)),
    }
    async with _inquiry(store, lender, "refine", task, config) as inquiry:
        (answer,) = await inquiry.ask([Ask("refiner", inputs)])
    if answer.value is None:
        if answer.failure is not None and answer.failure.code != "unreadable_reply":
            raise_failure(answer.failure)
        why = answer.failure.message if answer.failure else "the reply could not be read"
        raise UnusableReplies(f"the rewriter gave no usable prompt: {why}", remedy="ask again")
    return cast("Refinement", answer.value)


@asynccontextmanager
async def _inquiry(
    store: SqlStore, lender: Lender, activity: str, task: str, config: Mapping[str, Json]
) -> AsyncIterator[Inquiry]:
    from promptprop.bootstrap.inquiries import open_inquiry
    from promptprop.bootstrap.requests import capped
    from promptprop.domain.budget_config import BudgetConfig
    from promptprop.roles.registry import shipped_template

    budget = capped(BudgetConfig(calls=MOST_CALLS), lender.serve.budget).model_dump(mode="json")
    common = {"name": activity, "task": storable(task), "data": {"dataset": "none"}, "budget": budget}
    loaded = loaded_of(lender, {**common, **config})
    templates = {name: shipped_template(name) for name in ("juror", "refiner")}
    async with open_inquiry(store, loaded, activity, "", templates, lambda *_: None) as inquiry:
        yield inquiry


async def _ask(inquiry: Inquiry, alias: str, conversations: Sequence[tuple[Message, ...]]) -> list[Outcome]:
    """The replies, in order. Raises ModelError for one that failed, BudgetSpent."""
    spec = inquiry.endpoints[alias]
    requests = [
        ModelRequest(alias, spec.model, messages, spec.parameters, 0, "juror" if alias.startswith("juror") else "task")
        for messages in conversations
    ]
    found: list[Outcome] = []
    cap = await inquiry.answers(iter(requests), len(requests), "asking", found.append)
    if cap:
        raise BudgetSpent(cap)
    for outcome in found:
        if outcome.failure is not None:
            raise_failure(outcome.failure)
    return found
