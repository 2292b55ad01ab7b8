"""`promptprop schema`: the JSON Schema of a configuration."""

from __future__ import annotations

import json

from promptprop.cli.shell import Shell


def schema(shell: Shell) -> None:
    """Print the JSON Schema of configurations."""
    from promptprop.bootstrap import configuration

    shell.write(json.dumps(configuration.schema(), indent=2) + "\n")
