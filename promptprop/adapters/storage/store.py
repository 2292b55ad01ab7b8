"""`SqlStore`: the whole of `ports.Store`, put together from its parts, and the way to open one."""

from __future__ import annotations

from promptprop.adapters.storage.audit import AuditRows
from promptprop.adapters.storage.cache import CacheRows
from promptprop.adapters.storage.datasets import DatasetRows
from promptprop.adapters.storage.evaluations import EvaluationRows
from promptprop.adapters.storage.experiments import ExperimentRows
from promptprop.adapters.storage.idempotency import IdempotencyRows
from promptprop.adapters.storage.inbox import InboxRows
from promptprop.adapters.storage.ledger_rows import LedgerRows
from promptprop.adapters.storage.listing import ListingRows
from promptprop.adapters.storage.migrate import prepare
from promptprop.adapters.storage.progress import ProgressRows
from promptprop.adapters.storage.prompts import PromptRows
from promptprop.adapters.storage.recordings import RecordingRows
from promptprop.adapters.storage.results import ResultRows
from promptprop.adapters.storage.rubrics import RubricRows
from promptprop.adapters.storage.runs import RunRows
from promptprop.adapters.storage.tokens import TokenRows


class SqlStore(
    RunRows,
    ListingRows,
    LedgerRows,
    RecordingRows,
    CacheRows,
    EvaluationRows,
    ResultRows,
    DatasetRows,
    ExperimentRows,
    PromptRows,
    RubricRows,
    TokenRows,
    InboxRows,
    ProgressRows,
    IdempotencyRows,
    AuditRows,
):
    """Everything that outlives the process, in SQLite or PostgreSQL: ports.Store, and the ports of ports/service."""


def open_store(url: str, *, must_exist: bool = False, migrate: bool = True) -> SqlStore:
    """Open the database at `url`; one that does not exist yet is created at the newest revision.

    `must_exist` refuses to create one. `migrate` brings an older one up to date; else that raises DatabaseOutdated.
    Raises StorageError: DatabaseAbsent, NotWritable, DatabaseTooNew, DatabaseOutdated, or a file that is no database.
    """
    prepare(url, must_exist=must_exist, migrate=migrate)
    return SqlStore(url)
