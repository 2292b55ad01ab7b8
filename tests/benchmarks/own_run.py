"""A command line with a stopwatch inside: `own_run.py MEASURES ARGUMENT…` writes what it took to MEASURES as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from stopwatch import Stopwatch, peak_mib, process_seconds

from promptprop.cli.main import main


def run(measures: Path, arguments: list[str]) -> int:
    """Run the command to its end; `MEASURES` also holds the peak of its memory."""
    watch = Stopwatch()
    watch.watch_runs()
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    measures.write_text(json.dumps({**watch.take(), **process_seconds(), "peak_mib": peak_mib()}), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
