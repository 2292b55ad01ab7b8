"""What is shown of a run's judges: tables of jurors, features and labels, and the same as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from promptprop.domain.models import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptprop.adapters.storage.store import SqlStore
    from promptprop.domain.agreement import ClassTable, JurorRecord
    from promptprop.domain.models import Evaluation
    from promptprop.domain.report import Report
    from promptprop.ports import RubricVersion, RunRow
    from promptprop.services.judging import FeatureRecord

FLIPPING = 0.15  # share of repeated answers on both sides of the line, from which on a juror is said to be unsteady
MOST_CONFUSIONS = 5


def jury_of_run(evaluations: Sequence[Evaluation]) -> tuple[JurorRecord, ...]:
    """Each juror's record over all answers of a run."""
    from promptprop.metrics.jury import turned
    from promptprop.services.judging import jury_of

    return jury_of(evaluations, {one.example_id: turned(one.example_id) for one in evaluations})


def rubric_of_run(
    store: SqlStore, report: Report, evaluations: Sequence[Evaluation]
) -> tuple[RubricVersion, tuple[FeatureRecord, ...]] | None:
    """The rubric that was drafted for a run, and what each of its features came to; None without one."""
    from promptprop.services.judging import features_of

    version = store.rubric(report.history.rubric_id) if report.history.rubric_id else None
    if version is None:
        return None
    return version, features_of(version.rubric, evaluations, report.seed.id, report.winner.id)


def classes_of_run(
    store: SqlStore, run: RunRow, report: Report, evaluations: Sequence[Evaluation]
) -> dict[str, ClassTable]:
    """What becomes of each label under the seed, and under the winner where it is another prompt."""
    from promptprop.services.judging import classes_of

    found = {}
    for name, candidate_id in {"seed": report.seed.id, "winner": report.winner.id}.items():
        if name == "winner" and not report.changed:
            continue
        answers = [one for one in evaluations if one.candidate_id == candidate_id]
        rows = store.examples(run.dataset_id, list(dict.fromkeys(one.example_id for one in answers)))
        table = classes_of(answers, {row.id: row.expected for row in rows})
        if table is not None:
            found[name] = table
    return found


def jury_json(records: Sequence[JurorRecord]) -> Json:
    """For `--json`."""
    return [asdict(record) for record in records]


def rubric_json(found: tuple[RubricVersion, Sequence[FeatureRecord]] | None) -> Json:
    """For `--json`."""
    if found is None:
        return None
    version, features = found
    return {
        "id": version.rubric.id,
        "name": version.name,
        "version": version.version,
        "summary": version.rubric.summary,
        "features": [asdict(feature) for feature in features],
    }


def classes_json(tables: dict[str, ClassTable]) -> Json:
    """For `--json`."""
    return {
        name: {
            "labels": [
                {
                    "label": row.label,
                    "expected": row.expected,
                    "answered": row.answered,
                    "precision": row.precision,
                    "recall": row.recall,
                    "f1": row.f1,
                }
                for row in table.rows
            ],
            "macro": dict(zip(("precision", "recall", "f1"), table.macro, strict=True)),
            "confusions": [
                {"expected": one, "answered": other, "count": count} for one, other, count in table.confusions
            ],
        }
        for name, table in tables.items()
    }


def draw_jury(records: Sequence[JurorRecord]) -> Iterable[RenderableType]:
    """A line for each juror, and what stands out."""
    from promptprop.cli.drawing import table_of

    if not records:
        yield "No jury has judged in this run."
        return
    rows = [
        [
            one.name,
            f"{one.asked:,}",
            f"{one.missing:,}",
            _share(one.mean),
            _signed(one.bias),
            _share(one.noise),
            "–" if one.flips is None else f"{one.flips:.0%} of {one.repeated}",
            _signed(one.length_bias),
            "–" if one.order_bias is None else f"{one.order_bias:+.3f} ± {one.order_error:.3f}",
        ]
        for one in records
    ]
    head = ["juror", "asked", "no vote", "mean", "bias", "noise", "flips", "length", "order"]
    yield table_of(head, rows, right=(1, 2, 3, 4, 5))
    yield from (f"{one.name}: {said}" for one in records for said in standing_out(one))


def standing_out(record: JurorRecord) -> list[str]:
    """What a person should know of a juror, in a sentence each."""
    said = []
    if record.flips is not None and record.repeated >= 10 and record.flips > FLIPPING:
        said.append(f"puts {record.flips:.0%} of the answers that it judged twice on both sides of the line")
    if record.length_bias is not None and abs(record.length_bias) > 0.3:
        said.append(f"likes {'longer' if record.length_bias > 0 else 'shorter'} answers more than the others do")
    if record.order_bias is not None and record.order_error and abs(record.order_bias) > 3 * record.order_error:
        more = "more" if record.order_bias > 0 else "less"
        said.append(f"gives {more} where it sees the answer before what is expected")
    if record.asked >= 20 and record.missing > 0.2 * record.asked:
        said.append(f"had no vote on {record.missing / record.asked:.0%} of the answers")
    return said


def draw_rubric(found: tuple[RubricVersion, Sequence[FeatureRecord]] | None) -> Iterable[RenderableType]:
    """The features with what they came to."""
    from promptprop.cli.drawing import facts_table, table_of

    if found is None:
        yield "No rubric was drafted for this run: set `rubric: auto` in its jury to have one."
        return
    version, features = found
    yield facts_table(
        [
            ("rubric", f"{version.name}, version {version.version} ({version.rubric.id})"),
            ("task", version.rubric.summary),
        ]
    )
    yield ""
    rows = [
        [one.id, f"{one.weight:g}", _share(one.seed), _share(one.winner), _signed(one.correlation), one.says]
        for one in features
    ]
    yield table_of(["feature", "weight", "seed", "winner", "with score", "says"], rows, right=(1, 2, 3, 4))


def draw_classes(tables: dict[str, ClassTable]) -> Iterable[RenderableType]:
    """Precision, recall and F1 of each label, and the most frequent mistakes."""
    from promptprop.cli.drawing import facts_table, table_of

    if not tables:
        yield "The expected answers of this run are no labels."
        return
    for name, table in tables.items():
        rows = [
            [row.label, f"{row.expected}", f"{row.answered}", _share(row.precision), _share(row.recall), _share(row.f1)]
            for row in table.rows
            if row.expected
        ]
        precision, recall, f1 = table.macro
        rows.append(["mean over labels", "", "", _share(precision), _share(recall), _share(f1)])
        yield table_of([name, "expected", "answered", "precision", "recall", "F1"], rows, right=(1, 2, 3, 4, 5))
        wrong = [f"{one} → {other}: {count}" for one, other, count in table.confusions[:MOST_CONFUSIONS]]
        if wrong:
            yield facts_table([("mistakes", "; ".join(wrong))])
        yield ""


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"
