"""Every error that PromptProp raises on purpose: each says what happened, the remedy, and its exit code.

Vendor exceptions never leave their adapter: they are translated into a class of this tree.

    PromptPropError (70)
    ├── UsageError (2)              a flag, an argument, a run reference
    │   ├── RunNotFound · AmbiguousRun · RunLocked · SnapshotMismatch
    ├── InputError (2)              what a file says; carries every problem with its place
    │   ├── ConfigError · DataError
    ├── StorageError (2)            what the machine refuses
    │   ├── DatabaseAbsent · DatabaseTooNew · DatabaseOutdated · StorageFull · NotWritable
    ├── ModelError (4)              one call failed; `policy` says what follows
    │   ├── RateLimited · ProviderUnavailable · ConnectionDropped · CallTimedOut · UnreadableAnswer   retry
    │   ├── ContextTooLong · ContentFiltered · RequestRefused                                         missing
    │   └── AuthenticationFailed (2) · UnknownModel (2) · WrongAddress (2) · QuotaExhausted · ProviderDown
    │       · OfflineWorldError (2)                                                                     stop
    ├── TooManyErrors (4)           more rows are missing than `max_error_rate` allows
    ├── UnusableReplies (4)         a role whose replies never parse
    ├── BaselineMissing (6)         the baseline of a check is not there
    │   ├── NotComparable           two prompts share no rows, or were scored by different metrics
    ├── BudgetExhausted (5)         the confirmation could not be paid
    ├── ReplayDiverged (70)         a resumed run decided differently from its record
    └── Interrupted (130 | 143)     resumable

`BudgetSpent` is no error but a signal: a cap was reached inside the loop, which leads to FINISH.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

if TYPE_CHECKING:
    from promptprop.domain.models import Failure

Policy = Literal["retry", "missing", "stop"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands; line and column count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0
    source: str = ""

    def __str__(self) -> str:
        """`file:line:column`, without the parts that are not known."""
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"

    def caret(self) -> str:
        """The source line with a caret under the column; empty when the source is not known."""
        if not self.source or not self.column:
            return ""
        lead = "".join("\t" if char == "\t" else " " for char in self.source[: self.column - 1])
        return f"    {self.source}\n    {lead}^"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in an input: what, where, and what to do about it."""

    message: str
    place: Place | None = None
    remedy: str = ""

    def __str__(self) -> str:
        """The problem on one or more lines, place first, remedy last."""
        head = f"{self.place}: {self.message}" if self.place else self.message
        caret = self.place.caret() if self.place else ""
        lines = [head, *([caret] if caret else []), *([f"    → {self.remedy}"] if self.remedy else [])]
        return "\n".join(lines)


class PromptPropError(Exception):
    """Base of the tree. `message` says what happened, `remedy` what to do."""

    exit_code: ClassVar[int] = 70
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        """Keep the parts apart, so that a terminal, JSON and an API can each show them their way."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Message and remedy on two lines."""
        return f"{self.message}\n    → {self.remedy}" if self.remedy else self.message


class UsageError(PromptPropError):
    """A flag or an argument that cannot be followed."""

    exit_code = 2
    code = "usage"


class RunNotFound(UsageError):
    """No run answers to this reference."""

    code = "run_not_found"


class AmbiguousRun(UsageError):
    """Several runs answer to this prefix or name."""

    code = "ambiguous_run"


class RunLocked(UsageError):
    """Another process is working on this run."""

    code = "run_locked"


class SnapshotMismatch(UsageError):
    """The configuration or data on disk is no longer what the run was started with."""

    code = "snapshot_mismatch"


class InputError(PromptPropError):
    """A file says something that cannot be used; carries every problem, not only the first."""

    exit_code = 2
    code = "input"

    def __init__(self, problems: list[Problem] | Problem | str, *, remedy: str = "") -> None:
        """Take one problem or many; a bare string becomes a problem without a place."""
        if isinstance(problems, str):
            problems = Problem(problems, remedy=remedy)
        found = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in found))
        self.problems: tuple[Problem, ...] = tuple(found)


class ConfigError(InputError):
    """The configuration is not valid."""

    code = "config"


class DataError(InputError):
    """The dataset cannot be used."""

    code = "data"


class StorageError(PromptPropError):
    """The machine refuses to store or to read."""

    exit_code = 2
    code = "storage"


class DatabaseAbsent(StorageError):
    """There is no database where one was looked for, or an empty file."""

    code = "database_absent"


class DatabaseTooNew(StorageError):
    """The database was written by a newer version of PromptProp."""

    code = "database_too_new"


class DatabaseOutdated(StorageError):
    """The database needs a migration before it can be used."""

    code = "database_outdated"


class StorageFull(StorageError):
    """No space is left on the device; what was committed is safe."""

    code = "storage_full"


