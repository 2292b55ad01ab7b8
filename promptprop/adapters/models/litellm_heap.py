"""LiteLLM's heap, kept out of the garbage collector's way while a client is open.

The library leaves some 350,000 objects that live as long as the process. Each full collection walks them all, which
stops the event loop for a sixth of a second; a run makes enough objects of its own to cause one every few hundred
calls. `gc.freeze` is Python's remedy: what is there is not looked at again, while reference counts free it as ever.
"""

from __future__ import annotations

import gc
import threading

_lock = threading.Lock()
_ours = False


def set_aside() -> None:
    """Freeze the heap as it is, once until `take_back`; nothing where somebody else has frozen theirs."""
    global _ours  # noqa: PLW0603 - the collector is the process's as well
    if _ours:
        return
    with _lock:
        if not _ours and gc.get_freeze_count() == 0:
            gc.freeze()
            _ours = True


def take_back() -> None:
    """Let the collector look at everything again, if it was we who kept it away."""
    global _ours  # noqa: PLW0603 - the collector is the process's as well
    with _lock:
        if _ours:
            gc.unfreeze()
            _ours = False
