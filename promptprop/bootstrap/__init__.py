"""The composition root: from a configuration to a run, and from a run's row to the engine that runs it.

The only place that picks implementations. Everything here is lazy: what a command does not use is not imported.
"""
