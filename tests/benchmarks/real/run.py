"""Compares optimizers on a real task, with your configuration and your key: planned first, capped, resumable.

    nox -s bench_real -- CONFIG --max-usd 2 --seeds 3          # what it would take; nothing is spent
    nox -s bench_real -- CONFIG --max-usd 2 --seeds 3 --go     # run it; the same command goes on where it stopped

Every optimizer gets the same cap for each seed, and each run is an ordinary one in a database of its own: FINISH is
paid from the cap, the split is the same for all of a seed, and what the sealed test says is what counts. A run that is
on record is not made again. Never run in CI: real models cost money and answer differently each time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPTIMIZERS = ("backprop", "gepa", "classic", "random")
UNFINISHED = {"created", "running", "stopped"}


@dataclass(frozen=True)
class Plan:
    """One run to make: an optimizer, a seed, and its name in the database."""

    optimizer: str
    seed: int

    @property
    def name(self) -> str:
        """By which a later call finds it."""
        return f"real-{self.optimizer}-{self.seed}"


def promptprop(*arguments: str) -> tuple[int, dict[str, Any]]:
    """A command's exit code and its JSON; its progress goes to the terminal."""
    command = [sys.executable, "-m", "promptprop", *arguments, "--json", "--no-input"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = {"error": {"message": done.stdout.strip() or f"exit code {done.returncode}"}}
    return done.returncode, found if isinstance(found, dict) else {"runs": found}


def settings_of(plan: Plan, config: str, caps: Sequence[str]) -> list[str]:
    """What a run is started with."""
    split = f"data.split.seed={plan.seed}"
    return [config, "--optimizer", plan.optimizer, "--seed", str(plan.seed), "--name", plan.name, "--set", split, *caps]


def result_of(plan: Plan, config: str, caps: Sequence[str], db: str) -> dict[str, Any]:
    """The report of a run: from the record where it is finished, else after going on with it, else of a new one."""
    url = f"sqlite:///{db}"
    code, known = promptprop("runs", "show", plan.name, "--db", url) if Path(db).exists() else (2, {})
    status = str(known.get("status", ""))
    if code == 0 and status == "finished":
        return known
    if code == 0 and status in UNFINISHED:
        return promptprop("runs", "resume", plan.name, *caps, "--db", url)[1]
    return promptprop("optimize", *settings_of(plan, config, caps), "--db", url)[1]


def table_of(found: Sequence[tuple[Plan, dict[str, Any]]]) -> str:
    """The results as a Markdown table, those that did not end among them."""
    lines = [
        "| optimizer | seed | seed's test | winner's test | Δ points | verdict | calls | USD |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for plan, report in found:
        if "verdict" not in report:
            why = report.get("error", {}).get("message", "no result")
            lines.append(f"| {plan.optimizer} | {plan.seed} | | | | {why} | | |")
            continue
        delta, spend = report.get("delta"), report["spend"]["total"]
        gain = f"{100 * delta['mean']:+.1f} [{100 * delta['low']:.1f}, {100 * delta['high']:.1f}]" if delta else "–"
        before, after = (_score(report[side]) for side in ("seed", "winner"))
        cells = [plan.optimizer, plan.seed, before, after, gain, report["verdict"], spend["calls"], spend["usd"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _score(standing: dict[str, Any]) -> str:
    test = standing.get("test")
    return f"{test['mean']:.3f}" if test and test["mean"] is not None else "–"


def main() -> int:
    """Plan or run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a configuration with real models")
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS), help="with commas")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each optimizer")
    parser.add_argument("--max-usd", help="cap of each run; needs prices")
    parser.add_argument("--max-calls", help="cap of each run, in calls of all roles")
    parser.add_argument("--db", default="bench-real.db", help="the SQLite file of these runs")
    parser.add_argument("--go", action="store_true", help="spend it")
    args = parser.parse_args()
    flags = {"--max-usd": args.max_usd, "--max-calls": args.max_calls}
    caps = [part for flag, value in flags.items() if value for part in (flag, value)]
    if not caps:
        parser.error("real models need a cap: --max-usd or --max-calls")
    plans = [Plan(name, seed) for seed in range(1, args.seeds + 1) for name in args.optimizers.split(",")]
    if not args.go:
        code, plan = promptprop("plan", args.config)
        if code:
            print(plan.get("error", {}).get("message", "the plan failed"), file=sys.stderr)
            return code
        limit = " and ".join(f"{len(plans)} × {value} {flag[6:]}" for flag, value in flags.items() if value)
        print(f"{len(plans)} runs, at most {limit}. One run as configured would take, by estimate:")
        print(json.dumps(plan.get("total", plan), indent=1))
        print("Add --go to spend it.")
        return 0
    found = [(plan, result_of(plan, args.config, caps, args.db)) for plan in plans]
    print(table_of(found))
    return 0 if all("verdict" in report for _, report in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
