"""`promptprop validate`: everything about a configuration that can be told without a model."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from promptprop.cli.options import ConfigPath, EnvFile, Sets
from promptprop.cli.shell import Shell


def validate(shell: Shell, config: ConfigPath, sets: Sets = None, env_file: EnvFile = None) -> None:
    """Check a configuration, its prompts and its data.

    Free; stores nothing, and tells every problem at once.
    """
    from promptprop.adapters.files.report_words import counted
    from promptprop.bootstrap.configuration import load
    from promptprop.bootstrap.inspection import inspect_inputs

    loaded = load(config, sets or [], None, env_file)
    with redirect_stdout(sys.stderr):  # a metric's module may print as it loads
        rows, prompts = inspect_inputs(loaded)
    total = sum(rows.values())
    split = ", ".join(f"{count} {name}" for name, count in rows.items())
    metrics = counted(len(loaded.config.metrics), "metric")
    text = f"ok: {loaded.config.name}: {counted(total, 'row')} ({split}), {counted(prompts, 'prompt')}, {metrics}"
    document = {
        "ok": True,
        "name": loaded.config.name,
        "rows": rows,
        "prompts": prompts,
        "metrics": len(loaded.config.metrics),
    }
    if shell.json:
        shell.write_json(document)
    else:
        from promptprop.cli.plain import safe

        shell.write(safe(text) + "\n")
