"""Merges: a child that says what its parent says and what another good prompt has learned beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptprop.domain.models import Candidate, Prompt, Row
from promptprop.domain.selection import FailedRow
from promptprop.optimizers.archive import Archive
from promptprop.optimizers.propose import Plan
from promptprop.optimizers.rewriting import with_lost_lines
from promptprop.optimizers.scores import Scores
from promptprop.roles.rewriter import rewritten_prompts

SAME = 0.9  # of a line's words, from which on the parent says it already
LEAST_WINS = 1.0  # of score in all, over the rows that both have met, that makes a partner


def merge_plan(
    archive: Archive, scores: Scores, parent: Candidate, rows: Sequence[Row], failures: Sequence[FailedRow]
) -> Plan | None:
    """The parent with what its best partner has learned; None where there is no partner.

    A partner is in the archive, on another line than the parent, and scores more on some rows; the one that wins most
    on them is taken. What both lines changed since their last common ancestor stays, and no rewriter is asked.
    """
    line = archive.lineage(parent)
    ancestors = {one.id for one in line}
    partners = []
    for name, member in archive.members.items():
        if name in ancestors or any(one.id == parent.id for one in archive.lineage(member)):
            continue
        before, after, _ = scores.pairs(parent.id, name, rows)
        wins = sum(max(0.0, two - one) for one, two in zip(before, after, strict=True))
        if wins >= LEAST_WINS:
            partners.append((-wins, member.length, name))
    if not partners:
        return None
    partner = archive.members[min(partners)[2]]
    common = next((one for one in archive.lineage(partner) if one.id in ancestors), None)
    texts = merged_texts(common, parent, partner)
    known = scores.numbers(partner.id, rows)
    better = tuple(row for row in failures if known.get(row.example_id, 0.0) > 1.0 - row.shortfall)
    said = f"Takes in what candidate {partner.id[:8]} has learned beside it."
    return Plan("merge", texts=texts, own=better, partner=partner.id, said=said)


def merged_texts(common: Candidate | None, parent: Candidate, partner: Candidate) -> Mapping[str, Prompt]:
    """Both sides' changes since their common ancestor, step by step.

    A step that only one side has changed is taken from there. Where both have, the parent's text gets the lines that
    the partner added and the parent does not say; what the parent dropped stays dropped.
    """
    texts = {}
    for step, prompt in parent.prompts.items():
        other = partner.prompts[step].text
        before = common.prompts[step].text if common else ""
        if prompt.text == before:
            texts[step] = other
        elif other == before:
            texts[step] = prompt.text
        else:
            dropped = set(before.split("\n")) - set(prompt.text.split("\n"))
            added = "\n".join(line for line in other.split("\n") if line not in dropped)
            texts[step] = with_lost_lines(added, prompt.text, (), kept=SAME, least=1)
    return rewritten_prompts(texts, parent.prompts)
