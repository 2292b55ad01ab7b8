"""Metrics that the user writes: a Python function or class, named by module or by file."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from promptprop.domain.errors import ConfigError
from promptprop.domain.models import Example, Json, Judgement, canonical
from promptprop.metrics.awaiting import Outcome, Overdue, Turns
from promptprop.metrics.base import CodeMetric, MetricOptions, judged, shown
from promptprop.metrics.sources import load, modules_of, texts_of

_SLOP = 1e-9  # what summing floats may add beyond 0 or 1
_METHOD = "judge"

log = logging.getLogger("promptprop.metrics")


class PythonFunctionOptions(MetricOptions):
    """Which function or class, and what it is given besides the answer."""

    function: str = Field(
        description="`package.module.function`, or `./file.py:function` relative to the configuration's folder; "
        "a class is named the same way. Written as the type, `python:package.module.function` sets it."
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="Keyword arguments of each call, or of a class's constructor, as plain JSON values.",
    )
    # how an answer is judged, and not what comes of it: excluded, so that fingerprints do not tell of them
    concurrency: int = Field(
        default=16, ge=1, le=1000, exclude=True, description="How many answers an async metric judges at once."
    )
    timeout: float = Field(
        default=60.0,
        gt=0,
        allow_inf_nan=False,
        exclude=True,
        description="Seconds that an async metric has for one answer; beyond them the row is unscored.",
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

    A class is made once, from `arguments`, and judges through its method `judge`, or by being called. Function and
    method may be `async`: then up to `concurrency` answers are judged at once, each within `timeout` seconds, in an
    event loop of their own that lives as long as the process, so that a session opened by one call serves all others.
    """

    Options = PythonFunctionOptions
    sample = "{id: tone, type: 'python:./metrics.py:tone', arguments: {limit: 3}}"

    def __init__(self, metric_id: str, options: PythonFunctionOptions, folder: Path = Path()) -> None:
        """Import the function, or make the instance, and check that it can be called as it will be."""
        super().__init__(metric_id, options, folder)
        named, found = load(options.function, folder)
        self._modules = modules_of(found, named)
        function, arguments = (_made(found, options), {}) if isinstance(found, type) else (found, options.arguments)
        self._takes_expected = _takes_expected(function, options.function, arguments)
        self._call = partial(function, **arguments)
        self._turns = Turns(options.concurrency, options.timeout) if _is_async(function) else None
        given = [name for name in ("concurrency", "timeout") if name in options.model_fields_set]
        if given and self._turns is None:
            raise ConfigError(
                f"`{given[0]}` has a meaning for async metrics only, and {options.function} is not async",
                remedy=f"Write it as `async def`, or drop `{given[0]}`: what blocks cannot be interrupted.",
            )

    @property
    def sources(self) -> Json:
        """The texts of the modules that define it, so that a change to them gives other scores."""
        return texts_of(self._modules)

    @property
    def awaits(self) -> bool:
        """True if it is async."""
        return self._turns is not None

    def judge(self, output: str, example: Example) -> Judgement:
        """What it says, checked; an async one is waited for."""
        given = self._given(output, example)
        if self._turns is not None:
            return self._judgement(self._turns.wait(partial(self._call, *given)), output, example)
        try:
            outcome: Outcome = self._call(*given), None
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the run
            outcome = None, error
        return self._judgement(outcome, output, example)

    async def judge_later(self, output: str, example: Example) -> Judgement:
        """The same, without holding up the loop where it is async."""
        if self._turns is None:
            return await super().judge_later(output, example)
        outcome = await self._turns.run(partial(self._call, *self._given(output, example)))
        return self._judgement(outcome, output, example)

    def _given(self, output: str, example: Example) -> tuple[str, Json]:
        return output, example.expected if self._takes_expected else example

    def _judgement(self, outcome: Outcome, output: str, example: Example) -> Judgement:
        result, error = outcome
        if isinstance(error, Overdue):
            return judged(None, f"the metric did not judge within {self.options.timeout:g} s")
        if error is None:
            try:
                judgement = as_judgement(result)
            except Exception as odd:  # noqa: BLE001 - results can be objects whose methods raise
                error = odd
        if error is not None:
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
        return judged(None, "the metric returned a coroutine: write it as `async def`, so that it is awaited")
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


def _made(kind: type, options: PythonFunctionOptions) -> Callable[..., Any]:
    """What an instance of the class judges through. Raises ConfigError where it cannot be made, or cannot judge."""
    name, remedy = options.function, "The keys of `arguments` are the keyword arguments of its constructor."
    try:
        inspect.signature(kind).bind(**options.arguments)
    except TypeError as error:
        said = f"the metric {name} cannot be made from these arguments: {error}"
        raise ConfigError(said, remedy=remedy) from error
    except ValueError:
        pass  # some classes of C do not tell
    try:
        instance = kind(**options.arguments)
    except (Exception, SystemExit) as error:
        said = f"the metric {name} cannot be made: {type(error).__name__}: {error}"
        raise ConfigError(said, remedy=remedy) from error
    method = getattr(instance, _METHOD, instance)
    if not callable(method):
        raise ConfigError(
            f"the metric {name} is a class without a method `{_METHOD}`",
            remedy=f"Write `def {_METHOD}(self, output, example)`, or with `expected` in place of `example`.",
        )
    return method  # type: ignore[no-any-return]


def _takes_expected(function: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> bool:
    """True if the second parameter is called `expected`. Raises ConfigError if the function cannot be called so."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"the metric {name} yields", remedy="It returns its score once: write `return`.")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False  # some builtins do not tell; a wrong call shows when judging
    try:
        signature.bind("", None, **arguments)
    except TypeError as error:
        raise ConfigError(
            f"the metric {name}{signature} cannot be called: {error}",
            remedy="It takes (output, example) or (output, expected), and a function the keys of `arguments` by name.",
        ) from error
    names = list(signature.parameters)
    return len(names) > 1 and names[1] == "expected"


def _is_async(function: Callable[..., Any]) -> bool:
    """True for async functions and methods, and for objects that are called like one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
