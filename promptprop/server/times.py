"""Times on the wire."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

from pydantic import PlainSerializer


def utc_text(moment: datetime) -> str:
    """A time as RFC 3339 in UTC.

    >>> utc_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    '2026-01-02T03:04:05Z'
    """
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


Time = Annotated[datetime, PlainSerializer(utc_text, return_type=str)]
