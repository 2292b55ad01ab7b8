"""What may keep PromptProp from working here: one check after another, each a line, none the end of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from promptprop.domain.errors import InputError, Problem, PromptPropError

if TYPE_CHECKING:
    from promptprop.adapters.files.config import LoadedConfig

State = Literal["ok", "warn", "fail"]
Inspect = Callable[["LoadedConfig"], object]


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it stands, what was found, and what to do about it."""

    name: str
    state: State
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined: the environment (`.env` below the process's), the configuration and database that were named.

    `inspect` looks at prompts and data as `validate` does, raising InputError. `offline` leaves the network alone,
    `ping` pays for calls to the configuration's models.
    """

    environment: Mapping[str, str] = field(repr=False)
    loaded: LoadedConfig | None = None
    inspect: Inspect | None = None
    db: str | None = None
    offline: bool = False
    ping: bool = False


Examine = Callable[[Patient], Iterable[Check]]


def looked_at(name: str, examine: Callable[[], Iterable[Check]]) -> list[Check]:
    """What an examination finds; where it breaks down itself, that is the finding, beside what it had found."""
    found: list[Check] = []
    try:
        for check in examine():
            found.append(check)  # noqa: PERF402 - what was found before an error stays found
    except InputError as error:
        found += [Check(name, "fail", _placed(problem), problem.remedy) for problem in error.problems]
    except PromptPropError as error:
        found.append(Check(name, "fail", error.message, error.remedy))
    except ImportError as error:
        message = f"a package is missing or broken: {error}"
        found.append(Check(name, "fail", message, "install PromptProp anew: pip install --force-reinstall promptprop"))
    except Exception as error:  # noqa: BLE001 - whatever is broken here must not keep the other checks from being made
        message = f"could not be looked at: {type(error).__name__}: {error}"
        found.append(Check(name, "fail", message, "mend what it names, or report it if it makes no sense"))
    return found


def _placed(problem: Problem) -> str:
    """A problem's place and message on one line, without the caret."""
    return f"{problem.place}: {problem.message}" if problem.place else problem.message


def examine_all(patient: Patient) -> list[Check]:
    """Every check there is, in the order in which trouble spreads: machine, storage, configuration, models."""
    from promptprop.bootstrap import doctor_machine as machine
    from promptprop.bootstrap import doctor_models as models
    from promptprop.bootstrap import doctor_storage as storage

    parts: list[tuple[str, Examine]] = [
        ("python", machine.check_python),
        ("promptprop", machine.check_install),
        ("dependencies", machine.check_dependencies),
        ("prices", machine.check_prices),
        ("folder", storage.check_folder),
        ("database", storage.check_database),
        ("locks", storage.check_locks),
        ("mlflow", storage.check_mlflow),
        ("keys", models.check_keys_found),
        ("proxies", machine.check_proxies),
        ("config", models.check_config),
        ("network", models.check_network),
        ("ping", models.check_pings),
    ]
    return [check for name, examine in parts for check in looked_at(name, lambda examine=examine: examine(patient))]  # type: ignore[misc]  # mypy does not infer a lambda with a default


def writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`, tried and not guessed; it leaves nothing behind."""
    from tempfile import TemporaryFile

    with suppress(OSError), TemporaryFile(dir=folder):
        return True
    return False
