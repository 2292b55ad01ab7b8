"""`backprop`, the flagship: textual gradients from clustered failures, labelled children, screen, race, proof."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from promptprop.domain.errors import BudgetSpent
from promptprop.domain.events import Event
from promptprop.optimizers.finish import end_search, finish_size
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.search import Search
from promptprop.ports import Brief, Shape, Workbench


class Backprop:
    """The loop of algorithm.md: parent, evidence, backward, propose, screen, race, learn; then FINISH."""

    Options = BackpropOptions

    def __init__(self, options: BackpropOptions) -> None:
        """Take the options."""
        self.options = options

    async def run(self, brief: Brief, workbench: Workbench) -> AsyncGenerator[Event, None]:
        """Search, then FINISH. Raises BudgetSpent where FINISH cannot be paid, UnusableReplies, TooManyErrors."""
        search = Search(brief, workbench, self.options)
        try:
            await search.set_up()
            for event in search.told():
                yield event
            while not (reason := search.reason_to_stop()):
                search.begin_round()
                for step in (
                    search.gather_evidence,
                    search.criticise,
                    search.propose,
                    search.screen,
                    search.race,
                    search.learn,
                ):
                    await step()
                    for event in search.told():
                        yield event
        except BudgetSpent as spent:
            reason = spent.cap
        for event in search.told():
            yield event
        ending = end_search(brief, workbench, search.scores, search.shortlist(), reason, search.round)
        async with aclosing(ending) as claims:
            async for event in claims:
                yield event

    def shape(self, brief: Brief) -> Shape:
        """How it will spend: half of the race is usually saved by early drops and cached cells."""
        options = self.options
        critiques = -(-options.causes // options.causes_a_critique)
        screened = min(options.bundle * options.screen_rows, options.screen_most) + options.passed_rows
        track = min(options.race_blocks * options.race_block, len(brief.select))
        survivors = min(options.survivors, options.children)
        seeds = len(brief.unique_seeds) + brief.drafts
        most_children = options.children + options.widen
        return Shape(
            set_up=(seeds if seeds > 1 else 0) * track
            + min(options.headroom_rows, len(brief.select))
            + min(options.headroom_again, len(brief.select)),
            each_round=options.children * screened + survivors * track // 2,
            role_calls=critiques + options.children * options.passes,
            finish=finish_size(brief, options.shortlist),
            rounds=options.rounds,
            most_each_round=len(brief.train) * (1 + most_children)
            + (1 + min(options.survivors, most_children)) * track,
            # a rewrite may be followed by one that consolidates, and every reply by a repair
            most_role_calls=2 * (critiques + most_children * (options.passes + 1)),
        )
