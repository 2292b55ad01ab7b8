"""Every command by its name. A new command is one file below `commands/` and one line here."""

from __future__ import annotations

_HERE = "promptprop.cli.commands"

# In the order in which `--help` lists them.
COMMANDS: dict[str, str] = {
    "validate": f"{_HERE}.validate:validate",
    "plan": f"{_HERE}.plan:plan",
    "optimize": f"{_HERE}.optimize:optimize",
    "eval": f"{_HERE}.evaluate:evaluate",
    "report": f"{_HERE}.report:report",
    "diff": f"{_HERE}.diff:diff",
    "runs list": f"{_HERE}.runs_list:list_runs",
    "runs show": f"{_HERE}.runs_show:show_run",
    "runs resume": f"{_HERE}.runs_resume:resume_run",
    "runs export": f"{_HERE}.runs_export:export_run",
    "runs rm": f"{_HERE}.runs_rm:remove_run",
    "prompts list": f"{_HERE}.prompts_list:list_prompts",
    "prompts show": f"{_HERE}.prompts_show:show_prompt",
    "prompts export": f"{_HERE}.prompts_export:export",
    "config show": f"{_HERE}.config_show:show_config",
    "schema": f"{_HERE}.schema:schema",
    "db upgrade": f"{_HERE}.db_upgrade:upgrade_database",
    "db check": f"{_HERE}.db_check:check_database",
    "mlflow": f"{_HERE}.mlflow:open_mlflow",
    "completion": f"{_HERE}.completion:completion",
}

GROUPS: dict[str, str] = {
    "runs": "List, show, resume, export and remove runs.",
    "prompts": "List, show and export prompts and their versions.",
    "config": "Show what a configuration amounts to.",
    "db": "Check and upgrade the database.",
}
