"""From a run's row to the engine that runs it: everything a run needs, composed from its snapshot alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.bootstrap.configuration import SystemClock, with_written_secrets
from promptprop.bootstrap.metrics import build_run_scorer
from promptprop.bootstrap.models import RUNS, is_simulated, open_endpoints, price_endpoints, require_priced
from promptprop.bootstrap.preparation import recorded
from promptprop.bootstrap.row_answers import named_rows
from promptprop.domain.errors import UsageError
from promptprop.domain.models import Candidate, Demo, Json, Program, Prompt, Row, Step, digest, text_of
from promptprop.ports import CACHE_MODES, Brief, CacheMode, Optimizer, QuestionBound, Reviewer, RunRow

if TYPE_CHECKING:
    from promptprop.adapters.models.endpoint import Endpoint
    from promptprop.adapters.models.ledger import LedgerModels
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.budget import Amount, Budget
    from promptprop.domain.config import RunConfig
    from promptprop.services.course import Assembly
    from promptprop.services.engine import Engine
    from promptprop.services.plan import Plan
    from promptprop.services.reserve import EndpointSpec

DRAFTS = 3  # seeds that are written from the task and train rows, where asked for
CONFIRM_SHARE = 0.3  # of select: rows that the search does not see, to choose among the shortlist
PLAN_SAMPLE = 50
DRAIN_SECONDS = 30.0  # that a run which ends early waits for calls that are under way


def build_engine(
    store: SqlStore, url: str, environment: Mapping[str, str], drain_seconds: float = DRAIN_SECONDS
) -> Engine:
    """The engine over this store; its runs that end early wait `drain_seconds` for calls that are under way."""
    from promptprop.adapters.logs import register_environment
    from promptprop.adapters.storage.locks import run_lock
    from promptprop.services.engine import Engine

    register_environment(environment)

    def lock(run_id: str) -> AbstractContextManager[None]:
        return run_lock(url, run_id)

    async def assemble_run(run: RunRow) -> Assembly:
        return await assemble(store, run, with_written_secrets(run.snapshot, environment), drain_seconds)

    return Engine(store, SystemClock(), assemble_run, lock)


def inbox_reviewer(store: SqlStore, run: RunRow, patience: float | None = None) -> Reviewer | None:
    """Who rules on rewrites where there is no terminal: whoever leaves a ruling in the inbox of a reviewed run.

    After `patience` seconds without one the run pauses.
    """
    from promptprop.services.inbox_review import PATIENCE, InboxReviewer

    wait = PATIENCE if patience is None else patience
    return InboxReviewer(store, run.id, patience=wait) if run.snapshot.get("options", {}).get("review") else None


async def assemble(
    store: SqlStore, run: RunRow, environment: Mapping[str, str], drain_seconds: float = DRAIN_SECONDS
) -> Assembly:
    """Compose a run from its row alone. Raises ConfigError, DataError, UsageError, ModelError."""
    from promptprop.domain.config import RunConfig
    from promptprop.domain.events import RunStarted
    from promptprop.roles.registry import load_roles
    from promptprop.services.course import Assembly
    from promptprop.services.plan import require_payable
    from promptprop.services.reserve import questions_of
    from promptprop.services.workbench import Equipment

    if run.activity not in RUNS:
        raise UsageError(
            f"run {run.id[:8]} is none of a prompt ({run.activity}), and cannot be taken up",
            remedy="run its command again: what is on record is free",
        )
    config = RunConfig.model_validate(run.snapshot["config"])
    budget = config.budget.budget
    endpoints, specs = await open_endpoints(config, environment, run.activity, recorded=recorded(run))
    try:
        optimizer, brief = build_search(store, run, config)
        ledger = build_ledger(store, run, budget, endpoints, drain_seconds)
        equipment = Equipment(
            run_id=run.id,
            dataset_id=run.dataset_id,
            program=brief.program,
            store=store,
            ledger=ledger,
            scorer=build_run_scorer(config, Path(run.snapshot["folder"]), run.snapshot["roles"]),
            roles=load_roles(run.snapshot["roles"]),
            endpoints=specs,
            clock=SystemClock(),
            max_error_rate=config.max_error_rate,
            longest_inputs=longest_inputs(store, run.dataset_id, [*brief.confirm, *brief.test]),
        )
        require_priced(config, specs)
        if run.activity == "optimize":
            questions = questions_of(equipment.scorer)
            require_payable(budget, finish_reserve(optimizer, brief, specs, equipment.longest_inputs, questions))
    except BaseException:
        for endpoint in endpoints.values():
            await endpoint.client.close()
        raise
    started = RunStarted(
        name=run.name,
        activity=run.activity,
        optimizer=config.optimizer.name if run.activity == "optimize" else "",
        seed=config.seed,
        rows={name: len(getattr(brief, name)) for name in ("train", "select", "confirm", "test")},
        models={alias: spec.model for alias, spec in specs.items()},
        budget=budget.as_json(),
        simulated=any(is_simulated(config.endpoints[alias], environment) for alias in specs),
        sealed=digest([run.dataset_id, sorted(row.id for row in brief.test)]) if brief.test else "",
    )
    judging = partial(build_run_scorer, config, Path(run.snapshot["folder"]), run.snapshot["roles"])
    return Assembly(optimizer, brief, equipment, started, partial(require_priced, config, specs), judging)


def build_ledger(
    store: SqlStore, run: RunRow, budget: Budget, endpoints: Mapping[str, Endpoint], drain_seconds: float
) -> LedgerModels:
    """The models of a run behind its ledger and its budget."""
    from promptprop.adapters.models.ledger import LedgerModels
    from promptprop.adapters.models.limiter import Timing
    from promptprop.adapters.models.purse import Purse

    timing = Timing(drain_seconds=drain_seconds)
    return LedgerModels(store, run.id, Purse(budget), endpoints, cache=cache_of(run), timing=timing)


def cache_of(run: RunRow) -> CacheMode:
    """How a run stands to other runs' replies: as it was started, also when it is resumed."""
    if recorded(run):
        return "off"
    wanted = run.snapshot.get("options", {}).get("cache", CACHE_MODES[0])
    return next(mode for mode in CACHE_MODES if mode == wanted)


