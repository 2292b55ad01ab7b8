"""What a run has measured and found."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import httpx

from promptprop.client.call import Call, Listing, Page, as_text, given, json_of, listing, path, reads
from promptprop.client.decoding import decoded
from promptprop.client.values import Answer, Candidate, CandidateDetail, Difference, JsonObject, MatrixRow, RowAnswers

Split = Literal["train", "select", "test"]
ExportFormat = Literal["json", "yaml", "python", "markdown", "txt"]


def evaluations(
    run: str,
    *,
    candidate: str | None = None,
    row: str | None = None,
    split: Split | None = None,
    only_missing: bool = False,
) -> Listing[Answer]:
    """The answers of a run with their scores; `only_missing` are those without one."""
    missing = True if only_missing else None
    where = path("runs", run, "evaluations")
    return listing(Answer, where, candidate=candidate, row=row, split=split, only_missing=missing, limit=200)


def row(run: str, row_id: str) -> Listing[RowAnswers]:
    """All answers to a row, candidate by candidate, with what was asked."""
    return listing(RowAnswers, path("runs", run, "rows", row_id))


def matrix(run: str, *, split: Split | None = None) -> Listing[MatrixRow]:
    """The mean score of each candidate on each row: a heat map."""

    def read(response: httpx.Response) -> Page[MatrixRow]:
        body = json_of(response)
        rows = [{**one, "scores": dict(zip(body["candidates"], one["scores"], strict=True))} for one in body["rows"]]
        return Page(decoded(tuple[MatrixRow, ...], rows, "$.rows"), body.get("next_cursor"))

    found = listing(MatrixRow, path("runs", run, "matrix"), split=split, limit=500)
    return replace(found, first=replace(found.first, read=read))


def candidates(run: str) -> Listing[Candidate]:
    """The candidates of a run, in the order in which they were proposed."""
    return listing(Candidate, path("runs", run, "candidates"), limit=200)


def candidate(run: str, candidate_id: str) -> Call[CandidateDetail]:
    """One candidate with its texts; `seed`, `best` and `winner` are names, too."""
    return Call("GET", path("runs", run, "candidates", candidate_id), reads(CandidateDetail), repeatable=True)


def diff(run: str, before: str = "seed", after: str = "winner") -> Call[Difference]:
    """What changed between two candidates of a run."""
    params = {"from": before, "to": after}
    return Call("GET", path("runs", run, "diff"), reads(Difference), params, repeatable=True)


def report(run: str) -> Call[JsonObject]:
    """The report of a run as a document."""
    return Call("GET", path("runs", run, "report"), json_of, {"format": "json"}, repeatable=True)


def report_markdown(run: str) -> Call[str]:
    """The report of a run as Markdown."""
    return Call("GET", path("runs", run, "report"), as_text, {"format": "md"}, repeatable=True)


def export(run: str, form: ExportFormat = "json", *, candidate: str | None = None) -> Call[str]:
    """A candidate as a file for others to use: the winner unless another is named."""
    params = given(format=form, candidate=candidate)
    return Call("GET", path("runs", run, "export"), as_text, params, repeatable=True)


def compare(before: str, after: str, *, split: Split | Literal["all"] | None = None) -> Call[JsonObject]:
    """Which of two prompts is better by answers on record: NAME@VERSION, RUN:seed, RUN:winner. No model is called."""
    return Call("GET", path("compare"), json_of, given(a=before, b=after, split=split), repeatable=True)
