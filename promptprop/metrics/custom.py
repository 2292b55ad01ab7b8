"""Metrics that the user writes: a Python function, named by module or by file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import math
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field, field_validator

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Json, Judgement, canonical, digest
from promptprop.metrics.base import CodeMetric, MetricOptions, judged, shown

_SLOP = 1e-9  # what summing floats may add beyond 0 or 1

log = logging.getLogger("promptprop.metrics")


class PythonFunctionOptions(MetricOptions):
    """Which function, and what it is given besides the answer."""

    function: str = Field(
        description="`package.module.function`, or `./file.py:function` relative to the configuration's folder. "
        "Written as the type, `python:package.module.function` sets it."
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Further keyword arguments, as plain JSON values."
    )

    @field_validator("arguments")
    @classmethod
    def _plain(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            canonical(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"arguments must be plain JSON values: {error}") from error
        return value


class PythonFunction(CodeMetric[PythonFunctionOptions]):
    """A function of yours: `score(output, example)`, or `score(output, expected)` if its second parameter is so named.

    It returns a float in [0, 1], a bool, `(score, feedback)`, a `Judgement`, or None where it cannot judge the row.
    What it raises, and scores outside [0, 1], leave the row unscored. It runs with all rights of the process.
    """

    Options = PythonFunctionOptions
    sample = "{id: tone, type: 'python:./metrics.py:tone', arguments: {limit: 3}}"

    def __init__(self, metric_id: str, options: PythonFunctionOptions, folder: Path = Path()) -> None:
        """Import the function and check that it can be called as it will be."""
        super().__init__(metric_id, options, folder)
        self._module, self._function = _load(options.function, folder)
        if inspect.iscoroutinefunction(self._function):
            raise ConfigError(
                f"the metric {options.function} is async", remedy="Write it as a plain function: metrics run in line."
            )
        self._takes_expected = _takes_expected(self._function, options)

    @property
    def sources(self) -> Json:
        """The text of the module that the function is defined in, so that a change to it gives other scores."""
        return _source(inspect.getmodule(self._function) or self._module, self._module)

    def judge(self, output: str, example: Example) -> Judgement:
        """What the function says, checked."""
        given = example.expected if self._takes_expected else example
        try:
            result = self._function(output, given, **self.options.arguments)
            judgement = as_judgement(result)
        except Exception as error:
            # the message goes to the log alone, where it is redacted: feedback is stored, and shown to critics
            log.warning("the metric %s raised %s", self.id, type(error).__name__, exc_info=error)
            return judged(None, f"the metric raised {type(error).__name__}: see the log")
        if judgement.feedback or judgement.score == 1:
            return judgement
        expected = f"expected {shown(example.expected)}, " if example.expected is not None else ""
        return judged(judgement.score, f"scored {judgement.score:.2f}: {expected}got {shown(output)}")


def as_judgement(result: Any) -> Judgement:
    """A function's result as a judgement; what is no score in [0, 1] becomes unscored, with feedback that says so."""
    if isinstance(result, Judgement):
        return _checked(result.score, result.feedback)
    if isinstance(result, tuple):
        if len(result) != 2:
            return judged(None, f"the metric returned a tuple of {len(result)}; expected (score, feedback)")
        return _checked(result[0], "" if result[1] is None else str(result[1]))
    if isinstance(result, Coroutine):
        result.close()
        return judged(None, "the metric returned a coroutine; async metrics are not supported")
    return _checked(result, "")


def _checked(score: Any, feedback: str) -> Judgement:
    if score is None:
        return judged(None, feedback or "the metric gave no score for this row")
    if isinstance(score, str) or not hasattr(score, "__float__"):
        return judged(None, f"the metric returned {type(score).__name__} {str(score)[:60]!r}, which is no score")
    value = float(score)
    if math.isnan(value) or not -_SLOP <= value <= 1 + _SLOP:
        return judged(None, f"the metric returned {value}, which is no score in [0, 1]. {feedback}".strip())
    return judged(min(1.0, max(0.0, value)), feedback)


def _load(function: str, folder: Path) -> tuple[ModuleType, Callable[..., Any]]:
    """The module that was named and the function in it. Raises ConfigError."""
    where, _, name = function.rpartition(":") if ":" in function else function.rpartition(".")
    if not where or not name:
        raise ConfigError(
            f"`{function}` names no function", remedy="Write python:module.function or python:./file.py:function."
        )
    try:
        with _importable(folder):
            module = _from_file(folder / where) if where.endswith(".py") else importlib.import_module(where)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"the metric {function} cannot be imported: {type(error).__name__}: {error}",
            remedy=f"Modules are looked for in {folder.absolute()} and in the environment of promptprop.",
        ) from error
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"{where} has no function `{name}`")
    return module, found


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules beside the configuration be imported, as a script's own folder does."""
    entry = str(folder.absolute())
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def _from_file(path: Path) -> ModuleType:
    """The file as a module of its own, read afresh each time."""
    name = f"promptprop_metric_{digest(str(path.absolute()), 12)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles in the file look their module up
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102 - the user's own code; no stale bytecode
    return module


def _takes_expected(function: Callable[..., Any], options: PythonFunctionOptions) -> bool:
    """True if the second parameter is called `expected`. Raises ConfigError if the function cannot be called so."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False  # some builtins do not tell; a wrong call shows when judging
    try:
        signature.bind("", None, **options.arguments)
    except TypeError as error:
        raise ConfigError(
            f"the metric {options.function}{signature} cannot be called: {error}",
            remedy="It takes (output, example) or (output, expected), and the keys of `arguments` by name.",
        ) from error
    names = list(signature.parameters)
    return len(names) > 1 and names[1] == "expected"


def _source(*modules: ModuleType) -> Json:
    """The texts of the modules' files, or for those without one their name and version."""
    texts: dict[str, str] = {}
    for module in modules:
        path = Path(getattr(module, "__file__", None) or "")
        if path.suffix == ".py" and path.is_file():
            texts[path.name] = path.read_text(encoding="utf-8", errors="surrogateescape")
        else:
            texts[module.__name__] = str(getattr(module, "__version__", ""))
    return texts
