"""Named prompts: their versions and aliases, saved by hand, filled, compared and exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from promptprop.bootstrap.references import version_head
from promptprop.domain.errors import AmbiguousRun, UsageError
from promptprop.domain.models import Json
from promptprop.ports import PromptVersion
from promptprop.server.api.runs import Closed
from promptprop.server.api.texts import (
    EXPORTED,
    Difference,
    ExportFormat,
    MessageText,
    PromptDocument,
    difference_of,
    document_of,
    exported,
)
from promptprop.server.auth import Reader, Runner
from promptprop.server.context import Context, Ctx
from promptprop.server.idempotency import IdempotencyKey, once
from promptprop.server.pages import Cursor, Limit, Page, decoded, page_of
from promptprop.server.problems import Refused, answers
from promptprop.server.times import Time

if TYPE_CHECKING:
    from promptprop.bootstrap.references import Named

router = APIRouter(prefix="/api/v1", tags=["prompts"])
LONGEST = 200_000  # characters of a text
LARGEST = 2**31 - 1
SAVED: dict[str, Any] = {"name": "support-router", "text": "Which desk? {{ text }}", "aliases": ["candidate"]}
NAME = r"^[^@\x00-\x1f\x7f]+$"
Name = Annotated[str, Path(min_length=1, max_length=200, description="A prompt's name.")]
Mark = Annotated[
    str, Path(min_length=1, max_length=200, description="A version's number, an alias, or `latest`: the newest one.")
]
Alias = Annotated[str, Path(min_length=1, max_length=200, description="A word such as `production`.")]
Reference = Annotated[str, Query(min_length=1, max_length=400, description="NAME@VERSION, RUN:seed, RUN:winner.")]


class PromptName(BaseModel):
    """A named prompt without its texts."""

    name: str
    version: int = Field(description="The newest one.")
    versions: int = Field(description="How many there are.")
    aliases: dict[str, int] = Field(description="The version that each alias points at.")
    id: str = Field(description="Of the newest version's contents: equal texts have equal ids.")
    run_id: str | None = Field(description="The run that found the newest version.")
    created_at: Time


class VersionHead(BaseModel):
    """A version of a prompt, in a list."""

    name: str
    version: int
    aliases: list[str]
    id: str = Field(description="Of its contents: equal texts have equal ids.")
    length: int = Field(description="In characters.")
    run_id: str | None = Field(description="The run that found it.")
    created_at: Time


class Version(VersionHead):
    """A version of a prompt with its texts."""

    text: str = Field(description="All of it as one text.")
    prompt: PromptDocument


class SavedMessage(Closed):
    """A message."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=LONGEST)


class SavedPrompt(Closed):
    """A prompt's texts, from exactly one of `text` and `messages`."""

    text: str | None = Field(None, min_length=1, max_length=LONGEST, description="One user message.")
    messages: list[SavedMessage] | None = Field(None, min_length=1, max_length=50)
    literal: bool = Field(False, description="Send braces as they are.")


class SavedStep(SavedPrompt):
    """A step of a chain."""

    id: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class SaveRequest(SavedPrompt):
    """A version that is to be saved: `text`, `messages`, or `steps` of a chain."""

    name: str = Field(min_length=1, max_length=200, pattern=NAME)
    steps: list[SavedStep] | None = Field(None, min_length=1, max_length=32)
    aliases: list[Annotated[str, Field(min_length=1, max_length=200, pattern=NAME)]] = Field(
        [], max_length=20, description="They move to this version."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [SAVED]})


class AliasRequest(Closed):
    """Where an alias points."""

    version: int = Field(ge=1, le=LARGEST)


