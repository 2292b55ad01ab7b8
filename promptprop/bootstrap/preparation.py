"""From a configuration to a run in the store: prompts and data read, checked against each other, and snapshot."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop import __version__
from promptprop.bootstrap.configuration import SystemClock
from promptprop.bootstrap.metrics import build_run_scorer
from promptprop.bootstrap.models import is_simulated, world_digest
from promptprop.domain.errors import ConfigError, DataError, Place, Problem, SnapshotMismatch
from promptprop.domain.models import Candidate, Example, Json, Program
from promptprop.ports import RunRow

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.files.datasets import Columns
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.config import DataConfig, RunConfig

# what may differ between a run and its resumption: where it is stored, where and how its models are reached, and how
# fast it may go; none of it is part of a request's key. A resumption takes these over, but for the budget: caps that a
# person gives are interventions. `retries` may differ, since a call that is over replays with the attempts it took, and
# whether another one is admitted depends on what those before it cost and on one attempt of its own (see the purse). No
# price, for at another one a cap on money would admit other calls than it did, and the replay would decide otherwise
FREE_KEYS = ("budget", "tracking", "database", "output", "serve", "gate")
FREE_MODEL_KEYS = ("api_base", "api_key", "timeout", "rpm", "tpm", "concurrency", "retries", "patience", "client")
SEARCHING = ("critic", "rewriter", "juror", "manager")  # roles whose templates shape a run
Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration with its data in the store: what a run, a plan or a resumption starts from."""

    config: RunConfig
    environment: Mapping[str, str] = field(repr=False)
    dataset_id: str
    snapshot: Mapping[str, Json]


async def prepare(
    store: SqlStore,
    loaded: LoadedConfig,
    *,
    prompts: tuple[Program, tuple[Candidate, ...]] | None = None,
    most_rows: int | None = None,
) -> Prepared:
    """Read prompts and data, store the dataset, and check that all fits together. Raises ConfigError, DataError.

    A dataset of more than `most_rows` rows is refused.
    """
    from promptprop.adapters.files.prompts import read_prompts

    config = loaded.config
    program, seeds = prompts or read_prompts(config)
    if config.data.dataset:
        dataset_id, variables = stored_rows(store, config.data.dataset, most_rows)
        check_variables(config, program, seeds, variables)
    else:
        check_variables(config, program, seeds)
        dataset_id = await store.put_dataset(config.name, limited_examples(config, most_rows))
    refining = ("refiner",) if config.optimizer.name == "iterate" else ()
    templates = templates_of(config, (*SEARCHING, *refining))
    snapshot = {
        "engine": __version__,
        "config": config.snapshot(),
        "path": str(loaded.path),
        "program": [[step.id, step.output, step.endpoint] for step in program.steps],
        "seeds": [[[step, prompt.as_json()] for step, prompt in seed.prompts.items()] for seed in seeds],
        "demos": [[[demo.example_id, dict(demo.inputs), demo.output] for demo in seed.demos] for seed in seeds],
        "roles": templates,
        "scorer": build_run_scorer(config, loaded.path.parent, templates).fingerprint,
        "folder": str(loaded.path.resolve().parent),
        "worlds": {
            alias: world_digest(config, model)
            for alias, model in config.endpoints.items()
            if is_simulated(model, loaded.environment)
        },
    }
    return Prepared(config, loaded.environment, dataset_id, snapshot)


def stored_rows(store: SqlStore, dataset_id: str, most: int | None = None) -> tuple[str, tuple[str, ...]]:
    """The id of a stored dataset, and the variables that its rows fill.

    Raises DataError where there is none, and past `most` rows.
    """
    from promptprop.adapters.files.datasets import too_many_rows

    found = store.dataset_head(dataset_id)
    first = store.dataset_rows(dataset_id, limit=1) if found else []
    if found is None or not first:
        raise DataError(f"no dataset has the id {dataset_id!r}", remedy="upload it, and name the id that it gets")
    if most is not None and found.size > most:
        raise too_many_rows(most)
    return found.id, tuple(first[0].example.inputs)


