"""The loop of `watch`: evaluate, tell what has changed, wait for a save, and so on until Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.adapters.files.saves import Saves
from promptprop.bootstrap.configuration import SystemClock, database_url, load, open_database
from promptprop.bootstrap.watched import Code, Spent, files_of, for_one_run, no_bytecode, prompt_count
from promptprop.cli.interrupts import Terminated
from promptprop.cli.watched import Seen, session_words, since, tell_error, tell_run
from promptprop.domain.errors import (
    BudgetExhausted,
    InputError,
    Interrupted,
    NotComparable,
    PromptPropError,
    StorageError,
    UsageError,
)
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.bootstrap.comparing import ComparisonReport, Side
    from promptprop.cli.running import Outcome
    from promptprop.cli.shell import Shell
    from promptprop.domain.budget import Budget
    from promptprop.ports import RunRow


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks of a watch. `flags` are settings over those of the file, `options` those of runs."""

    config: Path
    sets: Sequence[str]
    flags: dict[str, Json]
    options: dict[str, Json]
    env_file: Path | None
    unlimited: bool = False


@dataclass(slots=True)
class Session:
    """A watch so far: what it has spent, and the runs that the next one is held against."""

    shell: Shell
    wishes: Wishes
    saves: Saves = field(default_factory=Saves)
    code: Code = field(default_factory=Code)
    brought: dict[Path, None] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    first: Side | None = None
    last: Side | None = None

    def follow(self) -> int:
        """Run after run, until a signal ends it; the exit code. Raises what no save can mend, and Terminated."""
        self.saves.follow([self.wishes.config])
        changed: list[Path] = []
        ended = ""
        try:
            with no_bytecode():
                while True:
                    self._once(changed)
                    changed = self.saves.wait()
                    self.code.forget(self._folder)
        except Terminated:
            raise
        except Interrupted as error:
            ended = "" if error.remedy.startswith("nothing") else f"; {error.message}, `{error.remedy}` goes on with it"
        except KeyboardInterrupt:  # between two runs
            ended = ""
        self.shell.note(f"\nwatched {since(self.spent)}{ended}")
        return 0

    @property
    def _folder(self) -> Path:
        return self.wishes.config.resolve().parent

    def _once(self, changed: Sequence[Path]) -> None:
        """One evaluation, told as it ends; what a save can mend is told, too. Raises Interrupted, StorageError."""
        try:
            loaded = self._loaded()
            outcome = self._run(loaded)
        except (InputError, UsageError) as problem:
            if not changed and not self._mendable(problem):
                raise
            tell_error(self.shell, problem, changed, SystemClock().now())
            return
        self.brought |= dict.fromkeys(self.code.files(self._folder))
        self.saves.follow([*self.saves.files, *self.brought])
        if outcome.report is not None:
            self.spent = self.spent.after(outcome.report.history)
        error = outcome.error
        if isinstance(error, Interrupted | StorageError):
            raise error
        if isinstance(error, BudgetExhausted):
            error = BudgetExhausted(
                "the caps of this watch leave no room for the rows that are left",
                remedy="answers on record stay free; for new ones, begin a watch with higher caps",
            )
        if error is not None:
            tell_error(self.shell, error, changed, SystemClock().now(), session_words(self.spent, budget_of(loaded)))
        else:
            self._tell(loaded, outcome, changed)

    def _mendable(self, error: PromptPropError) -> bool:
        """Whether a save can mend what was wrong at the very start: not what the command line says."""
        if not isinstance(error, InputError) or not self.wishes.config.is_file():
            return False
        places = [problem.place.file for problem in error.problems if problem.place is not None]
        self.saves.follow([*self.saves.files, *(Path(place) for place in places)])
        return not any(place.startswith("--") for place in places)

    def _loaded(self) -> LoadedConfig:
        """The configuration as it is now, its files followed. Raises ConfigError, UsageError."""
        from promptprop.bootstrap.models import all_simulated

        wishes = self.wishes
        loaded = load(wishes.config, wishes.sets, wishes.flags, wishes.env_file)
        self.saves.follow([*files_of(loaded, wishes.env_file), *self.brought])
        if prompt_count(loaded.config) != 1:
            raise UsageError("a watch takes one prompt", remedy="name one prompt in the configuration, or a chain")
        if (
            budget_of(loaded).unlimited
            and not wishes.unlimited
            and not all_simulated(loaded.config, loaded.environment)
        ):
            raise UsageError(
                "each save spends, and nothing caps it",
                remedy="pass --max-usd 1 or --max-calls 2000 for the whole watch, set budget:, or say --unlimited",
            )
        return loaded

    def _run(self, loaded: LoadedConfig) -> Outcome:
        from promptprop.cli.running import run_to_its_end

        async def begin(store: SqlStore) -> tuple[RunRow, None]:
            from promptprop.bootstrap.preparation import create_run, prepare

            prepared = await prepare(store, for_one_run(loaded, self.spent))
            return await create_run(store, prepared, "evaluate", self.wishes.options), None

        shown = self.shell if sys.stdout.isatty() and not self.shell.json else replace(self.shell, verbosity=-1)
        url = database_url(None, loaded.config, loaded.environment)
        return run_to_its_end(shown, url, loaded.environment, begin)

    def _tell(self, loaded: LoadedConfig, outcome: Outcome, changed: Sequence[Path]) -> None:
        from promptprop.bootstrap.comparing import Side

        report = outcome.report
        if report is None:  # only where an error ended it
            return
        now = Side(report.run_id[:8], report.candidates[report.seed.id], outcome.run)
        notes = list(outcome.notes)
        if code := [path.name for path in changed if path in self.brought]:
            notes.append(f"{', '.join(code)} is code of a metric: the scores may mean something else now")
        with contextlib.closing(open_database(database_url(None, loaded.config, loaded.environment))) as store:
            last, first = (self._compared(store, earlier, now, notes) for earlier in (self.last, self.first))
        self.last, self.first = now, now if first is None else self.first
        notes = list(dict.fromkeys(notes))
        seen = Seen(report, tuple(changed), self.spent, budget_of(loaded), last, first)
        tell_run(self.shell, seen, notes, SystemClock().now(), self.saves.files)

    def _compared(self, store: SqlStore, earlier: Side | None, now: Side, notes: list[str]) -> ComparisonReport | None:
        from promptprop.bootstrap.comparing import comparison_of

        if earlier is None:
            return None
        try:
            return comparison_of(store, earlier, now)
        except NotComparable as error:
            if earlier is self.last:
                notes.append(f"not held against the run before: {error.message}")
            return None


def budget_of(loaded: LoadedConfig) -> Budget:
    """The caps of a watch: those of its configuration, under the flags."""
    return loaded.config.budget.budget


def watch_until_stopped(shell: Shell, wishes: Wishes, make_saves: Callable[[], Saves] = Saves) -> int:
    """Watch until Ctrl-C; the exit code."""
    return Session(shell, wishes, make_saves()).follow()
