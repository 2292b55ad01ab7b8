"""Composes `check` from a configuration: what it is held against, what it may compare, and the run that is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.adapters.files.baselines import baseline_path, parse_baseline, read_baseline, recording_path
from promptprop.bootstrap.gates import GIT, GateReport, Outlook, gate_report, outlook_of, prompt_at, text_at
from promptprop.domain.baseline import Aspect, Baseline
from promptprop.domain.errors import BaselineMissing, ConfigError, NotComparable, NotRecorded, UsageError
from promptprop.domain.gate_config import GateConfig
from promptprop.domain.models import Candidate, Json, Program

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.ports import RunRow

Tell = Callable[[Outlook], None]
CONFINED = "name PROMPT@VERSION, RUN:winner or RUN:seed; or `promptprop baseline accept CONFIG` stores one"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The file of a stored baseline: as it lies there, or as it was at a revision of git."""

    path: Path
    revision: str = ""

    def read(self) -> Baseline:
        """The baseline. Raises BaselineMissing."""
        if not self.revision:
            return read_baseline(self.path)
        return parse_baseline(text_at(self.path, self.revision), f"{self.path} at {self.revision}")


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What is asked of a check. Without `baseline` the stored one of the configuration's name.

    `allowed` are differences under which it compares all the same, `anew` asks an unchanged prompt again, and `offline`
    answers from the recording alone. `remembered` is kept with the run for its report. `confined` is what strangers ask
    for: then `baseline` is a stored one's name, NAME@VERSION or RUN:CANDIDATE, and neither a path nor a revision.
    """

    settings: GateConfig
    baseline: str | None = None
    split: str = "all"
    cache: str = "read-write"
    allowed: tuple[Aspect, ...] = ()
    offline: bool = False
    anew: bool = False
    remembered: dict[str, Json] = field(default_factory=dict)
    confined: bool = False

    def stored(self, name: str) -> StoredFile | None:
        """The file of a stored baseline, if one is meant; `name` is the configuration's. Raises BaselineMissing."""
        if not self.confined:
            return stored_baseline(self.baseline, name)
        if {"@", ":"} & set(self.baseline or ""):
            return None
        path = baseline_path(self.baseline or name)
        if not path.is_file():
            raise BaselineMissing(f"there is no stored baseline {path.stem}", remedy=CONFINED)
        return StoredFile(path)


def gate_settings(loaded: LoadedConfig, max_replicates: int | None = None) -> GateConfig:
    """The gate of the configuration, with the looks that may be made. Raises ConfigError."""
    from promptprop.services.gate_tests import EFFORTS

    settings = loaded.config.gate or GateConfig()
    known = {metric.id for metric in loaded.config.metrics}
    for key, names in (("gate.metric", set(settings.metric)), ("gate.guards", set(settings.guards) - set(EFFORTS))):
        if unknown := sorted(names - known):
            listed = [*(EFFORTS if key == "gate.guards" else ()), *sorted(known)]
            raise ConfigError(f"{key}: there is no metric {unknown[0]!r}", remedy=f"one of {', '.join(listed)}")
    if max_replicates is None:
        return settings
    kept = tuple(one for one in settings.replicates if one <= max_replicates) or (max_replicates,)
    return settings.model_copy(update={"replicates": kept})


def stored_baseline(reference: str | None, name: str) -> StoredFile | None:
    """The file of a stored baseline that a reference means, if it means one; `name` is the configuration's.

    `git:REV:FILE.json` is one at a revision: what a change itself stored is not what it is held against. Raises
    BaselineMissing where nothing is named and none is stored.
    """
    if reference is None:
        path = baseline_path(name)
        if not path.is_file():
            raise BaselineMissing(
                f"a check needs a baseline, and there is none stored as {path}",
                remedy="`promptprop baseline accept CONFIG` stores one; or --baseline git:origin/main, or a file",
            )
        return StoredFile(path)
    if reference.startswith(GIT):
        revision, _, file = reference.removeprefix(GIT).rpartition(":")
        return StoredFile(Path(file), revision) if revision and file.endswith(".json") else None
    if {"@", ":"} & set(reference):
        return None
    path = Path(reference)
    if path.suffix == ".json":
        return StoredFile(path)
    named = baseline_path(reference)
    return StoredFile(named) if not path.is_file() and named.is_file() else None


