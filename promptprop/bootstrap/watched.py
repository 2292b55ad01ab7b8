"""For `watch`: the files and the code that an evaluation depends on, and what is left to spend."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from promptprop.domain.errors import ConfigError, UsageError
from promptprop.domain.models import PICO

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig
    from promptprop.domain.budget import Budget
    from promptprop.domain.config import RunConfig
    from promptprop.domain.history import History

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Spent:
    """What the evaluations of a watch have spent together; `unpriced` calls are of unknown price."""

    runs: int = 0
    calls: int = 0
    tokens: int = 0
    picousd: int = 0
    unpriced: int = 0

    def after(self, history: History) -> Spent:
        """With one more run."""
        total = history.spend.total
        return Spent(
            self.runs + 1,
            self.calls + total.calls,
            self.tokens + total.tokens,
            self.picousd + total.picousd,
            self.unpriced + history.spend.unpriced,
        )

    def left(self, budget: Budget) -> dict[str, object]:
        """What is left of the caps of a budget, cap by cap; one that is spent is 0."""
        return {
            "calls": None if budget.calls is None else max(0, budget.calls - self.calls),
            "tokens": None if budget.tokens is None else max(0, budget.tokens - self.tokens),
            "usd": None if budget.usd is None else max(Decimal(0), budget.usd - Decimal(self.picousd) / PICO),
        }


def files_of(loaded: LoadedConfig, env_file: Path | None) -> list[Path]:
    """The files that a configuration is made of and that its evaluation reads.

    Those of the environment and of what it extends are among them. Raises UsageError where rows come from stdin.
    """
    from promptprop.adapters.files.config_paths import STDIN, paths_read

    config = loaded.config
    if STDIN in (config.data.file, *(config.data.files or {}).values()):
        raise UsageError(
            "rows from stdin can be read once only", remedy="keep them in a file, and name it in data.file"
        )
    outside = [Path(".env") if env_file is None else env_file]
    return list(dict.fromkeys([loaded.path, *loaded.files, *outside, *paths_read(config.snapshot()), *_worlds(loaded)]))


def _worlds(loaded: LoadedConfig) -> list[Path]:
    """The worlds of simulated models, which answer as they say."""
    from promptprop.adapters.models.offline.chain import chain_files
    from promptprop.bootstrap.models import is_simulated, needed_endpoints, world_file

    found = []
    for model in needed_endpoints(loaded.config, "evaluate").values():
        if is_simulated(model, loaded.environment):
            path = world_file(loaded.config, model)
            try:
                steps = list(chain_files(path).values())
            except (OSError, UnicodeDecodeError, ConfigError):  # whoever reads it says what is wrong with it
                steps = []
            found += [path, *steps]
    return found


def for_one_run(loaded: LoadedConfig, spent: Spent) -> LoadedConfig:
    """The configuration of the next evaluation: with what is left of its caps, and told to no tracker."""
    from promptprop.domain.config import TrackingConfig

    config = loaded.config
    budget = config.budget.model_copy(update=spent.left(config.budget.budget))
    return replace(loaded, config=config.model_copy(update={"budget": budget, "tracking": TrackingConfig()}))


class Code:
    """The modules below a folder that metrics load, apart from those that were there before."""

    def __init__(self) -> None:
        """What is loaded by now is no metric's."""
        self._before = frozenset(sys.modules)

    def files(self, folder: Path) -> list[Path]:
        """The files of what metrics have loaded from below a folder."""
        return [path for _, path in self._loaded(folder)]

    def forget(self, folder: Path) -> None:
        """Have modules below a folder loaded anew when they are imported next."""
        for name, _ in self._loaded(folder):
            del sys.modules[name]

    def _loaded(self, folder: Path) -> list[tuple[str, Path]]:
        fresh: Mapping[str, ModuleType] = {
            name: module for name, module in sys.modules.items() if name not in self._before
        }
        named = [(name, Path(getattr(module, "__file__", None) or "")) for name, module in fresh.items()]
        return [
            (name, path)
            for name, path in named
            if path.suffix == ".py"
            and path.resolve().is_relative_to(folder)
            and not path.is_relative_to(PACKAGE)
            and "site-packages" not in path.parts
        ]


@contextmanager
def no_bytecode() -> Iterator[None]:
    """Leave no compiled code behind: it is told from its source by the second, and saves can be closer than that."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def prompt_count(config: RunConfig) -> int:
    """How many prompts a configuration holds; a chain is one."""
    return 1 if config.steps is not None else max(1, len(config.prompt or ()))
