"""Taking up a run: what a person may decide about it, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.adapters.files.report_words import caps_text, counted
from promptprop.bootstrap.configuration import database_url
from promptprop.bootstrap.references import existing_run
from promptprop.cli.review import override_of, require_reviewer
from promptprop.cli.running import (
    Begin,
    Outcome,
    answer,
    environment_of,
    opened,
    run_to_its_end,
    stored_config,
)
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError
from promptprop.domain.history import History, fold
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.events import ScoreOverridden
    from promptprop.ports import RunRow
    from promptprop.services.desk import Interventions

NO_GAIN = 3  # exit code of --require better


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the flags of `optimize` and `runs resume` ask for, besides the run itself."""

    max_calls: int | None = None
    max_tokens: int | None = None
    max_usd: str | None = None
    max_time: str | None = None
    retry_errors: bool = False
    apply: bool = False
    require: str | None = None
    review: bool = False
    notes: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    second_look: bool = False

    def flags(self) -> dict[str, Json]:
        """The caps as settings of a configuration."""
        return {
            "budget.calls": self.max_calls,
            "budget.tokens": self.max_tokens,
            "budget.usd": self.max_usd,
            "budget.seconds": self.max_time,
        }

    def caps(self) -> dict[str, Json]:
        """The caps that were given, as an intervention stores them. Raises UsageError."""
        given: dict[str, Json] = {"calls": self.max_calls, "tokens": self.max_tokens}
        if self.max_usd is not None:
            given["usd"] = _usd(self.max_usd)
        if self.max_time is not None:
            given["seconds"] = _seconds(self.max_time)
        return {name: value for name, value in given.items() if value is not None}


def require_known(require: str | None) -> str | None:
    """The value of --require. Raises UsageError unless it is `better`."""
    if require not in {None, "better"}:
        raise UsageError(f"--require {require!r} is not known", remedy="the one verdict to require is `better`")
    return require


def _usd(text: str) -> str:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise UsageError(f"--max-usd wants an amount such as 2.50, got {text!r}", remedy="give an amount in USD")
    return str(amount)


def _seconds(text: str) -> float:
    from promptprop.domain.settings import UNITS, seconds_of

    try:
        value = float(seconds_of(text if text.strip()[-1:].isalpha() else f"{text}s"))
    except ValueError as error:
        units = ", ".join(UNITS)
        raise UsageError(
            f"--max-time wants a time such as 90s or 10m, got {text!r}", remedy=f"units: {units}"
        ) from error
    if value <= 0:
        raise UsageError("--max-time wants more than no time", remedy="such as 90s or 10m")
    return value


def resume_stored(shell: Shell, reference: str, wishes: Wishes, env_file: Path | None, db: str | None) -> int:
    """Take up a run as it was started, whatever its files say by now; returns the exit code."""
    from promptprop.bootstrap.outputs import prompt_file

    environment = environment_of(env_file)
    url = database_url(db, None, environment)
    store = opened(db, env_file)
    try:
        run = existing_run(store, reference)
        if wishes.apply:
            prompt_file(stored_config(run))
        if wishes.review:
            require_reviewer(shell, stored_config(run))
    finally:
        store.close()
    begin = resuming(shell, run.id, wishes, environment)
    outcome = run_to_its_end(shell, url, environment, begin, review=wishes.review)
    if outcome.run.activity == "check" and outcome.error is None and outcome.report is not None:
        from promptprop.cli.checks import show_resumed

        return show_resumed(shell, url, outcome, outcome.report.history)
    return conclude(shell, outcome, wishes)