class RenderRequest(Closed):
    """Values of a prompt's variables."""

    variables: dict[str, Any] = Field(max_length=200, description="Values by name; `null` shows as nothing.")
    step: str | None = Field(None, max_length=100, description="A step of a chain; the first one unless given.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"variables": {"text": "Where is my parcel?"}}]})


class Rendered(BaseModel):
    """A prompt with its values in, as a model would get it."""

    step: str
    messages: list[MessageText]
    used: list[str] = Field(description="The variables that it uses.")


def version_of(context: Context, name: str, mark: str) -> PromptVersion:
    """The version of a prompt that a number or an alias names. Raises Refused (404)."""
    if "@" not in name and "@" not in mark:
        try:
            return context.store.prompt(f"{name}@{mark}")
        except UsageError:
            if mark == "latest" and (newest := context.store.prompt_versions(name, 1)):
                return newest[0]
    raise Refused(404, "prompt_not_found", "no prompt has this name with this version or alias")


def detail_of(context: Context, one: PromptVersion) -> Version:
    """A version with its texts, its steps in the order of the run that found it."""
    from promptprop.bootstrap.references import program_of_version

    program = program_of_version(context.store, one)
    return Version(**version_head(one), text=one.candidate.text, prompt=document_of(one.candidate, program))


def named(context: Context, reference: str) -> Named:
    """The candidate that a version, or a run's word, names. Raises Refused (404), AmbiguousRun."""
    from promptprop.bootstrap.references import candidate_named

    try:
        return candidate_named(context.store, reference)
    except AmbiguousRun:
        raise
    except UsageError as error:
        raise Refused(404, "prompt_not_found", error.message, remedy="name NAME@VERSION or RUN:winner") from error


@router.get("/prompts", responses=answers())
def list_prompts(context: Ctx, _caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[PromptName]:
    """Named prompts by name, each with its newest version and its aliases."""
    after = decoded(cursor, str)
    found = context.store.prompt_page(limit + 1, after[0] if after else "")
    shown, following = page_of(found, limit, lambda head: (head.name,))
    items = [
        PromptName(
            name=head.name,
            version=head.version,
            versions=head.versions,
            aliases=dict(head.aliases),
            id=head.candidate_id,
            run_id=head.run_id,
            created_at=head.created_at,
        )
        for head in shown
    ]
    return Page(items=items, next_cursor=following)


@router.post("/prompts", status_code=201, responses={**answers(409, 413, 415), 201: {"model": Version}})
async def save_prompt(
    body: SaveRequest, request: Request, context: Ctx, _caller: Runner, key: IdempotencyKey = None
) -> Version:
    """Save a version by hand, unless the newest one says the same: then that one. `Location` names it."""
    from promptprop.bootstrap.prompt_saving import candidate_from

    async def save() -> JSONResponse:
        steps = [one.model_dump() for one in body.steps] if body.steps is not None else None
        given = body.model_dump(include={"text", "messages", "literal"})
        candidate = await run_in_threadpool(candidate_from, given, steps)
        saved = await context.store.save_prompt(body.name, candidate, None, body.aliases)
        answer = (await run_in_threadpool(detail_of, context, saved)).model_dump(mode="json")
        return JSONResponse(answer, 201, headers={"Location": location_of(saved)})

    return await once(request, context, _caller, key, body, save)  # type: ignore[return-value]  # a response as it is


def location_of(one: PromptVersion) -> str:
    """Where a version is found."""
    from urllib.parse import quote

    return f"/api/v1/prompts/{quote(one.name)}/versions/{one.version}"


@router.get("/prompts/diff", responses=answers(404, 409))
def compare_prompts(
    context: Ctx,
    _caller: Reader,
    before: Annotated[Reference, Query(alias="from")],
    after: Annotated[Reference, Query(alias="to")],
) -> Difference:
    """What differs between two prompts, by lines and by words. Each is a version, or a run's seed or winner."""
    one, other = named(context, before), named(context, after)
    return difference_of(one.candidate, other.candidate, one.label, other.label)


@router.get("/prompts/{name:path}/versions", responses=answers(404))
def list_versions(
    name: Name, context: Ctx, _caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Page[VersionHead]:
    """The versions of a prompt, newest first."""
    before = decoded(cursor, int)
    found = context.store.prompt_versions(name, limit + 1, min(before[0], LARGEST) if before else None)
    if not found and before is None:
        raise Refused(404, "prompt_not_found", "no prompt has this name")
    shown, following = page_of(found, limit, lambda one: (one.version,))
    return Page(items=[VersionHead(**version_head(one)) for one in shown], next_cursor=following)


@router.get("/prompts/{name:path}/versions/{version}/export", responses={**answers(404), **EXPORTED})
def export_version(
    name: Name,
    version: Mark,
    context: Ctx,
    _caller: Reader,
    form: Annotated[ExportFormat, Query(alias="format", description="Which kind of file.")] = "json",
) -> Response:
    """A version as a file for others to use."""
    from promptprop.bootstrap.references import program_of_version

    one = version_of(context, name, version)
    program = program_of_version(context.store, one)
    return exported(one.candidate, program, form, f"{one.name}-{one.version}")


@router.post("/prompts/{name:path}/versions/{version}/render", responses=answers(404, 413, 415))
def render_version(name: Name, version: Mark, body: RenderRequest, context: Ctx, _caller: Reader) -> Rendered:
    """Fill a prompt's variables, in a sandbox. Calls no model."""
    from promptprop.adapters.files.dataset_fields import plain
    from promptprop.domain.models import storable
    from promptprop.roles.template import fill_prompt, variables_sent

    candidate = version_of(context, name, version).candidate
    step = body.step or next(iter(candidate.prompts))
    if step not in candidate.prompts:
        raise Refused(404, "step_not_found", f"the prompt has the steps {', '.join(candidate.prompts)}")
    try:
        values: dict[str, Json] = {storable(key): plain(value) for key, value in body.variables.items()}
    except ValueError as error:
        raise Refused(422, "invalid", f"a value of a variable cannot be shown: {error}") from error
    prompt = candidate.prompts[step]
    messages = fill_prompt(prompt, values, candidate.demos_at(step))
    shown = [MessageText(role=one.role, content=one.content) for one in messages]
    return Rendered(step=step, messages=shown, used=sorted(variables_sent(prompt)))


@router.get("/prompts/{name:path}/versions/{version}", responses=answers(404))
def show_version(name: Name, version: Mark, context: Ctx, _caller: Reader) -> Version:
    """A version with its texts."""
    return detail_of(context, version_of(context, name, version))


@router.put("/prompts/{name:path}/aliases/{alias}", responses=answers(404, 413, 415))
async def set_alias(name: Name, alias: Alias, body: AliasRequest, context: Ctx, _caller: Runner) -> VersionHead:
    """Point an alias at a version, wherever it pointed before."""
    await run_in_threadpool(version_of, context, name, str(body.version))
    return VersionHead(**version_head(await context.store.set_alias(name, alias, body.version)))


@router.delete("/prompts/{name:path}/aliases/{alias}", status_code=204, responses=answers(404))
async def remove_alias(name: Name, alias: Alias, context: Ctx, _caller: Runner) -> Response:
    """Take an alias away; the version stays."""
    try:
        await context.store.remove_alias(name, alias)
    except UsageError as error:
        raise Refused(404, "alias_not_found", "this prompt has no such alias") from error
    return Response(status_code=204)
