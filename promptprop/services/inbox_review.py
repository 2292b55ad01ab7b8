"""Reviews through the store: a run shows its rewrite, and waits until somebody leaves a ruling in its inbox.

It does not wait for ever, since others want its worker: after a while it pauses with the rewrite still shown, and
whoever leaves the ruling lets it go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from promptprop.domain.errors import UsageError
from promptprop.domain.events import Estimate, RewriteReviewed
from promptprop.domain.models import Candidate, Json
from promptprop.domain.people import ENDINGS, ReviewRequest, Ruling, Wish, intervention_of
from promptprop.ports import Inbox
from promptprop.roles.rewriter import rewritten_prompts
from promptprop.services.mail import EVERY

PATIENCE = 120.0  # seconds for which a run keeps its worker while nobody rules


class InboxReviewer:
    """A person somewhere else. Waiting costs a look at the inbox every half second."""

    def __init__(
        self,
        inbox: Inbox,
        run_id: str,
        wait: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        patience: float = PATIENCE,
    ) -> None:
        """`wait` waits so many seconds for the next look; after `patience` seconds the run pauses."""
        self._inbox = inbox
        self._run_id = run_id
        self._wait = wait
        self._patience = patience
        self._shown = ""
        self._rests = False

    async def decide(self, request: ReviewRequest) -> Ruling:
        """Show the rewrite and wait for a ruling; `again` where something else has come in.

        Raises CancelledError where the run is to end, or to pause until there is a ruling.
        """
        ruling = Ruling("refuse")
        try:
            if self._shown != request.candidate.id:
                await self._inbox.show_review(self._run_id, review_json(request))
                self._shown = request.candidate.id
            ruling = await self._awaited(request)
        finally:
            if ruling.action != "again" and not self._rests:
                self._shown = ""
                await self._inbox.show_review(self._run_id, None)
        return ruling

    async def _awaited(self, request: ReviewRequest) -> Ruling:
        waited = 0.0
        while True:
            for wish in self._inbox.wishes(self._run_id):
                if wish.kind in ENDINGS:
                    raise asyncio.CancelledError
                if wish.kind != RewriteReviewed.kind or wish.body.get("candidate_id") != request.candidate.id:
                    return Ruling("again")
                try:
                    return _ruling_of(wish, request)
                except (UsageError, ValueError) as refused:
                    await self._inbox.settle_wish(wish.id, str(getattr(refused, "message", refused)))
            if waited >= self._patience:
                self._rests = True
                await self._inbox.leave_wish(self._run_id, "paused", {})
                raise asyncio.CancelledError
            await self._wait(EVERY)
            waited += EVERY


def _ruling_of(wish: Wish, request: ReviewRequest) -> Ruling:
    """Raises UsageError, ValueError where the ruling cannot stand."""
    word = intervention_of(wish.kind, wish.body)
    if not isinstance(word, RewriteReviewed):
        raise UsageError(f"{wish.kind} is no ruling")
    if unknown := sorted(set(word.prompts) - set(request.candidate.prompts)):
        raise UsageError(f"the program has no step {unknown[0]!r}")
    edited = rewritten_prompts(word.prompts, request.candidate.prompts)
    if word.action == "edit" and edited == dict(request.candidate.prompts):
        raise UsageError("the edit changes nothing")
    return Ruling(word.action, dict(word.prompts) or None, word.reason, wish=wish)


def review_json(request: ReviewRequest) -> dict[str, Json]:
    """What a person needs to see of a rewrite; the rows whose scores may be corrected are those of train and select."""
    return {
        "round": request.round,
        "candidate": _candidate_json(request.candidate),
        "parent": _candidate_json(request.parent),
        "critiques": [{"step": one.step, "cause": one.cause, "fix": one.fix} for one in request.critiques],
        "screened": _estimate_json(request.screened),
        "raced": _estimate_json(request.raced),
        "calls": request.spend.total.calls,
    }


def _candidate_json(candidate: Candidate) -> dict[str, Json]:
    hypothesis = {"kind": candidate.hypothesis.kind, "text": candidate.hypothesis.text}
    prompts = {step: prompt.text for step, prompt in candidate.prompts.items()}
    return {"id": candidate.id, "hypothesis": hypothesis, "length": candidate.length, "prompts": prompts}


def _estimate_json(estimate: Estimate) -> dict[str, Json]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n}