def resuming(
    shell: Shell,
    reference: str,
    wishes: Wishes,
    environment: Mapping[str, str],
    loaded: LoadedConfig | None = None,
) -> Begin:
    """What takes up a run: find it, hold it against the configuration on disk where one is given, and say so.

    The run takes over what may differ there, for this time and later ones: see `preparation.refreshed`.
    What it gives raises RunLocked where another process works on the run.
    """

    async def begin(store: SqlStore) -> tuple[RunRow, Interventions]:
        from promptprop.adapters.storage.locks import run_lock
        from promptprop.services.desk import Interventions

        run = existing_run(store, reference)
        snapshot = run.snapshot
        if loaded is not None:
            from promptprop.bootstrap.preparation import check_same, prepare, refreshed

            prepared = await prepare(store, loaded)
            check_same(run, prepared)
            snapshot = refreshed(run, prepared)
        history = fold(store.events(run.id))
        overrides = tuple(_known(store, run, override_of(text)) for text in wishes.overrides)
        if wishes.second_look:
            run, history = await _second_look(shell, store, run, history)
        caps = raised_caps(wishes, history.budget)
        if "usd" in caps:
            _require_priced(run, environment, caps)
        if not history.finished and not wishes.second_look:
            with run_lock(store.url, run.id):  # refused here, or it would be said first that the run goes on
                if snapshot != run.snapshot:
                    await store.update_run(run.id, snapshot=snapshot)
                    run = store.run(run.id)
            _tell(shell, run, history, store.paid(run.id).calls, caps)
        return run, Interventions(caps, wishes.retry_errors, wishes.notes, overrides)

    return begin


async def _second_look(shell: Shell, store: SqlStore, run: RunRow, history: History) -> tuple[RunRow, History]:
    """The new run that goes on after the end of a finished one. Raises UsageError where there was no end."""
    from promptprop.bootstrap.preparation import create_second_look

    short = run.id[:8]
    if history.test is None or not history.finished:
        raise UsageError(
            f"run {short} has not opened its sealed rows: there is no second look to take",
            remedy="leave --second-look out",
        )
    budget = {name: value for name, value in history.budget.items() if value is not None}
    fresh = await create_second_look(store, run, budget)
    shell.note(f"run {short} has opened its sealed rows; run {fresh.id[:8]} goes on from it and claims a second look")
    return fresh, History(budget=history.budget)


def _known(store: SqlStore, run: RunRow, override: ScoreOverridden) -> ScoreOverridden:
    """The override with the candidate's whole id. Raises UsageError for an unknown or ambiguous one, or a row."""
    kept = store.candidates(run.id)
    named = [name for name in kept if name.startswith(override.candidate_id)]
    if len(named) != 1:
        said = "no" if not named else f"{len(named)}"
        raise UsageError(
            f"{said} candidates of run {run.id[:8]} begin with {override.candidate_id!r}",
            remedy=f"promptprop runs show {run.id[:8]} lists them",
        )
    if not any(row.id == override.example_id for row in store.rows(run.dataset_id)):
        raise UsageError(f"the run's dataset has no row {override.example_id!r}", remedy="name a row by its id")
    return replace(override, candidate_id=named[0])


def _require_priced(run: RunRow, environment: Mapping[str, str], caps: Mapping[str, Json]) -> None:
    """A cap on money needs every price, also where it comes late. Raises ConfigError."""
    from promptprop.bootstrap.models import price_endpoints, require_priced

    config = stored_config(run)
    require_priced(config, price_endpoints(config, environment, run.activity), caps)


def raised_caps(wishes: Wishes, now: Mapping[str, Json]) -> dict[str, Json]:
    """The caps that were asked for and are not those in force."""

    def differs(name: str, value: Json) -> bool:
        current = now.get(name)
        return current is None or Decimal(str(current)) != Decimal(str(value))

    return {name: value for name, value in wishes.caps().items() if differs(name, value)}


def _tell(shell: Shell, run: RunRow, history: History, calls: int, caps: Mapping[str, Json]) -> None:
    done = f"{counted(history.decisions, 'decision')} and {counted(calls, 'call')} on record"
    raised = f", with {caps_text({**history.budget, **caps})} now" if caps else ""
    shell.note(f"run {run.id[:8]} ({run.name}) goes on: {done}{raised}")


def conclude(shell: Shell, outcome: Outcome, wishes: Wishes) -> int:
    """Apply the winner where that was asked for, show how the run ended, and return the exit code."""
    from promptprop.bootstrap.outputs import apply_winner

    report = outcome.report
    notes, extra = [], dict[str, Json]()
    if wishes.apply and report is not None and outcome.error is None:
        applied = apply_winner(stored_config(outcome.run), report)
        notes, extra = [applied.sentence], {"applied": applied.written}
    code = answer(shell, outcome, notes, extra)
    missed = wishes.require == "better" and report is not None and report.verdict != "better"
    return NO_GAIN if missed and not code else code
