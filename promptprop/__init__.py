"""PromptProp: improves prompts by textual back-propagation, and claims only what held-out rows prove."""

__version__ = "0.1.0"
