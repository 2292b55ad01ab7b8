"""`promptprop baseline rm`: a stored baseline and its recording go."""

from __future__ import annotations

from promptprop.cli.commands.baseline_show import Name
from promptprop.cli.shell import Shell


def remove_baseline(shell: Shell, name: Name) -> int:
    """Remove a baseline and its recording.

    Both are files of your repository: its history keeps them.
    """
    from promptprop.adapters.files.baselines import read_baseline, recording_path
    from promptprop.cli.baselines import baseline_named
    from promptprop.domain.errors import NotWritable

    path = baseline_named(name)
    read_baseline(path)  # what is no baseline is not ours to remove
    removed = []
    for file in (path, recording_path(path)):
        try:
            file.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise NotWritable(f"{file} cannot be removed: {error.strerror}") from error
        removed.append(str(file))
    shell.show({"removed": removed}, lambda: [f"removed {file}" for file in removed])
    return 0
