"""`/api/experiments`: every run, and rows that wait for one, as the front end shows them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from promptprop.bootstrap.experiment_rows import rows_of
from promptprop.bootstrap.experiments import ACTIVITIES
from promptprop.domain.errors import RunNotFound
from promptprop.domain.history import History, fold
from promptprop.domain.models import Json
from promptprop.ports import ENDED
from promptprop.ports.experiments import Experiment
from promptprop.server.auth import Reader
from promptprop.server.context import Context, Ctx
from promptprop.server.frontend.answers import ExperimentDetail, ExperimentList
from promptprop.server.frontend.projection import detail_json, list_json
from promptprop.server.problems import answers
from promptprop.services.summary import summary_of

router = APIRouter(tags=["front end"])
MOST = 100
ExperimentId = Annotated[str, Path(min_length=1, max_length=100, description="The id of an experiment.")]


@router.get(
    "/api/experiments",
    response_model=None,
    responses={**answers(), 200: {"model": ExperimentList, "description": "Experiments, newest first."}},
)
def list_experiments(
    context: Ctx,
    _caller: Reader,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> JSONResponse:
    """Experiments, newest first: runs of the page, of the native API and of the command line alike."""
    found, total = context.store.experiment_page(limit, offset, ACTIVITIES)
    return JSONResponse({"experiments": [list_json(one, _summary(context, one)) for one in found], "total": total})


def _summary(context: Context, experiment: Experiment) -> dict[str, Json]:
    """The summary of a run, as of now while it goes on."""
    run = experiment.run
    if run is None:
        return {}
    if run.summary and run.status in ENDED:
        return dict(run.summary)
    return summary_of(fold(context.store.events(run.id)))


@router.get(
    "/api/experiments/{experiment_id}",
    response_model=None,
    responses={**answers(404), 200: {"model": ExperimentDetail, "description": "The experiment."}},
)
def show_experiment(experiment_id: ExperimentId, context: Ctx, _caller: Reader) -> JSONResponse:
    """An experiment with its rows, its prompts and their results."""
    store = context.store
    found = store.experiment(experiment_id)
    if found is None:
        raise RunNotFound(f"no experiment has the id {experiment_id!r}", remedy="GET /api/experiments lists them")
    run = found.run
    if run is None:
        return JSONResponse(detail_json(found, rows_of(store, found.id) or [], History(), {}, ()))
    examples = store.examples(run.dataset_id, [row.id for row in store.rows(run.dataset_id)]) if found.rows else []
    history = fold(store.events(run.id))
    document = detail_json(found, examples, history, store.candidates(run.id), store.evaluations(run.id))
    return JSONResponse(document)
