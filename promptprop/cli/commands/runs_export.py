"""`promptprop runs export`: a run as data for others."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from promptprop.cli.options import Database, EnvFile, RunReference
from promptprop.cli.plain import safe
from promptprop.cli.shell import Shell
from promptprop.domain.models import Json

if TYPE_CHECKING:
    from promptprop.adapters.storage.store import SqlStore
    from promptprop.ports import RunRow


def export_run(shell: Shell, run: RunReference, env_file: EnvFile = None, db: Database = None) -> None:
    """Write a run with all its events as JSON.

    With --format md its report.
    """
    from promptprop.adapters.files.report_markdown import render_markdown
    from promptprop.bootstrap.references import existing_run
    from promptprop.cli.reports import report_of_run
    from promptprop.cli.running import opened

    with contextlib.closing(opened(db, env_file)) as store:
        row = existing_run(store, run)
        if shell.format == "md":
            shell.write(safe(render_markdown(report_of_run(store, row)[0])))
        else:
            shell.write_json(_document(store, row))


def _document(store: SqlStore, run: RunRow) -> Json:
    from promptprop.adapters.files.exporters import prompt_document
    from promptprop.bootstrap.outputs import program_of
    from promptprop.cli.reports import report_of_run
    from promptprop.domain.events import body_of
    from promptprop.domain.report import report_json

    report, paths = report_of_run(store, run)
    program = program_of(run)
    return {
        "version": 1,
        **report_json(report, paths),
        "created_at": run.created_at.isoformat(),
        "config": run.snapshot["config"],
        "prompts": [
            {
                **prompt_document(proposal.candidate, program),
                "parents": list(proposal.candidate.parents),
                "hypothesis": {"kind": proposal.candidate.hypothesis.kind, "text": proposal.candidate.hypothesis.text},
            }
            for proposal in store.candidates(run.id).values()
        ],
        "events": [
            {
                "seq": one.seq,
                "at": one.at.isoformat(),
                "kind": one.event.kind,
                "body": body_of(one.event),
                "meta": dict(one.meta),
            }
            for one in store.events(run.id)
        ],
    }
