"""PromptProp: improves prompts by textual back-propagation, and claims only what held-out rows prove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptprop.api import check, evaluate, load_prompt, optimize, optimize_async

__version__ = "0.1.0"
__all__ = ["__version__", "check", "evaluate", "load_prompt", "optimize", "optimize_async"]


def __getattr__(name: str) -> Any:
    """Load the Python interface when it is used: the command line starts without it."""
    if name in __all__:
        from promptprop import api

        return getattr(api, name)
    raise AttributeError(f"module 'promptprop' has no attribute {name!r}")
