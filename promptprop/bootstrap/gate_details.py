"""What a report of a check tells beside its verdict and flips, read from the run and from the files of its prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptprop.domain.models import Candidate, Evaluation, Example, Json, text_of
from promptprop.services.again import Call
from promptprop.services.prompt_changes import Change, ChangedLines, changes_of, lines_of

if TYPE_CHECKING:
    from promptprop.domain.events import GateLooked
    from promptprop.domain.gate_config import GateConfig
    from promptprop.ports import RunRow
    from promptprop.services.flips import Flip
    from promptprop.services.gate_rows import CriticalRow, Missing


@dataclass(frozen=True, slots=True)
class Details:
    """Changed lines with their places, rows that are no flips, how the check was called and began.

    `file` is where its verdict is noted: the first file that changed, else the prompt's or the configuration.
    `repeats` are the answers to each row, `open_ends` tells how an open verdict ends: fail, warn or pass.
    """

    changes: tuple[Change, ...] = ()
    missing: tuple[Missing, ...] = ()
    critical: tuple[CriticalRow, ...] = ()
    call: Call = field(default_factory=lambda: Call("CONFIG"))
    file: str = ""
    repeats: int = 1
    open_ends: str = "fail"
    started_at: str = ""

    def again(self, row: str) -> str:
        """The command that shows a row with all that this check asked and got."""
        return self.call.again(row, self.repeats)


def change_for(lines: ChangedLines, flip: Flip) -> Change | None:
    """The changed line that a flip most probably goes back to, if one stands out."""
    at_stake = " ".join([text_of(flip.expected), flip.baseline_answer, flip.candidate_answer])
    return lines.nearest(at_stake, " ".join(text_of(value) for value in flip.inputs.values()))


def details_of(
    run: RunRow,
    last: GateLooked,
    settings: GateConfig,
    evaluations: Sequence[Evaluation],
    examples: Mapping[str, Example],
    prompts: tuple[Candidate, Candidate],
) -> Details:
    """The details of a check that came to its end. `prompts` are baseline and candidate."""
    from promptprop.adapters.files.prompt_lines import in_repository
    from promptprop.services.gate_rows import critical_of, missing_of

    options: Mapping[str, Json] = run.snapshot["options"]
    split = str(options.get("split", "all"))
    call = Call.from_json(options["call"]) if "call" in options else Call(str(run.snapshot["path"]), split)
    files = _files(run.snapshot)
    changes = _placed(changes_of(*prompts), prompts[1], files)
    sides = {last.baseline_id: "baseline", last.candidate_id: "candidate"}
    critical = settings.critical.answers if settings.critical and last.failed else 1
    return Details(
        changes=tuple(changes),
        missing=() if last.failed else tuple(missing_of(evaluations, list(examples), sides, settings.metric)),
        critical=tuple(critical_of(evaluations, last.failed, examples, last.candidate_id)),
        call=replace(call, recording=options.get("recording") or None),
        file=changes[0].file if changes else in_repository(next(iter(files.values()))),
        repeats=max(last.replicates, critical),
        open_ends=str(options.get("inconclusive", "fail")),
        started_at=run.created_at.strftime("%Y-%m-%dT%H:%M:%S"),
    )


def _files(snapshot: Mapping[str, Json]) -> dict[str, str]:
    """The file that holds each step's prompt: its own, or the configuration."""
    config = snapshot["config"]
    written = Path(snapshot["folder"]) / Path(snapshot["path"]).name
    steps = [step for step, *_ in snapshot["program"]]
    sources = [step["prompt"] for step in config.get("steps") or ()] or (config.get("prompt") or [])[:1]
    named = [source.get("file") for source in sources] or [None]
    return {step: str(file or written) for step, file in zip(steps, named, strict=False)}


def _placed(changes: Sequence[Change], candidate: Candidate, files: Mapping[str, str]) -> list[Change]:
    """The changes with the file and the line where each stands in the repository; line 0 where it is not found."""
    from promptprop.adapters.files.prompt_lines import in_repository, lines_in_file

    lines: dict[str, list[int]] = {}
    for step in dict.fromkeys(change.step for change in changes):
        prompt = lines_of(candidate.prompts[step].text)
        try:
            lines[step] = lines_in_file(prompt, Path(files[step]).read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError):  # the file went away or changed since: the diff stands without its place
            lines[step] = [0] * len(prompt)
    names = {step: in_repository(file) for step, file in files.items()}
    return [replace(one, file=names[one.step], line=lines[one.step][one.line - 1]) for one in changes]