async def begin_check(
    store: SqlStore,
    loaded: LoadedConfig,
    request: CheckRequest,
    tell: Tell,
    *,
    owner: str = "",
    most_rows: int | None = None,
) -> RunRow:
    """Store the run of a check, once it is told what it will see. Nothing is spent yet.

    `owner` is the id of the token that asks for it, `most_rows` bounds its data.
    Raises BaselineMissing, NotComparable, UsageError, ConfigError, DataError.
    """
    from promptprop.bootstrap.baselines import keep_stored, require_comparable
    from promptprop.bootstrap.preparation import create_run, draft_run, prepare

    stored, before, program, candidate = await asyncio.to_thread(_sides, store, loaded, request)
    prepared = await prepare(store, loaded, prompts=(program, (before, candidate)), most_rows=most_rows)
    options: dict[str, Json] = {
        **request.remembered,
        "split": request.split,
        "cache": _cache(request),
        "gate": request.settings.as_json(),
        "baseline": request.baseline or (stored.name if stored else ""),
        "recording": str(recording_of(loaded, request)) if request.offline else "",
        "anew": request.anew,
    }
    footing, draft = None, draft_run(prepared, "check", options)
    if stored:
        footing = await asyncio.to_thread(require_comparable, store, draft, loaded.environment, stored, request.allowed)
        told = [one.text for one in footing.allowed]
        options |= {"stored": stored.id, "differences": told, "anew": request.anew or footing.anew}
    elif request.anew:
        raise UsageError("--rerun needs a stored baseline", remedy="`promptprop baseline accept CONFIG` stores one")
    outlook = await asyncio.to_thread(outlook_of, store, draft, request.settings, loaded.environment, stored)
    tell(outlook)
    _require_power(request.settings, outlook)
    run = await create_run(store, prepared, "check", options, owner)
    if stored and footing:
        await keep_stored(store, run, stored, footing)
    return run


async def check(
    config: str | Path,
    baseline: str | None = None,
    *,
    split: str = "all",
    offline: bool = False,
    allow: Sequence[str] = (),
    sets: Sequence[str] = (),
    database: str | None = None,
) -> GateReport:
    """Make a check as the command does, without a terminal, and return its report.

    `allow` names differences under which it compares all the same (`model`, `rows`), `sets` are `key=value` overrides
    such as `gate.margin=3pp`. Raises BaselineMissing, NotComparable, UsageError, ConfigError, DataError, ModelError,
    TooManyErrors, BudgetExhausted, StorageError.
    """
    import contextlib

    from promptprop.adapters.logs import redact_value
    from promptprop.bootstrap.assembly import build_engine
    from promptprop.bootstrap.baselines import allowed_aspects
    from promptprop.bootstrap.configuration import database_url, load, open_database
    from promptprop.domain.sampling import require_split
    from promptprop.services.again import Call

    require_split(split)
    loaded = load(config, sets)
    call = Call(str(config), split, tuple(sets), None, database)
    request = CheckRequest(
        settings=gate_settings(loaded),
        baseline=baseline,
        split=split,
        allowed=allowed_aspects(allow),
        offline=offline,
        remembered={"call": redact_value(call.as_json())},
    )
    url = database_url(database, loaded.config, loaded.environment)
    with contextlib.closing(open_database(url)) as store:
        run = await begin_check(store, loaded, request, lambda _outlook: None)
        try:
            report = await build_engine(store, url, loaded.environment).run(run.id)
        finally:  # a call that is missing says more than the errors that come of it
            require_recorded(store, run)
        return gate_report(store, run, report.history)


def _sides(
    store: SqlStore, loaded: LoadedConfig, request: CheckRequest
) -> tuple[Baseline | None, Candidate, Program, Candidate]:
    """The stored baseline, if it is one, the prompt that it is or that is named, and the configured one."""
    file = request.stored(loaded.config.name)
    stored = file.read() if file else None
    program, candidate = _candidate(loaded)
    before = stored.candidate if stored else _named(store, loaded, request)
    _require_steps(before, program, stored)
    return stored, before, program, candidate


def _cache(request: CheckRequest) -> str:
    """A prompt that is asked anew must not be answered by what its baseline was."""
    return "refresh" if request.anew and request.cache == "read-write" else request.cache


