"""`promptprop runs resume`: go on where a run stopped."""

from __future__ import annotations

from promptprop.cli.options import (
    Apply,
    Database,
    EnvFile,
    MaxCalls,
    MaxTime,
    MaxTokens,
    MaxUsd,
    Notes,
    Overrides,
    Require,
    RetryErrors,
    Review,
    RunReference,
    SecondLook,
)
from promptprop.cli.shell import Shell


def resume_run(
    shell: Shell,
    run: RunReference,
    max_usd: MaxUsd = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_time: MaxTime = None,
    retry_errors: RetryErrors = False,
    review: Review = False,
    notes: Notes = None,
    overrides: Overrides = None,
    second_look: SecondLook = False,
    apply: Apply = False,
    require: Require = None,
    env_file: EnvFile = None,
    db: Database = None,
) -> int:
    """Go on where a run stopped.

    It goes on as it was started, whatever its files say by now. What was answered is not asked again; a run that is
    finished is only shown, unless --second-look takes it up as a new run, for which all that is paid is free.
    """
    from promptprop.cli.resuming import Wishes, require_known, resume_stored

    required = require_known(require)
    said, corrected = tuple(notes or ()), tuple(overrides or ())
    wishes = Wishes(
        max_calls, max_tokens, max_usd, max_time, retry_errors, apply, required, review, said, corrected, second_look
    )
    return resume_stored(shell, run, wishes, env_file, db)
