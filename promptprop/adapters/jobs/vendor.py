"""What DBOS says: into the log of the project, without what is no news there."""

from __future__ import annotations

import logging

NO_NEWS = (
    "was cancelled during execution",
    "Asyncio task cancelled for workflow or step",
    "Exception encountered in asynchronous workflow",  # told by whoever worked on the job
)


class _NoNews(logging.Filter):
    """Drops what DBOS says of jobs that were cancelled or failed: that is told by the run itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is news."""
        return not any(part in str(record.msg) for part in NO_NEWS)


def quiet() -> None:
    """Route DBOS's log to the project's at WARNING; to be called before DBOS sets up a handler of its own."""
    logger = logging.getLogger("dbos")
    logger.handlers[:] = [logging.NullHandler()]  # with none, DBOS adds one that writes to stderr
    logger.propagate = True
    logger.setLevel(logging.WARNING)
    if not any(isinstance(one, _NoNews) for one in logger.filters):
        logger.addFilter(_NoNews())
