"""What people name: a prompt's version, a run's seed or winner, a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.bootstrap.outputs import default_program, program_of
from promptprop.domain.errors import RunNotFound, UsageError
from promptprop.domain.history import fold
from promptprop.domain.models import Candidate, Json, Program

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.comparing import Side
    from promptprop.domain.config import RunConfig
    from promptprop.ports import PromptVersion, RunRow

RECENT = 1000  # runs that are looked through for the newest optimization
FORMS = "use PROMPT@VERSION, RUN:seed, RUN:winner, RUN:CANDIDATE or a file"


@dataclass(frozen=True, slots=True)
class Named:
    """A candidate under the name that it was asked for by; `program` tells the order of its steps.

    `run` is the run that it was named by, if it was named by one.
    """

    label: str
    candidate: Candidate
    program: Program
    run: RunRow | None = None


def text_named(reference: str, open_store: Callable[[], SqlStore]) -> tuple[str, str]:
    """A label and the text of a file, a prompt's version or a run's candidate. Raises UsageError, RunNotFound."""
    path = Path(reference)
    if path.is_file():
        from promptprop.adapters.files.yaml_strict import read_text

        return reference, read_text(path).removesuffix("\n")
    _refuse_absent_file(reference)
    named = candidate_named(open_store(), reference)
    return named.label, named.candidate.text


def candidate_named(store: SqlStore, reference: str) -> Named:
    """The candidate behind `NAME`, `NAME@VERSION`, `RUN:seed`, `RUN:winner`, `RUN:ID` or `RUN`.

    A run alone stands for its winner, and a check or an evaluation for its last candidate. A name that is a prompt's
    and a run's stands for the prompt. Raises UsageError, RunNotFound, AmbiguousRun.
    """
    if ":" in reference and "@" not in reference:
        run, _, which = reference.rpartition(":")
        return _of_run(store, run, which)
    known = {version.name for version in store.prompts()} if "@" not in reference else set()
    if "@" in reference or reference in known:
        return _of_prompt(store, reference)
    try:
        return _of_run(store, reference, "")
    except RunNotFound as error:
        if reference == "latest":
            raise
        remedy = "`promptprop prompts list` and `promptprop runs list` show what there is"
        raise UsageError(f"neither a prompt nor a run answers to {reference!r}", remedy=remedy) from error


def prompt_for(store: SqlStore, config: RunConfig, reference: str, *, files: bool = True) -> Candidate:
    """The prompt of a file, a version or a run, where it fits the steps of a configuration.

    Without `files` a reference names none, whatever it looks like. Raises UsageError, ConfigError, RunNotFound.
    """
    from promptprop.adapters.files.prompts import read_prompt, read_prompts
    from promptprop.domain.config import PromptConfig

    program, _ = read_prompts(config)
    if files and Path(reference).is_file():
        if len(program.steps) > 1:
            raise UsageError(
                "a file holds one prompt, and this configuration has several steps", remedy="use NAME@VERSION"
            )
        return Candidate({program.steps[0].id: read_prompt(PromptConfig(file=reference))})
    if files:
        _refuse_absent_file(reference, "name a file, NAME@VERSION, RUN:seed or RUN:winner")
    candidate = candidate_named(store, reference).candidate
    if set(candidate.prompts) != {step.id for step in program.steps}:
        raise UsageError(f"{reference} has other steps than this configuration", remedy="score it with its own")
    return candidate


def version_head(one: PromptVersion) -> dict[str, Json]:
    """What lists show of a prompt's version; the time is in ISO 8601."""
    return {
        "name": one.name,
        "version": one.version,
        "aliases": list(one.aliases),
        "id": one.candidate.id,
        "length": one.candidate.length,
        "run_id": one.run_id,
        "created_at": one.created_at.isoformat(),
    }


def existing_run(store: SqlStore, reference: str) -> RunRow:
    """The run that a reference names. Raises RunNotFound with a remedy that fits, AmbiguousRun."""
    try:
        return store.run(reference)
    except RunNotFound as error:
        if reference == "latest":
            raise RunNotFound("there is no run yet", remedy="begin one with `promptprop optimize CONFIG`") from error
        raise


def side_named(store: SqlStore, reference: str) -> Side:
    """What a comparison is asked for: a version, a run's candidate, or the prompt in a file.

    Raises UsageError, ConfigError, RunNotFound, AmbiguousRun.
    """
    from promptprop.bootstrap.comparing import Side

    path = Path(reference)
    if path.is_file():
        from promptprop.adapters.files.prompts import MAIN, read_prompt
        from promptprop.domain.config import PromptConfig

        return Side(reference, Candidate({MAIN.id: read_prompt(PromptConfig(file=reference))}))
    _refuse_absent_file(reference)
    named = candidate_named(store, reference)
    return Side(named.label, named.candidate, named.run)


def _refuse_absent_file(reference: str, remedy: str = FORMS) -> None:
    """Raises UsageError for what looks like a file, where none was found, and like no name."""
    if Path(reference).suffix and not {":", "@"} & set(reference):
        raise UsageError(f"there is no file {reference}", remedy=remedy)


def _of_prompt(store: SqlStore, reference: str) -> Named:
    version = store.prompt(reference)
    return Named(f"{version.name}@{version.version}", version.candidate, program_of_version(store, version))


def program_of_version(store: SqlStore, version: PromptVersion) -> Program:
    """The order of a version's steps: that of the run that found it, as long as it is stored."""
    if version.run_id:
        with contextlib.suppress(RunNotFound):  # the run was removed; the prompt stays
            return program_of(store.run(version.run_id))
    return default_program(version.candidate)


def _newest_optimization(store: SqlStore) -> str | None:
    """The run that `latest` means where a prompt is asked for: evaluations that came after it have no winner."""
    return next((run.id for run in store.runs(RECENT) if run.activity == "optimize"), None)


def _of_run(store: SqlStore, reference: str, which: str) -> Named:
    run = existing_run(store, _newest_optimization(store) or reference if reference == "latest" else reference)
    return candidate_in(store, run, which)


def candidate_in(store: SqlStore, run: RunRow, which: str) -> Named:
    """A run's candidate: `seed`, `winner`, the beginning of an id, or "" for the one that a run stands for.

    Raises UsageError.
    """
    history = fold(store.events(run.id))
    best = history.test.winner_id if history.test else history.best_id
    last = history.looks[-1].candidate_id if history.looks else next(iter([*history.candidates][::-1]), "")
    alone = best if run.activity == "optimize" else last
    wanted = {"seed": history.seed_id, "winner": best, "": alone}.get(which, which)
    candidates = store.candidates(run.id)
    found = [key for key in candidates if wanted and key.startswith(wanted)]
    if len(found) != 1:
        what = "has no candidate yet" if not candidates else f"has {len(found) or 'no'} candidates that begin {which!r}"
        raise UsageError(f"run {run.id[:8]} {what}", remedy=FORMS)
    label = which if which in {"seed", "winner"} else found[0][:8]
    label = "winner" if which == "" and run.activity == "optimize" else label
    return Named(f"{run.id[:8]}:{label}", candidates[found[0]].candidate, program_of(run), run)