def limited_examples(config: RunConfig, most: int | None = None) -> Iterable[Example]:
    """The examples of the configured files, streamed. Raises DataError past `most` of them."""
    from promptprop.adapters.files.datasets import read_examples, read_split_files

    if config.data.dataset:
        raise DataError("this reads rows from a file, and not those of a stored dataset", remedy="name a data.file")
    data, columns = config.data, columns_of(config.data)
    if data.files:
        return read_split_files({split: str(path) for split, path in data.files.items()}, columns, data.format, most)
    return read_examples(str(data.file), columns, data.format, most)


def columns_of(data: DataConfig) -> Columns:
    """What the columns of the dataset mean. Raises DataError where two inputs fill one variable."""
    from promptprop.adapters.files.datasets import Columns

    return Columns(
        data.inputs,
        data.expected,
        data.id,
        data.cluster,
        data.tags,
        data.weight,
        data.split.column,
        data.soft_negatives,
        data.hard_negatives,
    )


def check_variables(
    config: RunConfig, program: Program, seeds: Sequence[Candidate], variables: Sequence[str] = ()
) -> None:
    """Each prompt uses only what a column or an earlier step supplies, and uses something. Raises ConfigError.

    `variables` are those of a stored dataset, which cannot be checked without them.
    """
    from promptprop.adapters.files.config_problems import closest
    from promptprop.roles.template import INSTRUCTION, variables_of, variables_sent

    if config.data.dataset and not variables:
        return
    columns = set(variables or columns_of(config.data).variables)
    problems = []
    for seed in seeds:
        known = set(columns)
        for step in program.steps:
            prompt = seed.prompts[step.id]
            used = variables_sent(prompt)
            if prompt.frame and INSTRUCTION not in variables_of(prompt.frame):
                problems.append(Problem("the frame has no {{ instruction }}", remedy="put it where the text goes"))
            for name in sorted(used - known):
                near = closest(name, known)
                listed = f"list the column under data.inputs; known are: {', '.join(sorted(known))}"
                remedy = f"did you mean {{{{ {near} }}}}? Else {listed}" if near else listed
                problems.append(Problem(f"the prompt uses {{{{ {name} }}}}, which no column supplies", remedy=remedy))
            if not used and not prompt.literal and step is program.steps[0]:
                example = "{{ " + min(columns) + " }}"
                problems.append(
                    Problem("the prompt uses no variable, so it is the same for every row", remedy=f"put {example} in")
                )
            known.add(step.output)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def require_rewriter(config: RunConfig) -> None:
    """`optimize` needs a rewriter. Raises ConfigError."""
    if config.models.of("rewriter") is None:
        raise ConfigError("no model is configured as rewriter", remedy="add models.rewriter: {model: …}")


def require_capped(config: RunConfig) -> None:
    """A search that nobody watches needs a cap. Raises ConfigError."""
    if config.budget.budget.unlimited:
        message = "an optimization without a cap may spend without end"
        raise ConfigError(Problem(message, Place("budget"), "set budget: {calls: 2000}, or {usd: 1}"))


def fresh_run(name: str, activity: str, seed: int, snapshot: Mapping[str, Json], dataset_id: str) -> RunRow:
    """The row of a run that is not stored yet. Ids begin with randomness, so that short prefixes work."""
    now = SystemClock().now()
    return RunRow(secrets.token_hex(16), name, activity, "created", seed, now, now, snapshot, dataset_id)


def draft_run(prepared: Prepared, activity: str, options: Mapping[str, Json]) -> RunRow:
    """The row of a run of what was prepared, not stored yet."""
    config, snapshot = prepared.config, {**prepared.snapshot, "options": dict(options)}
    return fresh_run(config.name, activity, config.seed, snapshot, prepared.dataset_id)


async def create_run(
    store: SqlStore, prepared: Prepared, activity: str, options: Mapping[str, Json], owner: str = ""
) -> RunRow:
    """Store a new run, with the replies of the `recording` that its options name: then nothing else answers it.

    `owner` is the id of the token that asks for it. Raises BaselineMissing where the recording cannot be read.
    """
    from promptprop.adapters.files.recordings import read_recording

    replies = read_recording(Path(options["recording"])) if options.get("recording") else []
    run = replace(draft_run(prepared, activity, options), owner=owner)
    await store.create_run(run)
    await store.pin_replies(run.id, replies)
    return run


