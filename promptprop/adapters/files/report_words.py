"""What a report says in words and figures: the same on a terminal, in Markdown and in logs. Pure texts, no colours."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from promptprop.domain.breakdown import Steadiness
from promptprop.domain.budget import RoleSpend
from promptprop.domain.events import Estimate
from promptprop.domain.history import CandidateRecord, History
from promptprop.domain.models import PICO, Json
from promptprop.domain.report import Report

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SEARCH_ENDS = {
    "rounds": "all rounds of the optimizer's options were run",
    "perfect": "the seed failed no row of the sample: there is nothing to gain",
    "hopeless": "the model gave no usable answer to the seed: mend the prompt, the model or max_tokens first",
    "no failures left": "the best prompt fails none of the rows it could still learn from",
    "expected value": "the next rounds were expected to gain less than `least_gain` asks for",
    "no usable rewrite": "the rewriter gave no usable rewrite",
    "the rewrite repeats a known prompt": "the rewriter repeated a prompt that was known already",
    "done": "everything asked for was done",
}
_CAPS = {"calls": "calls", "tokens": "tokens", "usd": "money", "seconds": "time"}


def score(estimate: Estimate | None) -> str:
    """A score with its interval, or a dash where there is none or no row has one.

    >>> score(Estimate(0.93671, 0.8602, 0.9727, 79)), score(Estimate(0, 0, 1, 0))
    ('0.937 [0.86, 0.97]', '–')
    """
    if estimate is None or not estimate.n:
        return "–"
    return f"{estimate.mean:.3f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def points(difference: float) -> str:
    """A difference of scores in points, with its sign.

    >>> points(0.58227), points(-0.0001)
    ('+58.2', '0.0')
    """
    rounded = round(difference * 100, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def gain(estimate: Estimate | None) -> str:
    """A difference in points with its interval, or a dash where there is none or no row has one.

    >>> gain(Estimate(0.58227, 0.4665, 0.698, 79))
    '+58.2 [46.7, 69.8]'
    """
    if estimate is None or not estimate.n:
        return "–"
    return f"{points(estimate.mean)} [{estimate.low * 100:.1f}, {estimate.high * 100:.1f}]"


def money(picousd: int) -> str:
    """An amount in USD for people: cents, or two digits that say something where it is less.

    >>> money(1_234_500_000_000), money(4_560_000_000), money(0)
    ('$1.23', '$0.0046', '$0')
    """
    return dollars(Decimal(picousd) / PICO)


def spent(picousd: int, unpriced: int) -> str:
    """Money that was spent: at least so much, or a dash, where calls have no known price.

    >>> spent(0, 3), spent(0, 0), spent(4_560_000_000, 1)
    ('–', '$0', '≥ $0.0046')
    """
    if not unpriced:
        return money(picousd)
    return f"≥ {money(picousd)}" if picousd else "–"


def paid(spend: RoleSpend) -> str:
    """What calls beside a search took.

    >>> paid(RoleSpend(calls=2, picousd=4_560_000_000)), paid(RoleSpend(calls=1, unpriced=1)), paid(RoleSpend(hits=3))
    ('2 calls, $0.0046', '1 call of unknown price', 'all of it on record, free')
    """
    if not spend.calls:
        return "all of it on record, free" if spend.hits else "no call"
    known = spend.picousd or not spend.unpriced
    price = f", {spent(spend.picousd, spend.unpriced)}" if known else " of unknown price"
    return counted(spend.calls, "call") + price


def unknown_spend(picousd: int, unpriced: int) -> str:
    """What stands below the money spent where some calls have no known price.

    >>> unknown_spend(4_560_000_000, 3), unknown_spend(0, 1)
    ('at least $0.0046 + 3 calls of unknown price', '1 call of unknown price, not in the money')
    """
    calls = f"{counted(unpriced, 'call')} of unknown price"
    return f"at least {money(picousd)} + {calls}" if picousd else f"{calls}, not in the money"


def dollars(amount: Decimal) -> str:
    """The same for an amount that is a Decimal already."""
    if not amount:
        return "$0"
    if amount >= Decimal("0.1"):
        return f"${amount:,.2f}"
    return f"${amount.quantize(Decimal(1).scaleb(amount.adjusted() - 1)):f}"


def duration(seconds: float) -> str:
    """Minutes and seconds, hours where there are any.

    >>> duration(62.7), duration(3723)
    ('1:02', '1:02:03')
    """
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def p_value(value: float) -> str:
    """A p-value without false precision."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def number(count: int) -> str:
    """Small numbers as words."""
    return _NUMBERS[count] if 0 <= count < len(_NUMBERS) else f"{count:,}"


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def caps_text(budget: Mapping[str, Json]) -> str:
    """The caps of a budget in a line; `none` where there is none."""
    parts = []
    if budget.get("calls") is not None:
        parts.append(f"{budget['calls']:,} calls")
    if budget.get("tokens") is not None:
        parts.append(f"{budget['tokens']:,} tokens")
    if budget.get("usd") is not None:
        parts.append(dollars(Decimal(str(budget["usd"]))))
    if budget.get("seconds") is not None:
        seconds = budget["seconds"]
        parts.append(f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s")
    return " · ".join(parts) or "none"


def verdict_sentence(report: Report) -> str:
    """What may be claimed, in one sentence that begins with the verdict."""
    delta = report.delta
    if report.verdict == "untested" or delta is None:
        why = "the sealed test was not opened" if report.history.rows.get("test", 1) else "no row is held out"
        return f"untested: {why}, so nothing is claimed"
    if report.verdict == "unchanged":
        if len(report.history.candidates) == 1:
            return "unchanged: the search came to no rewrite, so the seed stays"
        return "unchanged: no rewrite held up on rows that the search had not seen, so the seed stays"
    figures = f"{points(delta.mean)} points [{delta.low * 100:.1f}, {delta.high * 100:.1f}]"
    return f"{report.verdict}: {figures} on {counted(delta.n, 'sealed row')}"


def stop_sentence(history: History) -> str:
    """Why the run is no longer running."""
    if history.status == "running":
        return "the run is still going on, or its process was killed"
    if history.stopped:
        said = {
            "interrupted": "it was interrupted",
            "paused": "it was paused",
            "cancelled": "it was cancelled",
            "budget": "the budget was spent",
            "errors": "too many rows failed",
        }
        reason = said.get(history.stop_reason, history.stop_reason)
        return f"{reason}: {history.detail}" if history.detail else reason
    reason = history.search_ended or history.stop_reason
    if reason == "no promotion":
        idle = 0
        for ended in reversed(history.trajectory):
            if ended.promoted:
                break
            idle += 1
        return f"{number(idle)} round{'' if idle == 1 else 's'} without a promotion"
    if reason in _CAPS:
        cap = caps_text({reason: history.budget.get(reason)})
        return f"the budget of {_CAPS[reason]} ({cap}) left no room for another step; its reserve paid the confirmation"
    return _SEARCH_ENDS.get(reason, reason)


def shortened(text: str, letters: int) -> str:
    """One line of at most so many letters, cut at a word.

    >>> shortened("the quick brown fox", 12)
    'the quick …'
    """
    line = " ".join(text.split())
    if len(line) <= letters:
        return line
    return line[: letters - 1].rsplit(" ", 1)[0] + " …"


def hypothesis_text(record: CandidateRecord) -> str:
    """A candidate's hypothesis: its kind, and one line of text."""
    return f"{record.hypothesis}: {' '.join(record.summary.split())}"


def screening_sentence(history: History) -> str:
    """What screens and races saved, or nothing where no child was tried."""
    screening = history.screening
    if not screening.children or not screening.full_pass:
        return ""
    met, full = screening.rows, screening.full_pass
    return (
        f"{counted(screening.children, 'child') if screening.children == 1 else f'{screening.children:,} children'} "
        f"screened and raced on {counted(met, 'row')}; a full pass over select each: {full:,} "
        f"({round(100 * met / full)} %)"
    )


def origin_sentence(report: Report) -> str:
    """Which of several seeds the winner grew from; nothing where there was but one."""
    seeds = report.history.seeds
    if len(seeds) < 2:
        return ""
    origin = report.history.origin(report.winner.id)
    place = next((number for number, seed in enumerate(seeds, start=1) if seed.id == origin.id), 0)
    drafted = " (drafted)" if origin.hypothesis == "draft" else ""
    return f"the winner grew from seed {place} of {len(seeds)}{drafted}" if place else ""


def looks_sentence(history: History) -> str:
    """That the sealed rows were no longer sealed, where earlier runs had opened them; else nothing.

    >>> looks_sentence(History(earlier_looks=("a" * 32,)))
    'a second look: run aaaaaaaa had opened the same sealed rows, so the interval says too little of the doubt'
    """
    earlier = history.earlier_looks
    if not earlier:
        return ""
    which = f"run {earlier[0][:8]}" if len(earlier) == 1 else f"{len(earlier)} runs, the first {earlier[0][:8]},"
    look = "a second look" if len(earlier) == 1 else f"look {len(earlier) + 1}"
    return f"{look}: {which} had opened the same sealed rows, so the interval says too little of the doubt"


def noise_sentence(steadiness: Steadiness) -> str:
    """How many rows flip from answer to answer; nothing where no row was answered twice.

    >>> noise_sentence(Steadiness(rows=200, flipping=11, differing=30))
    '11 of 200 rows (5.5 %) flip: their answers do not all score the same; 30 (15.0 %) differ in words'
    """
    rows = steadiness.rows
    if not rows:
        return ""
    share, differing = 100 * steadiness.flipping / rows, 100 * steadiness.differing / rows
    flips = "flips: its" if steadiness.flipping == 1 else "flip: their"
    return (
        f"{steadiness.flipping:,} of {counted(rows, 'row')} ({share:.1f} %) {flips} answers do not all score the same; "
        f"{steadiness.differing:,} ({differing:.1f} %) differ in words"
    )


def people_sentence(history: History) -> str:
    """What people decided during the run; nothing where they let it go on."""
    actions = [review.action for review in history.reviews]
    words = {"approve": "approved", "edit": "edited", "refuse": "refused"}
    said = [f"{counted(actions.count(name), 'rewrite')} {word}" for name, word in words.items() if name in actions]
    said += [f"{counted(len(history.overrides), 'score')} corrected"] if history.overrides else []
    said += [f"{counted(len(history.notes), 'note')} left"] if history.notes else []
    return f"by people: {', '.join(said)}" if said else ""
