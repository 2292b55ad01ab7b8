"""A process that has loaded everything and forks a fresh command line for each request: kills without the start-up.

Loading LiteLLM takes seconds, which two hundred kills would pay two hundred times. So the parent loads it once, in one
thread. Each line on its standard input, `{"arguments": […], "folder": …, "out": …, "err": …, "death": …}`, becomes a
child of its own that is stopped before it begins; `death` may be `[place, n]`, see `sudden_death`. The parent answers
`pid N` (send it SIGCONT), then `code N` when it has ended; a negative code is a signal. One child at a time. It ends
when its input does.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures"))


def load_all() -> None:
    """Import what a run needs, without starting a thread or an event loop."""
    import promptprop.adapters.models.openai_http.client
    import promptprop.adapters.storage.store
    import promptprop.bootstrap.assembly
    import promptprop.cli.main
    import promptprop.cli.running
    import promptprop.optimizers.backprop  # noqa: F401 - all for their side effect: they are loaded
    from promptprop.adapters.models.litellm_client import load

    load()
    gc.freeze()


def be_child(order: dict[str, Any]) -> None:
    """Become the command line. Never returns."""
    from promptprop.cli.main import main

    for number, path in ((1, order["out"]), (2, order["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order["folder"])
    if order.get("death"):
        from sudden_death import arrange_death

        arrange_death(*order["death"])
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        code = main(order["arguments"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Serve orders until standard input closes."""
    load_all()
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            be_child(json.loads(line))
        os.waitpid(pid, os.WUNTRACED)
        print(f"pid {pid}", flush=True)
        _, status = os.waitpid(pid, 0)
        print(f"code {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