def _candidate(loaded: LoadedConfig) -> tuple[Program, Candidate]:
    from promptprop.adapters.files.prompts import read_prompts

    program, seeds = read_prompts(loaded.config)
    if len(seeds) != 1:
        raise UsageError("a check takes one prompt", remedy="name one prompt in the configuration, or a chain")
    return program, seeds[0]


def _named(store: SqlStore, loaded: LoadedConfig, request: CheckRequest) -> Candidate:
    """The prompt that a baseline names. Raises BaselineMissing, UsageError, ConfigError."""
    from promptprop.bootstrap.references import prompt_for
    from promptprop.domain.errors import RunNotFound

    reference = str(request.baseline)
    if reference.startswith(GIT) and not request.confined:
        return prompt_at(loaded.config, reference.removeprefix(GIT))
    try:
        return prompt_for(store, loaded.config, reference, files=not request.confined)
    except (UsageError, RunNotFound) as error:
        remedy = CONFINED if request.confined else error.remedy
        raise BaselineMissing(f"no baseline: {error.message}", remedy=remedy) from error


def _require_steps(before: Candidate, program: Program, stored: Baseline | None) -> None:
    if stored and set(before.prompts) != {step.id for step in program.steps}:
        raise NotComparable(
            f"the baseline {stored.name} has the steps {', '.join(before.prompts)}, and the configuration "
            f"{', '.join(step.id for step in program.steps)}",
            remedy="`promptprop baseline accept CONFIG` makes a new baseline",
        )


def _require_power(settings: GateConfig, outlook: Outlook) -> None:
    """Raises UsageError where a gate that must see a drop of the margin would not."""
    if not settings.require_power or (outlook.smallest is not None and outlook.smallest <= settings.margin):
        return
    smallest = "none" if outlook.smallest is None else f"{100 * outlook.smallest:.1f} points"
    margin = f"{100 * settings.margin:g} points"
    raise UsageError(
        f"this check would not see a drop of {margin}: the smallest that it sees is {smallest}",
        remedy="add rows or replicates, or widen the margin",
    )


def recording_of(loaded: LoadedConfig, request: CheckRequest) -> Path:
    """Where the recording of a check lies: beside its stored baseline, else under the configuration's name."""
    file = request.stored(loaded.config.name)
    return recording_path(file.path if file else baseline_path(loaded.config.name))


def record_calls(store: SqlStore, run: RunRow, loaded: LoadedConfig, request: CheckRequest) -> tuple[Path, int]:
    """Write the calls of a finished check for `--offline`; where, and how many. Raises NotWritable."""
    from promptprop.adapters.files.recordings import write_recording

    path = recording_of(loaded, request)
    return path, write_recording(path, store.replies(run.id))


async def begin_acceptance(store: SqlStore, loaded: LoadedConfig, options: dict[str, Json]) -> RunRow:
    """Store the run of an evaluation whose result becomes a baseline. Raises BaselineMissing."""
    from promptprop.bootstrap.preparation import create_run, prepare

    program, candidate = _candidate(loaded)
    return await create_run(store, await prepare(store, loaded, prompts=(program, (candidate,))), "evaluate", options)


def require_recorded(store: SqlStore, run: RunRow) -> None:
    """Raises BaselineMissing where a run met calls that its recording lacks, naming them; nothing for other runs."""
    from promptprop.bootstrap.preparation import recorded
    from promptprop.services.judging import newest

    failed = store.failed_calls(run.id) if recorded(run) else 0
    if not failed:
        return
    path = run.snapshot["options"]["recording"]
    broken = [one for one in newest(store.evaluations(run.id)) if one.error is not None]
    names = list(dict.fromkeys(one.example_id for one in broken if one.error and one.error.code == NotRecorded.code))
    listed = f": those of the rows {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else ""
    least = "" if store.run(run.id).status == "finished" else "at least "  # it stops where too many are missing
    raise BaselineMissing(
        f"the recording {path} lacks {least}{failed:,} call{'' if failed == 1 else 's'}{listed}",
        remedy="the prompt, the rows or the models are others than those that were recorded. Where there is a key: "
        "`promptprop check CONFIG --record`, and commit the recording with the change",
    )
