"""`promptprop plan`: what a run will take, before it spends anything."""

from __future__ import annotations

from promptprop.cli.options import ConfigPath, EnvFile, Sets
from promptprop.cli.shell import Shell


def plan(shell: Shell, config: ConfigPath, sets: Sets = None, env_file: EnvFile = None) -> None:
    """Tell what a run will take. Free.

    Calls, tokens and money of the confirmation, of a round and in total; the rounds that the budget pays; the smallest
    gain that the sealed rows can prove.
    """
    from promptprop.bootstrap.configuration import load
    from promptprop.bootstrap.models import all_simulated
    from promptprop.cli.planning import plan_apart, plan_markdown, plan_parts

    loaded = load(config, sets or [], None, env_file)
    made = plan_apart(loaded)
    document = {
        "name": loaded.config.name,
        "simulated": all_simulated(loaded.config, loaded.environment),
        **made.as_json(),
    }
    shell.show(
        document,
        lambda: plan_parts(loaded.config, loaded.environment, made),
        lambda: plan_markdown(loaded.config, made),
    )
