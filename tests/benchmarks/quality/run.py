"""Runs contenders on simulated offices at several caps on task calls, and tells what each would return.

    python tests/benchmarks/quality/run.py --families reporting --calls 600,1500 --worlds 10

Each cap is a run of its own, as a user would start it. What counts is the true score of the returned prompt on rows
that no contender ever met, as a share of the ceiling (the best prompt that can be written), and as a share of the
headroom between seed and ceiling. Simulated: evidence about search, and none about language models.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from families import FAMILIES, office_of
from plot import anytime_svg
from searches import ablations, gepa_variants, parts_of, run_contender
from tables import curves, report

FAIR = ("gepa-1x1", "gepa-mb8-val30", "gepa-2x4-mb8-val30", "gepa-1x1-val30-critic", "gepa-mb8-val30-critic",
        "gepa-2x4-mb8-val30-critic", "gepa-merge-val30-critic")  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One contender in one world at one cap, and what became of it."""

    set: str
    family: str
    world: int
    contender: str
    cap: int
    score: float
    ceiling: float
    seed_score: float
    calls: int
    role_calls: int
    weighted_tokens: int
    length: int
    best_length: int
    seconds: float


def run_trial(job: tuple[str, int, int, str, int, str]) -> Trial:
    """Run one trial; `job` is set, family's place, world, contender, cap and backprop's options as JSON."""
    name, place, world, contender, cap, options = job
    family = FAMILIES[name][place]
    office = office_of(family, world)
    rows = [row.id for row in parts_of(office, world)["test"]]
    began = time.perf_counter()
    result = run_contender(contender, office, world, cap, json.loads(options))
    return Trial(
        set=name,
        family=family.name,
        world=world,
        contender=contender,
        cap=cap,
        score=office.true_of(result.texts, rows),
        ceiling=office.true_of(office.best_texts, rows),
        seed_score=office.true_of(office.seed_texts, rows),
        calls=result.calls,
        role_calls=result.role_calls,
        weighted_tokens=result.weighted_tokens,
        length=result.length,
        best_length=sum(map(len, office.best_texts.values())),
        seconds=time.perf_counter() - began,
    )


def run_all(
    sets: str,
    contenders: Sequence[str],
    caps: Sequence[int],
    worlds: Iterable[int],
    options: str = "{}",
    processes: int = 2,
    only: Sequence[str] = (),
) -> list[Trial]:
    """All trials, in a fixed order."""
    jobs = [
        (sets, place, world, contender, cap, options)
        for place, family in enumerate(FAMILIES[sets])
        if not only or family.name in only
        for world in worlds
        for contender in contenders
        for cap in caps
    ]
    if processes == 1:
        return [run_trial(job) for job in jobs]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(run_trial, jobs, chunksize=4))


def main() -> None:
    """Read the arguments, run, print, and keep the trials where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", choices=sorted(FAMILIES), default="tuning")
    parser.add_argument("--only", default="", help="names of families, with commas")
    parser.add_argument(
        "--contenders",
        default=",".join(("backprop", "classic", *FAIR)),
        help=f"with commas; besides: backprop+proof, classic+proof, {', '.join(gepa_variants())}",
    )
    parser.add_argument("--calls", default="200,600,1500")
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first world's number")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--options", default="{}", help="options of backprop, as JSON")
    parser.add_argument("--ablations", action="store_true", help="backprop with and without its parts, and no rivals")
    parser.add_argument("--json", type=Path, help="keep the trials here")
    parser.add_argument("--folder", type=Path, help="write report.md, anytime.svg and trials.json into this folder")
    args = parser.parse_args()
    began = time.monotonic()
    contenders = args.contenders.split(",")
    if args.ablations:
        contenders = ["backprop", *(f"backprop: {name}" for name in ablations())]
    trials = run_all(
        args.families,
        contenders,
        [int(cap) for cap in args.calls.split(",")],
        range(args.first, args.first + args.worlds),
        args.options,
        args.processes,
        [name for name in args.only.split(",") if name],
    )
    found = [asdict(trial) for trial in trials]
    text = report(found)
    print(text)
    print(f"\n{len(trials)} trials in {time.monotonic() - began:.0f} s")
    if args.json:
        args.json.write_text(json.dumps(found), encoding="utf-8")
    if args.folder:
        _write(args.folder, found, text, f"{args.families} families, {args.worlds} worlds each")


def _write(folder: Path, trials: Sequence[dict[str, Any]], text: str, title: str) -> None:
    """The report, the plot and the trials as files."""
    folder.mkdir(parents=True, exist_ok=True)
    heading = f"# Search quality in simulated offices: {title}\n\n![Anytime curves](anytime.svg)\n\n"
    (folder / "report.md").write_text(f"{heading}{text}\n", encoding="utf-8")
    (folder / "anytime.svg").write_text(anytime_svg(f"Share of the ceiling, {title}", curves(trials)), encoding="utf-8")
    (folder / "trials.json").write_text(json.dumps(trials), encoding="utf-8")
    print(f"written to {folder}")


if __name__ == "__main__":
    main()
