"""The state of a search and its steps: each reads the round so far, does one thing, tells its facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from promptprop.domain import events as facts
from promptprop.domain.errors import UnusableReplies
from promptprop.domain.events import Event
from promptprop.domain.models import Candidate, Cell, Critique, Evaluation, Hypothesis, Json, Proposal, Row
from promptprop.domain.sampling import blocks, spread, stream
from promptprop.domain.selection import (
    FailedRow,
    choose_parent,
    cluster_failures,
    race_outcome,
)
from promptprop.domain.statistics import noise
from promptprop.optimizers.evidence import Evidence, critic_asks, failed_rows, rows_to_screen
from promptprop.optimizers.finish import hold_finish, longest_allowed
from promptprop.optimizers.propose import Child, plan_children, read_children, rewriter_asks
from promptprop.optimizers.scores import Scores, difference_of, mean_of
from promptprop.ports import Brief, Workbench

FRUITLESS = 3  # rounds in a row without one usable rewrite, after which the rewriter is called unusable
SAME = 1e-9  # scores that differ by less are equal
SUSPECT_AFTER = 3  # times a row was quoted to the critic and still failed with every candidate


class BackpropOptions(BaseModel):
    """Options of `backprop`; the defaults are first values, to be tuned by measurement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    children: int = Field(4, ge=1, le=16, description="Rewrites proposed in a round.")
    rounds: int = Field(12, ge=1, le=200, description="Rounds at most.")
    patience: int = Field(4, ge=1, le=50, description="Rounds without a promotion or a new best, after which it ends.")
    headroom_rows: int = Field(20, ge=2, le=500, description="Select rows on which the seed is scored twice first.")
    evidence_rows: int = Field(12, ge=3, le=500, description="Failures to gather before critiques are written.")
    critique_rows: int = Field(6, ge=1, le=30, description="Failures that one critique sees at most.")
    screen_rows: int = Field(6, ge=1, le=100, description="Rows its parent failed, and as many it passed, per screen.")
    survivors: int = Field(3, ge=1, le=16, description="Children that go from the screen into the race at most.")
    race_block: int = Field(12, ge=2, le=500, description="Fresh select rows a block of the race.")
    promote: float = Field(0.85, gt=0.5, lt=1, description="Chance of being better that promotes a child.")
    drop: float = Field(0.2, gt=0, lt=0.5, description="Chance of being better below which a child is dropped.")
    explore: float = Field(0.2, ge=0, le=1, description="Chance of a Pareto winner as the parent.")
    passing: float = Field(0.9, gt=0, le=1, description="Scores from here on are no failures.")
    longest: int = Field(6000, ge=200, le=200_000, description="Characters of a candidate at most (or 3 × the seed).")
    shortlist: int = Field(3, ge=1, le=10, description="Candidates that meet the confirm rows at most.")


@dataclass(slots=True)
class Round:
    """What the steps of one round hand on to each other."""

    parent: Candidate
    evidence: Evidence
    clusters: list[list[FailedRow]] = field(default_factory=list)
    critiques: list[tuple[Critique, ...]] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    survivors: list[Child] = field(default_factory=list)
    promoted: list[Child] = field(default_factory=list)


