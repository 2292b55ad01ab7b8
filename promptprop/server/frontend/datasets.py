"""`/api/dataset`: rows that scripts store for an experiment, and read again by split."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from promptprop.bootstrap.experiment_rows import add_rows, require_dataset, rows_of
from promptprop.server.auth import Reader, Runner
from promptprop.server.context import Ctx
from promptprop.server.frontend.answers import DatasetAnswer, RowAnswer, SplitAnswer
from promptprop.server.frontend.rows import row_json, split_counts
from promptprop.server.frontend.shapes import DatasetBody
from promptprop.server.problems import answers

router = APIRouter(tags=["front end"])
ExperimentId = Annotated[str, Path(min_length=1, max_length=100, description="The id of an experiment.")]


@router.post(
    "/api/dataset",
    response_model=None,
    responses={**answers(413, 415), 200: {"model": DatasetAnswer, "description": "All rows by split; the new ids."}},
)
async def post_dataset(body: DatasetBody, context: Ctx, _caller: Runner) -> JSONResponse:
    """Add rows to an experiment; an id that is unknown is a new one, and a search for it comes under this id."""
    ratios = (body.train_ratio, body.val_ratio, body.test_ratio) if body.auto_split else None
    rows = [row.page_row for row in body.rows]
    most = context.settings.serve.limits.rows
    whole, fresh = await add_rows(context.store, body.experiment_id, rows, ratios, most)
    return JSONResponse(
        {"experimentId": body.experiment_id, "splits": split_counts([one.split for one in whole]), "rowIds": fresh}
    )


@router.get(
    "/api/dataset/{experiment_id}",
    response_model=None,
    responses={**answers(404), 200: {"model": SplitAnswer, "description": "How many rows each split has."}},
)
def count_rows(experiment_id: ExperimentId, context: Ctx, _caller: Reader) -> JSONResponse:
    """How many rows of an experiment are in each split."""
    dataset_id = require_dataset(context.store, experiment_id)
    return JSONResponse(split_counts([row.split for row in context.store.rows(dataset_id)]))


@router.get(
    "/api/dataset/{experiment_id}/{split}",
    response_model=None,
    responses={**answers(404), 200: {"model": list[RowAnswer], "description": "The rows."}},
)
def show_rows(
    experiment_id: ExperimentId, split: Literal["train", "val", "test"], context: Ctx, _caller: Reader
) -> JSONResponse:
    """The rows of one split."""
    require_dataset(context.store, experiment_id)
    rows = [row_json(example) for example in rows_of(context.store, experiment_id) or ()]
    return JSONResponse([row for row in rows if row["split"] == split])