def finish_reserve(
    optimizer: Optimizer,
    brief: Brief,
    endpoints: Mapping[str, EndpointSpec],
    longest_inputs: int,
    questions: Sequence[QuestionBound] = (),
) -> Amount:
    """What is held back for FINISH at the start, before any candidate is longer than the seeds."""
    from promptprop.services.reserve import reserve_for, uses_of

    longest = max(seed.length for seed in brief.seeds)
    inputs = longest_inputs * max(uses_of(seed) for seed in brief.seeds)
    return reserve_for(brief.program, endpoints, inputs, optimizer.shape(brief).finish, longest, questions)


def build_search(store: SqlStore, run: RunRow, config: RunConfig) -> tuple[Optimizer, Brief]:
    """The activity's driver with its brief: rows split, confirm rows cut from select. Raises DataError, UsageError."""
    from promptprop.domain.sampling import cut, ratios_of, split_rows
    from promptprop.optimizers.registry import build_optimizer
    from promptprop.services.evaluate import Scoring

    program = Program(tuple(Step(*parts) for parts in run.snapshot["program"]))
    seeds = seeds_of(run)
    rows = store.rows(run.dataset_id)
    options: Mapping[str, Json] = run.snapshot.get("options", {})
    split = config.data.split
    ratios = ratios_of(split)
    empty: tuple[Row, ...] = ()
    parts: Mapping[str, tuple[Row, ...]]
    optimizer: Optimizer
    if run.activity in ("evaluate", "check"):
        chosen = str(options.get("split", "all"))
        parts = {"train": empty, "test": empty, "confirm": empty, "select": tuple(rows)}
        if chosen != "all":
            wanted = next((name for name in ratios if name == chosen), None)
            if wanted is None:
                raise UsageError(f"there is no split {chosen!r}", remedy=f"one of: all, {', '.join(ratios)}")
            parts = {**parts, "select": split_rows(rows, ratios, split.seed)[wanted]}
        parts = {**parts, "select": named_rows(parts["select"], options.get("rows", ()), chosen)}
        checking = options.get("gate") is not None
        optimizer = build_gate(store, run, options) if checking else Scoring(chosen, int(options.get("repeats", 1)))
    else:
        found = split_rows(rows, ratios, split.seed)
        select, confirm = cut(found["select"], CONFIRM_SHARE, split.seed, "confirm")
        parts = {"train": found["train"], "select": select, "confirm": confirm, "test": found["test"]}
        optimizer = build_optimizer(config.optimizer.name, config.optimizer.options)
    brief = Brief(
        task=config.task,
        program=program,
        seeds=seeds,
        train=parts["train"],
        select=parts["select"],
        confirm=parts["confirm"],
        test=parts["test"],
        seed=config.seed,
        drafts=DRAFTS if config.from_scratch else 0,
    )
    return optimizer, brief