class Search:
    """The archive, the scores, the memory of what was tried, and the steps of a round."""

    def __init__(self, brief: Brief, bench: Workbench, options: BackpropOptions) -> None:
        """Begin with the seeds alone."""
        self.brief = brief
        self.bench = bench
        self.options = options
        self.scores = Scores()
        self.archive: dict[str, Candidate] = {}
        self.known: set[str] = set()
        self.tried: list[dict[str, Json]] = []
        self.odds: dict[str, tuple[int, int]] = {}
        self.quoted: dict[str, int] = {}
        self.suspects: set[str] = set()
        self.round = 0
        self.idle = 0
        self.best_id = brief.seeds[0].id
        self.fruitless = 0
        self.ended = ""
        self.last_problem = ""
        self.longest = longest_allowed(options.longest, brief)
        self.track = blocks(brief.select, options.race_block, brief.seed, "race")
        self.now = Round(brief.seeds[0], Evidence())
        self._facts: list[Event] = []

    @property
    def seed(self) -> Candidate:
        """The first seed: what every claim is measured against."""
        return self.brief.seeds[0]

    def _hold(self) -> None:
        known = (*self.archive.values(), *(child.candidate for child in self.now.children))
        hold_finish(self.bench, self.brief, self.options.shortlist, known)

    def tell(self, event: Event) -> None:
        """Note a fact; the optimizer yields it when the step is over."""
        self._facts.append(event)

    def told(self) -> list[Event]:
        """The facts since the last time asked."""
        told, self._facts = self._facts, []
        return told

    async def set_up(self) -> None:
        """Keep the seeds, and measure headroom: the first seed twice on a sample of select."""
        for candidate in self.brief.seeds:
            if candidate.id not in self.archive:
                await self._keep(Proposal(candidate), round_=0)
                self.archive[candidate.id] = candidate
        self._hold()
        count = min(self.options.headroom_rows, len(self.brief.select))
        sample = spread(self.brief.select, count, stream(self.brief.seed, "headroom"))
        first = [Cell(self.seed, row.id) for row in sample]
        again = [Cell(self.seed, row.id, replicate=1) for row in sample]
        evaluations = await self.bench.evaluate([*first, *again])
        self.scores.take(evaluations[: len(sample)])
        self._measure(evaluations[: len(sample)], evaluations[len(sample) :])
        await self.scores.fill(self.bench, self.brief.seeds[1:], sample)

    def _measure(self, first: Sequence[Evaluation], again: Sequence[Evaluation]) -> None:
        """Headroom from two answers a row; rows without both scores are left out."""
        pairs = [
            (one.score, two.score)
            for one, two in zip(first, again, strict=True)
            if one.score is not None and two.score is not None
        ]
        failing = sum(1 for one, two in pairs if min(one, two) < self.options.passing)
        silent = not any(evaluation.output.strip() for evaluation in (*first, *again))
        finding: Literal["room", "perfect", "hopeless"] = (
            "hopeless" if silent or not pairs else "room" if failing else "perfect"
        )
        before, after = [one for one, _ in pairs], [two for _, two in pairs]
        self.tell(
            facts.HeadroomMeasured(
                score=mean_of(before),
                noise=noise(before, after),
                flipped=sum(1 for one, two in pairs if abs(one - two) > SAME),
                failing=failing,
                finding=finding,
            )
        )
        self.ended = "" if finding == "room" else finding

    def reason_to_stop(self) -> str:
        """Why the loop ends here, or nothing to go on."""
        if self.ended:
            return self.ended
        if self.fruitless >= FRUITLESS:
            if len(self.known) > len({seed.id for seed in self.brief.seeds}):
                return "unusable replies"  # what was found before is worth its confirmation
            raise UnusableReplies(
                f"no readable rewrite in {FRUITLESS} rounds; the last reply was refused because: {self.last_problem}",
                remedy="give models.rewriter a model that can follow the reply format, or raise its max_tokens",
            )
        if self.round >= self.options.rounds:
            return "rounds"
        return "no promotion" if self.idle >= self.options.patience else ""

    def begin_round(self) -> None:
        """1 parent: mostly the best lower bound, at times a Pareto winner on some rows."""
        self.round += 1
        standings = [self.scores.standing(candidate, self.brief.select) for candidate in self.archive.values()]
        numbers = {name: self.scores.numbers(name, self.brief.select) for name in self.archive}
        rng = stream(self.brief.seed, self.round, "parent")
        parent, reason = choose_parent(rng, standings, numbers, self.options.explore)
        self.now = Round(self.archive[parent], Evidence())
        self.tell(facts.RoundStarted(self.round, parent, reason))

    async def gather_evidence(self) -> None:
        """2 evidence: the parent's failures on train; fresh rollouts only while they are too few."""
        order = [row for block in blocks(self.brief.train, 24, self.brief.seed, "evidence") for row in block]
        parent = self.now.parent
        while True:
            evidence = failed_rows(self.scores, self.bench, parent, order, self.options.passing, self.suspects)
            fresh = self.scores.unmet(parent.id, order)[:24]
            if len(evidence.failures) >= self.options.evidence_rows or not fresh:
                break
            await self.scores.fill(self.bench, [parent], fresh)
        self.now.evidence = evidence
        self._suspect(evidence)
        if not evidence.failures:
            self.ended = "no failures left"

    def _suspect(self, evidence: Evidence) -> None:
        """Rows that were quoted time and again and that every candidate still fails: report, do not learn."""
        found = [
            failure.example_id
            for failure in evidence.failures
            if self.quoted.get(failure.example_id, 0) >= SUSPECT_AFTER
            and len(met := self.scores.met_by(failure.example_id)) > SUSPECT_AFTER
            and all((one.score or 0.0) < self.options.passing for one in met)
        ]
        if found:
            self.suspects.update(found)
            self.tell(facts.LabelsSuspected(self.round, tuple(sorted(found))))
            evidence.failures[:] = [row for row in evidence.failures if row.example_id not in self.suspects]

    async def criticise(self) -> None:
        """3 backward: failures are clustered by cause, and the critic sees a few of one cause with some contrast."""
        failures = self.now.evidence.failures
        if not failures:
            return
        clusters = cluster_failures(failures, self.options.critique_rows)[: max(2, self.options.children)]
        for failure in (row for cluster in clusters for row in cluster):
            self.quoted[failure.example_id] = self.quoted.get(failure.example_id, 0) + 1
        asks = critic_asks(self.brief, self.now.parent, clusters, self.now.evidence.successes, self.round)
        answers = await self.bench.ask(asks)
        written = [
            (cluster, answer.value)
            for cluster, answer in zip(clusters, answers, strict=True)
            if answer.value is not None
        ]
        self.now.clusters = [cluster for cluster, _ in written]
        self.now.critiques = [critiques for _, critiques in written]
        self.tell(
            facts.CritiquesWritten(
                self.round, len(failures), len(clusters), sum(len(one) for _, one in written), len(asks) - len(written)
            )
        )

    async def propose(self) -> None:
        """4 propose: several children, each one labelled hypothesis; refused ones cost no task call."""
        if not self.now.evidence.failures:
            return
        rng = stream(self.brief.seed, self.round, "kinds")
        plans = plan_children(rng, self.now, self.odds, self.options.children, self.seed.length)
        asks = rewriter_asks(self.brief, self.now, plans, self.tried, self.longest, self.round)
        answers = await self.bench.ask(asks)
        train = [str(value) for row in self.now.evidence.failures for value in row.inputs.values()]
        children, refused = read_children(self.now.parent, plans, answers, self.known, train)
        for kind, reason in refused:
            self.last_problem = reason
            self._count_kind(kind, promoted=False)
            self.tell(facts.ProposalDropped(self.round, kind, reason))
        for child in children:
            await self._keep(Proposal(child.candidate, child.plan.critiques), self.round)
        self.now.children = children
        readable = any(answer.value is not None for answer in answers)
        self.fruitless = 0 if readable else self.fruitless + 1

    async def _keep(self, proposal: Proposal, round_: int) -> None:
        candidate = proposal.candidate
        self.known.add(candidate.id)
        await self.bench.keep(proposal)
        hypothesis: Hypothesis = candidate.hypothesis
        self.tell(
            facts.CandidateProposed(
                round_, candidate.id, candidate.parents, hypothesis.kind, hypothesis.text, candidate.length
            )
        )

    async def screen(self) -> None:
        """5 screen: each child on a few rows its parent failed and a few it passed, against cached parent scores."""
        chosen: list[tuple[Child, list[Row]]] = [
            (child, rows_to_screen(self.now.evidence, child.plan.cluster, self.brief.train, self.options.screen_rows))
            for child in self.now.children
        ]
        cells = [Cell(child.candidate, row.id) for child, rows in chosen for row in rows]
        if not cells:
            return
        self._hold()
        for child, rows in chosen:
            child.screened_on = rows
        await self.scores.fill_cells(self.bench, cells)
        ranked = []
        for child, rows in chosen:
            before, after, _ = self.scores.pairs(self.now.parent.id, child.candidate.id, rows)
            child.gain = sum(after) - sum(before)
            shorter = child.candidate.length < self.now.parent.length * 0.9
            if child.gain > 1e-9 or (shorter and child.gain > -1e-9):
                ranked.append(child)
            child.delta = difference_of(before, after)
        ranked.sort(key=lambda child: (-child.gain, child.candidate.length, child.candidate.id))
        self.now.survivors = ranked[: self.options.survivors]
        for child, _ in chosen:
            kept = child in self.now.survivors
            self.tell(facts.CandidateScreened(self.round, child.candidate.id, child.delta, kept))

    async def race(self) -> None:
        """6 race: survivors on fresh select rows in blocks, common order, only missing cells evaluated."""
        running = list(self.now.survivors)
        parent = self.now.parent
        met: list[Row] = []
        for number, block in enumerate(self.track, start=1):
            if not running:
                break
            await self.scores.fill(self.bench, [parent, *(child.candidate for child in running)], block)
            met.extend(block)
            for child in running:
                self._judge(child, met, at_cap=number == len(self.track))
            running = [child for child in running if child.outcome is None]

    def _judge(self, child: Child, met: Sequence[Row], *, at_cap: bool) -> None:
        """Compare a child with its parent on the rows met so far."""
        parent, options = self.now.parent, self.options
        before, after, _ = self.scores.pairs(parent.id, child.candidate.id, met)
        child.delta = difference_of(before, after)
        child.outcome = race_outcome(
            before,
            after,
            shorter=child.candidate.length < parent.length * 0.9,
            at_cap=at_cap,
            promote=options.promote,
            drop=options.drop,
        )
        if child.outcome is None:
            return
        if child.outcome != "dropped":
            self.archive[child.candidate.id] = child.candidate
        if child.outcome == "promoted":
            self.now.promoted.append(child)
        self.tell(facts.CandidateRaced(self.round, child.candidate.id, parent.id, child.delta, child.outcome))

    async def learn(self) -> None:
        """7 learn: memory of what was tried with its effect, odds of each kind, and whether the search still moves."""
        for child in self.now.children:
            won = child in self.now.promoted
            self._count_kind(child.plan.kind, promoted=won)
            self.tried.append(
                {
                    "kind": child.plan.kind,
                    "hypothesis": child.candidate.hypothesis.text,
                    "delta": round(child.delta.mean, 3),
                    "se": round(child.delta.half_width / 2, 3),
                    "kept": won,
                }
            )
        best = self._best()
        self.idle = 0 if self.now.promoted or best.id != self.best_id else self.idle + 1
        self.best_id = best.id
        numbers = self.scores.numbers(best.id, self.brief.select)
        self.tell(facts.RoundEnded(self.round, best.id, mean_of(numbers.values()), len(self.now.promoted)))

    def _count_kind(self, kind: str, *, promoted: bool) -> None:
        won, tried = self.odds.get(kind, (0, 0))
        self.odds[kind] = (won + promoted, tried + 1)

    def _best(self) -> Candidate:
        standings = [self.scores.standing(candidate, self.brief.select) for candidate in self.archive.values()]
        best = max(standings, key=lambda standing: (standing.lower, -standing.length, standing.candidate_id))
        return self.archive[best.candidate_id]

    def shortlist(self) -> list[Candidate]:
        """The best of the archive by lower bound, the first seed apart.

        Where the budget cut a race short, children that were in it stand behind those that met more rows.
        """
        rivals = dict(self.archive)
        for child in self.now.survivors:
            if child.outcome is None and child.delta.mean >= 0:
                rivals[child.candidate.id] = child.candidate
        rivals.pop(self.seed.id, None)
        ranked = sorted(
            rivals.values(), key=lambda one: (-self.scores.standing(one, self.brief.select).lower, one.length, one.id)
        )
        return ranked[: self.options.shortlist]
