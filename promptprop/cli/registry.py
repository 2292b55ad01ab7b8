"""Every command by its name. A new command is one file below `commands/` and one line here."""

from __future__ import annotations

_HERE = "promptprop.cli.commands"

# In the order in which `--help` lists them.
COMMANDS: dict[str, str] = {
    "validate": f"{_HERE}.validate:validate",
    "lint": f"{_HERE}.lint:lint_prompts",
    "plan": f"{_HERE}.plan:plan",
    "optimize": f"{_HERE}.optimize:optimize",
    "eval": f"{_HERE}.evaluate:evaluate",
    "watch": f"{_HERE}.watch:watch",
    "check": f"{_HERE}.check:check",
    "baseline accept": f"{_HERE}.baseline_accept:accept",
    "baseline list": f"{_HERE}.baseline_list:list_baselines",
    "baseline show": f"{_HERE}.baseline_show:show_baseline",
    "baseline rm": f"{_HERE}.baseline_rm:remove_baseline",
    "report": f"{_HERE}.report:report",
    "compare": f"{_HERE}.compare:compare",
    "diff": f"{_HERE}.diff:diff",
    "runs list": f"{_HERE}.runs_list:list_runs",
    "runs show": f"{_HERE}.runs_show:show_run",
    "runs resume": f"{_HERE}.runs_resume:resume_run",
    "runs export": f"{_HERE}.runs_export:export_run",
    "runs rm": f"{_HERE}.runs_rm:remove_run",
    "prompts list": f"{_HERE}.prompts_list:list_prompts",
    "prompts show": f"{_HERE}.prompts_show:show_prompt",
    "prompts export": f"{_HERE}.prompts_export:export",
    "data validate": f"{_HERE}.data_validate:validate_data",
    "data import": f"{_HERE}.data_import:import_data",
    "data split": f"{_HERE}.data_split:split_data",
    "data synth": f"{_HERE}.data_synth:synthesize_data",
    "data review": f"{_HERE}.data_review:review_data",
    "models list": f"{_HERE}.models_list:list_models",
    "models ping": f"{_HERE}.models_ping:ping_models",
    "judge calibrate": f"{_HERE}.judge_calibrate:calibrate",
    "roles list": f"{_HERE}.roles_list:list_roles",
    "roles show": f"{_HERE}.roles_show:show_role",
    "config show": f"{_HERE}.config_show:show_config",
    "schema": f"{_HERE}.schema:schema",
    "cache stats": f"{_HERE}.cache_stats:show_stats",
    "cache prune": f"{_HERE}.cache_prune:prune",
    "db upgrade": f"{_HERE}.db_upgrade:upgrade_database",
    "db backup": f"{_HERE}.db_backup:back_up",
    "db check": f"{_HERE}.db_check:check_database",
    "mlflow": f"{_HERE}.mlflow:open_mlflow",
    "doctor": f"{_HERE}.doctor:doctor",
    "completion": f"{_HERE}.completion:completion",
}

GROUPS: dict[str, str] = {
    "baseline": "Store, list, show and remove what checks are held against.",
    "runs": "List, show, resume, export and remove runs.",
    "prompts": "List, show and export prompts and their versions.",
    "data": "Check, split, import and invent rows.",
    "models": "List the models that your keys reach, and try them.",
    "judge": "Hold jurors against what people say.",
    "roles": "Show the model roles and their templates.",
    "config": "Show what a configuration amounts to.",
    "cache": "Count and remove what the ledger holds.",
    "db": "Check, back up and upgrade the database.",
}
