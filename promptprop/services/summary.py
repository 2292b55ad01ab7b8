"""The summary of a run that its row keeps, so that lists need not fold its events."""

from __future__ import annotations

from promptprop.domain import events as facts
from promptprop.domain.history import History
from promptprop.domain.models import Json


def summary_of(history: History) -> dict[str, Json]:
    """Verdict, score and the split that it is on, gain, rounds and spend."""
    total = history.spend.total
    scores: dict[str, facts.Estimate] = dict(history.record(history.best_id).scores)
    if history.test:
        scores = {"test": history.test.winner}
    elif history.trajectory and (not scores or "select" in scores):
        scores = {"select": history.trajectory[-1].score}
    split = next(iter(scores), "select")
    return {
        "verdict": history.test.verdict if history.test else history.looks[-1].verdict if history.looks else None,
        "score": scores[split].mean if split in scores and scores[split].n else None,
        "on": split,
        "delta": history.test.delta.mean if history.test and history.test.delta.n else None,
        "rounds": len(history.trajectory),
        "scored": sum(1 for one in history.candidates.values() if one.scores or one.screened or one.raced),
        "calls": total.calls,
        "tokens": total.tokens,
        "picousd": total.picousd,
        "unpriced": history.spend.unpriced,
        "simulated": history.simulated,
        "opened": history.sealed if history.test else None,
    }