def recorded(run: RunRow) -> bool:
    """Whether only the replies of a recording answer a run: no model is called, and no one is told of it."""
    return bool(run.snapshot.get("options", {}).get("recording"))


async def create_second_look(store: SqlStore, run: RunRow, budget: Mapping[str, Json]) -> RunRow:
    """Store a new run that goes on from a finished one: all that is equal comes from the ledger, free of charge."""
    config = {**run.snapshot["config"], "budget": {**run.snapshot["config"].get("budget", {}), **budget}}
    options = {**run.snapshot.get("options", {}), "second_look_of": run.id}
    snapshot = {**run.snapshot, "config": config, "options": options}
    fresh = replace(fresh_run(run.name, run.activity, run.seed, snapshot, run.dataset_id), owner=run.owner)
    await store.create_run(fresh)
    return fresh


def check_same(run: RunRow, prepared: Prepared) -> None:
    """A resumed run must be what it was. Raises SnapshotMismatch naming the first difference."""
    before, after = _compared(run.snapshot), _compared(prepared.snapshot)
    differences = [key for key in {**after, **before} if before.get(key) != after.get(key)]
    if run.dataset_id != prepared.dataset_id:
        differences.append("the dataset's contents")
    if differences:
        raise SnapshotMismatch(
            f"run {run.id[:8]} was started with something else than what is on disk now: {', '.join(differences[:5])}",
            remedy="resume without the configuration (`promptprop runs resume`) to go on as it was, or start afresh: "
            "calls that are equal come from the ledger, so that only what differs is paid again",
        )


def _compared(snapshot: Mapping[str, Json]) -> dict[str, Json]:
    from promptprop.adapters.files.origins import dotted, settings

    config = {key: value for key, value in snapshot["config"].items() if key not in FREE_KEYS}
    kept = {dotted(loc): value for loc, value in settings(config) if not _free(loc)}
    others = ("engine", "program", "seeds", "roles", "scorer", "worlds")
    return {**kept, **{name: snapshot.get(name) for name in others}}


def refreshed(run: RunRow, prepared: Prepared) -> dict[str, Json]:
    """The run's snapshot with what may differ taken from the configuration that it is resumed with."""
    return {**run.snapshot, "config": _taken_over(run.snapshot["config"], prepared.snapshot["config"])}


def _taken_over(before: Json, after: Json, loc: Loc = ()) -> Json:
    if isinstance(before, dict) and isinstance(after, dict):
        places = {name: (*loc, name) for name in {**before, **after}}
        fresh = {name for name in after if _free(places[name]) and places[name] != ("budget",)}
        old = {name: _taken_over(value, after.get(name), places[name]) for name, value in before.items()}
        return {**old, **{name: after[name] for name in places if name in fresh}}
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return [_taken_over(one, other, (*loc, index)) for index, (one, other) in enumerate(pairs)]
    return before


def _free(loc: Loc) -> bool:
    """Whether a setting may differ on resume; what a provider is passed under such a name, in `params`, may not."""
    if len(loc) == 1:
        return loc[0] in FREE_KEYS
    of_model = loc[0] == "models" and len(loc) == (4 if loc[1] == "jury" else 3)
    of_step = loc[0] == "steps" and len(loc) == 4 and loc[2] == "model"
    return (of_model or of_step) and loc[-1] in FREE_MODEL_KEYS


def templates_of(config: RunConfig, names: Sequence[str] = SEARCHING) -> dict[str, str]:
    """The templates of these roles: its own file where one is configured, else the shipped one. Raises ConfigError."""
    from promptprop.adapters.files.yaml_strict import read_text
    from promptprop.roles.registry import check_templates, shipped_template

    templates = {}
    for name in names:
        override = getattr(config.roles, name, None)
        templates[name] = read_text(Path(override.template)) if override else shipped_template(name)
    check_templates(templates)
    return templates