class NotWritable(StorageError):
    """A folder or file cannot be written."""

    code = "not_writable"


class ModelError(PromptPropError):
    """One model call failed.

    `policy` is what follows: `retry` and then missing, `missing` at once, or `stop` the run. `unconfirmed` tells
    that the provider may have done, and billed, the work although no usage was seen. `retry_after` is in seconds.
    """

    exit_code = 4
    code = "model"
    policy: ClassVar[Policy] = "missing"
    unconfirmed: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        """Keep what the provider asked for next to what it said."""
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class RateLimited(ModelError):
    """429: too many requests or tokens per minute."""

    code = "rate_limited"
    policy = "retry"


class ProviderUnavailable(ModelError):
    """5xx: the provider is in trouble."""

    code = "provider_unavailable"
    policy = "retry"


class ConnectionDropped(ModelError):
    """The connection broke after the request may have arrived."""

    code = "connection_dropped"
    policy = "retry"
    unconfirmed = True


class EndpointUnreachable(ModelError):
    """No connection could be made: nothing was sent."""

    code = "endpoint_unreachable"
    policy: ClassVar[Policy] = "retry"


class CallTimedOut(ModelError):
    """No complete answer within the deadline."""

    code = "call_timed_out"
    policy = "retry"
    unconfirmed = True


class UnreadableAnswer(ModelError):
    """The provider answered with something that is not its own protocol, or with no text at all."""

    code = "unreadable_answer"
    policy = "retry"
    unconfirmed = True


class ContextTooLong(ModelError):
    """The request does not fit into the model's context window."""

    code = "context_too_long"


class ContentFiltered(ModelError):
    """The provider refused the content."""

    code = "content_filtered"


class RequestRefused(ModelError):
    """400: the provider does not accept this request."""

    code = "request_refused"


class AuthenticationFailed(ModelError):
    """401 or 403: the key is missing, wrong or not allowed to use this model."""

    exit_code = 2
    code = "authentication_failed"
    policy = "stop"


class UnknownModel(ModelError):
    """The provider does not know this model."""

    exit_code = 2
    code = "unknown_model"
    policy = "stop"


class WrongAddress(ModelError):
    """Something else than the provider's API answers at this address: it sends callers on, or takes no requests."""

    exit_code = 2
    code = "wrong_address"
    policy = "stop"


class QuotaExhausted(ModelError):
    """The account has no credit left: waiting does not help."""

    code = "quota_exhausted"
    policy = "stop"


class ProviderDown(ModelError):
    """An endpoint has answered nothing for longer than its `patience`: the run stops and can be resumed."""

    code = "provider_down"
    policy = "stop"


class NotRecorded(ModelError):
    """A check without a network needs a reply that its recording does not hold."""

    code = "not_recorded"


class OfflineWorldError(ModelError):
    """The simulated model was asked something that its world file does not cover."""

    exit_code = 2
    code = "offline_world"
    policy = "stop"


class TooManyErrors(PromptPropError):
    """More rows are missing than `max_error_rate` allows; the run stops loudly and can be resumed."""

    exit_code = 4
    code = "too_many_errors"


class UnusableReplies(PromptPropError):
    """A role whose replies could not be read even after a repair request, time and again."""

    exit_code = 4
    code = "unusable_replies"


class BaselineMissing(PromptPropError):
    """The baseline of a check is not there, or cannot be compared."""

    exit_code = 6
    code = "baseline_missing"


class NotComparable(BaselineMissing):
    """Two prompts did not meet the same rows, metrics, judges and models."""

    code = "not_comparable"


class BudgetExhausted(PromptPropError):
    """The budget could not pay the confirmation; the best so far is kept and the run can be resumed."""

    exit_code = 5
    code = "budget_exhausted"


class ReplayDiverged(PromptPropError):
    """A resumed run decided something else than its record says."""

    code = "replay_diverged"


class Interrupted(PromptPropError):
    """The user or the system asked to stop: 130 for Ctrl-C, 143 for SIGTERM. Resumable."""

    exit_code = 130
    code = "interrupted"


class BudgetSpent(Exception):
    """A cap leaves no room for the next call: in the loop this leads to FINISH, a normal end."""

    def __init__(self, cap: str) -> None:
        """Name the cap: `calls`, `tokens`, `usd` or `seconds`."""
        super().__init__(cap)
        self.cap = cap


def raise_failure(failure: Failure) -> NoReturn:
    """Raise the error that a stored failure stands for: same class, message and remedy."""
    raise _by_code(ModelError).get(failure.code, ModelError)(failure.message, remedy=failure.remedy)


def _by_code(base: type[ModelError]) -> dict[str, type[ModelError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        found = {**_by_code(child), **found}  # an adapter's own subclass shares the code of its base
    return found