def seeds_of(run: RunRow) -> tuple[Candidate, ...]:
    """The prompts that a run began with."""
    seeds = run.snapshot["seeds"]
    demos = run.snapshot.get("demos") or [[] for _ in seeds]
    return tuple(
        Candidate({step: Prompt.from_json(prompt) for step, prompt in seed}, tuple(Demo(*demo) for demo in shown))
        for seed, shown in zip(seeds, demos, strict=True)
    )


def build_gate(store: SqlStore, run: RunRow, options: Mapping[str, Json]) -> Optimizer:
    """The gate that a run's options describe, with the answers of a stored baseline that lie with the run."""
    from promptprop.domain.gate_config import GateConfig
    from promptprop.services.gate_tests import Guard
    from promptprop.services.gatekeeping import CriticalRows, Gate, StoredAnswers
    from promptprop.services.judging import by_row

    settings = GateConfig.model_validate(options["gate"])
    wanted = settings.critical
    critical = CriticalRows(wanted.tag, wanted.passes, wanted.answers) if wanted else None
    guards = tuple(Guard(name, limit) for name, limit in settings.guards.items())
    stored = None
    if options.get("stored"):
        stored = StoredAnswers(options["stored"], by_row(store.evaluations(run.id, options["stored"])))
    split = str(options.get("split", "all"))
    return Gate(settings.rule, settings.metric, critical, split, guards, stored, bool(options.get("anew")))


def longest_inputs(store: SqlStore, dataset_id: str, rows: Sequence[Row]) -> int:
    """UTF-8 bytes of the longest inputs among these rows: what bounds the cost of an evaluation in FINISH."""
    longest = 0
    for start in range(0, len(rows), 1000):
        for example in store.examples(dataset_id, [row.id for row in rows[start : start + 1000]]):
            longest = max(longest, sum(len(text_of(value).encode()) for value in example.inputs.values()))
    return longest


async def plan_run(store: SqlStore, run: RunRow, environment: Mapping[str, str]) -> Plan:
    """What this run will take. Free: no model is called and no key is needed. Raises ConfigError, DataError."""
    from promptprop.domain.config import RunConfig
    from promptprop.services.plan import make_plan
    from promptprop.services.reserve import questions_of

    config = RunConfig.model_validate(run.snapshot["config"])
    specs = price_endpoints(config, environment, run.activity)
    require_priced(config, specs)
    optimizer, brief = build_search(store, run, config)
    rows = (brief.train or brief.select)[:PLAN_SAMPLE]
    sample = store.examples(run.dataset_id, [row.id for row in rows])
    longest = longest_inputs(store, run.dataset_id, [*brief.confirm, *brief.test])
    scorer = build_run_scorer(config, Path(run.snapshot["folder"]), run.snapshot["roles"])
    questions = questions_of(scorer)
    reserve = finish_reserve(optimizer, brief, specs, longest, questions)
    return make_plan(brief, optimizer.shape(brief), specs, sample, config.budget.budget, reserve, questions)
