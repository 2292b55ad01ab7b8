"""The state of a search and its steps: each reads the round so far, does one thing, tells its facts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from promptprop.domain import events as facts
from promptprop.domain.errors import UnusableReplies
from promptprop.domain.events import Event
from promptprop.domain.models import Candidate, Hypothesis, Json, Proposal, Row
from promptprop.domain.people import ReviewRequest, Ruling
from promptprop.domain.sampling import blocks, stream
from promptprop.domain.selection import Belief, choose_parent, cluster_failures
from promptprop.optimizers.archive import Archive
from promptprop.optimizers.demos import demo_plan
from promptprop.optimizers.evidence import Evidence, critic_asks, evidence_wanted, failed_rows
from promptprop.optimizers.finish import hold_finish, longest_allowed, proposed
from promptprop.optimizers.fixes import Cause, Fix, Pool, fixes_of
from promptprop.optimizers.merge import merge_plan
from promptprop.optimizers.opening import draft_seeds, measure_headroom, race_seeds
from promptprop.optimizers.options import BackpropOptions
from promptprop.optimizers.pace import Pace
from promptprop.optimizers.propose import Child, Plan, plan_children, read_children, refused_line, tried_lines
from promptprop.optimizers.race import Runner, race
from promptprop.optimizers.rewriting import Rewriting
from promptprop.optimizers.scores import Scores, mean_of
from promptprop.optimizers.screen import Screen
from promptprop.ports import Brief, Workbench
from promptprop.roles.rewriter import rewritten_prompts

FRUITLESS = 3  # rounds in a row without one usable rewrite, after which the rewriter is called unusable
SUSPECT_AFTER = 5  # times a row was quoted to the critic and still failed with every candidate
EVIDENCE_BLOCK = 20  # fresh rollouts at a time


@dataclass(slots=True)
class Round:
    """What the steps of one round hand on to each other."""

    parent: Candidate
    asked_before: int = 0  # rows answered before it began
    evidence: Evidence = field(default_factory=Evidence)
    bundles: list[list[Fix]] = field(default_factory=list)
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
        self.archive = Archive(brief.seeds[0])
        self.pool = Pool(float(options.bundle))
        self.tried: list[dict[str, Json]] = []
        self.odds: dict[str, tuple[int, int]] = {}
        self.quoted: dict[str, int] = {}
        self.suspects: set[str] = set()
        self.mended: dict[str, list[str]] = {}
        self.round = 0
        self.idle = 0
        self.fruitless = 0
        self.failing = 1.0
        self.pace = Pace()
        self.wanted = evidence_wanted(bench.budget, options)
        self.ended = ""
        self.last_problem = ""
        self.longest = longest_allowed(options.longest, brief)
        self.track = blocks(brief.select, options.race_block, brief.seed, "race")
        self.order = [row for block in blocks(brief.train, EVIDENCE_BLOCK, brief.seed, "evidence") for row in block]
        self.train = {row.id: row for row in brief.train}
        self.now = Round(brief.seeds[0])
        self._facts: list[Event] = []

    @property
    def seed(self) -> Candidate:
        """The first seed: what every claim is measured against."""
        return self.brief.seeds[0]

    @property
    def _passing(self) -> float:
        return self.scores.passing(self.options.passing)

    def _hold(self, more: Sequence[Candidate] = ()) -> None:
        known = (*self.archive.members.values(), *(child.candidate for child in self.now.children), *more)
        hold_finish(self.bench, self.brief, self.options.shortlist, known)

    def tell(self, event: Event) -> None:
        """Note a fact; the optimizer yields it when the step is over."""
        self._facts.append(event)

    def told(self) -> list[Event]:
        """The facts since the last time asked."""
        told, self._facts = self._facts, []
        return told

    async def set_up(self) -> None:
        """Keep the seeds, draft some where asked to, race them, and measure the headroom of the best."""
        seeds = self.brief.unique_seeds
        for candidate in seeds:
            await self._keep(Proposal(candidate), round_=0)
        self._hold()
        if self.brief.drafts:
            for proposal in await draft_seeds(self.bench, self.brief, self.longest):
                if proposal.candidate.id not in self.archive.known:
                    await self._keep(proposal, round_=0)
                    seeds.append(proposal.candidate)
            self._hold(seeds)
        if len(seeds) > 1:
            best, raced = await race_seeds(self.bench, self.scores, seeds, self.track, self.options)
            for told in raced:
                self.tell(told)
                if told.outcome != "dropped":
                    self.archive.take_seed(self.archive.known[told.candidate_id], told.delta.mean)
            self.archive.best = best
        headroom = await measure_headroom(self.bench, self.scores, self.track, self.options, self.archive.best)
        self.tell(headroom)
        self.ended = "" if headroom.finding == "room" else headroom.finding

    def reason_to_stop(self) -> str:
        """Why the loop ends here, or nothing to go on."""
        if self.ended:
            return self.ended
        if self.fruitless >= FRUITLESS:
            if len(self.archive.known) > len(self.brief.unique_seeds):
                return "unusable replies"  # what was found before is worth its confirmation
            raise UnusableReplies(
                f"no readable rewrite in {FRUITLESS} rounds; the last reply was refused because: {self.last_problem}",
                remedy="give models.rewriter a model that can follow the reply format, or raise its max_tokens",
            )
        if self.round >= self.options.rounds:
            return "rounds"
        if self.idle >= self.options.patience:
            return "no promotion"
        return "expected value" if self.pace.expected(self.failing) < self.options.least_gain else ""

    def begin_round(self) -> None:
        """1 parent: mostly the best so far, at times a Pareto winner on some rows."""
        self.round += 1
        self.scores.correct(self.bench.corrections)
        numbers = {name: self.scores.numbers(name, self.brief.select) for name in self.archive.members}
        rng = stream(self.brief.seed, self.round, "parent")
        parent, reason = choose_parent(rng, self.archive.best.id, numbers, self.options.explore)
        self.now = Round(self.archive.members[parent], self.scores.asked)
        self.tell(facts.RoundStarted(self.round, parent, reason))

    async def gather_evidence(self) -> None:
        """2 evidence: the parent's failures on train; fresh rollouts only while they are too few."""
        parent = self.now.parent
        lineage = self.archive.lineage(parent)
        mended = {row for rows in self.archive.mended_by(parent) for row in rows}
        while True:
            evidence = failed_rows(self.scores, self.bench, lineage, self.order, self._passing, self.suspects, mended)
            fresh = self._unmet(lineage, mended)[:EVIDENCE_BLOCK]
            if len(evidence.failures) >= self.wanted or not fresh:
                break
            await self.scores.fill(self.bench, [parent], fresh)
        self.now.evidence = evidence
        self.failing = len(evidence.failures) / max(1, evidence.met)
        self._suspect(evidence)
        if not evidence.failures:
            self.ended = "no failures left"

    def _unmet(self, lineage: Sequence[Candidate], mended: Collection[str]) -> list[Row]:
        """Train rows that neither the parent nor an ancestor met; then mended ones, on which nothing is known."""
        left = self.order
        for candidate in lineage:
            left = self.scores.unmet(candidate.id, left)
        unmet = {row.id for row in left}
        again = [row for row in self.order if row.id in mended and row.id not in unmet]
        return [*left, *self.scores.unmet(lineage[0].id, again)]

    def _suspect(self, evidence: Evidence) -> None:
        """Rows that were quoted time and again and that every candidate still fails: report, do not learn."""
        passing = self._passing
        found = [
            failure.example_id
            for failure in evidence.failures
            if self.quoted.get(failure.example_id, 0) >= SUSPECT_AFTER
            and len(met := self.scores.met_by(failure.example_id)) > SUSPECT_AFTER
            and all((one.score or 0.0) < passing for one in met)
        ]
        if found:
            self.suspects.update(found)
            self.tell(facts.LabelsSuspected(self.round, tuple(sorted(found))))
            evidence.failures[:] = [row for row in evidence.failures if row.example_id not in self.suspects]

    async def criticise(self) -> None:
        """3 backward: failures are clustered by cause, and the critic sees a few of each with some contrast."""
        covered = self.pool.covered()
        failures = [row for row in self.now.evidence.failures if row.example_id not in covered]
        if not failures:
            self.now.bundles = self.pool.bundles([], 1, 1)
            return
        options = self.options
        clusters = cluster_failures(failures, 2 * options.critique_rows)[: options.causes]
        rarest = [sorted(cluster, key=lambda row: self.quoted.get(row.example_id, 0)) for cluster in clusters]
        causes = [Cause(tuple(one[: options.critique_rows]), tuple(one[options.critique_rows :])) for one in rarest]
        for row in (row for cause in causes for row in cause.shown):
            self.quoted[row.example_id] = self.quoted.get(row.example_id, 0) + 1
        size = options.causes_a_critique
        groups = [causes[start : start + size] for start in range(0, len(causes), size)]
        quoted = [[row for cause in group for row in cause.shown] for group in groups]
        asks = critic_asks(
            self.brief, self.now.parent, quoted, self.now.evidence.successes, self.round, self.bench.notes
        )
        answers = await self.bench.ask(asks)
        share = len(self.brief.train) / max(1, self.now.evidence.met)
        critiques = [answer.value or () for answer in answers]
        fresh = fixes_of(groups, critiques, share)
        self.now.bundles = self.pool.bundles(fresh, self._width(), options.passes)
        lost = sum(answer.value is None for answer in answers)
        self.tell(facts.CritiquesWritten(self.round, len(failures), len(clusters), len(fresh), lost))

    async def propose(self) -> None:
        """4 propose: several children, each one labelled hypothesis; refused ones cost no task call."""
        if not self.now.evidence.failures:
            return
        parent, failures = self.now.parent, self.now.evidence.failures
        rng = stream(self.brief.seed, self.round, "kinds")
        tidied = self.archive.tidied[parent.id]
        grown = parent.length > self.options.grown * tidied
        own = [row for row in self.now.evidence.successes if row.example_id not in self.now.evidence.presumed]
        demos = demo_plan(rng, parent, self.seed, failures, own, self.longest) if self.options.demos else None
        merge = self._merge() if self.options.merge else None
        ready = [plan for plan in (demos, merge) if plan is not None]
        plans = plan_children(rng, self.now.bundles, self.odds, self._width(), failures, grown=grown, ready=ready)
        rewriting = Rewriting(
            self.bench, self.brief, self.options, self.tried, self.longest, self.round, self.pool.digestible
        )
        drafts = await rewriting.write(parent, plans, tidied)
        train = [str(value) for row in failures for value in row.inputs.values()]
        children, refused = read_children(parent, drafts, self.archive.known, train)
        for kind, reason in refused:
            self.last_problem = reason
            self._count_kind(kind, promoted=False)
            self.tell(facts.ProposalDropped(self.round, kind, reason))
        for child in children:
            await self._keep(Proposal(child.candidate, child.plan.critiques), self.round)
        self.now.children = children
        replies = [draft.answer for draft in drafts if draft.plan.texts is None]
        if replies:
            readable = any(reply.value is not None for reply in replies)
            self.fruitless = 0 if readable else self.fruitless + 1

    def _merge(self) -> Plan | None:
        rows = [*self.brief.train, *self.brief.select]
        return merge_plan(self.archive, self.scores, self.now.parent, rows, self.now.evidence.failures)

    def _width(self) -> int:
        """Children of this round: one more, of another kind, for each round without progress after the first."""
        return self.options.children + min(self.options.widen, max(0, self.idle - 1))

    async def _keep(self, proposal: Proposal, round_: int) -> None:
        candidate = proposal.candidate
        self.archive.know(candidate)
        await self.bench.keep(proposal)
        self.tell(proposed(round_, candidate))

    async def screen(self) -> None:
        """5 screen: each child on rows of its causes and, where it mends any, on rows that its parent passed."""
        if not self.now.children:
            return
        self._hold()
        screen = Screen(
            self.bench,
            self.scores,
            self.options,
            self.now.evidence,
            self.train,
            self.archive.mended_by(self.now.parent),
            self.now.parent.length,
        )
        ranked = await screen.run(self.now.children)
        self.now.survivors = ranked[: self.options.survivors]
        for child in self.now.children:
            kept = child in self.now.survivors
            self.tell(facts.CandidateScreened(self.round, child.candidate.id, child.delta, kept))

    async def race(self) -> None:
        """6 race: survivors on fresh select rows in blocks, common order, only missing cells evaluated."""
        runners = await race(self.bench, self.scores, self.now.parent, self.now.survivors, self.track, self.options)
        for runner in runners:
            self._take(runner)

    def _take(self, runner: Runner) -> None:
        child, parent = runner.child, self.now.parent
        if child.outcome is None:
            return
        if child.outcome != "dropped":
            self.archive.add(child.candidate, parent, runner.belief, child.tidied)
        if child.outcome == "promoted":
            self.now.promoted.append(child)
        self.tell(facts.CandidateRaced(self.round, child.candidate.id, parent.id, child.delta, child.outcome))

    async def learn(self) -> None:
        """7 learn: memory of what was tried with its effect, odds of each kind, and whether the search still moves."""
        before = self.archive.best
        best = await self._adopted()
        for child in self.now.children:
            won = child in self.now.promoted
            self._count_kind(child.plan.kind, promoted=won)
            self.pool.learn(child.plan.fixes)
            self.tried += tried_lines(child, kept=won)
        self._settle_fixes(best)
        self.idle = 0 if best is not before else self.idle + 1
        gain = self.archive.value[best.id] - self.archive.value[before.id]
        self.pace.note(gain if best is not before else 0.0, self.scores.asked - self.now.asked_before)
        numbers = self.scores.numbers(best.id, self.brief.select)
        self.tell(facts.RoundEnded(self.round, best.id, mean_of(numbers.values()), len(self.now.promoted)))

    async def _adopted(self) -> Candidate:
        """The best after this round, once a person has approved it; one that is refused leaves room for the next."""
        before = self.archive.best
        while True:
            best = self.archive.choose([child.candidate.id for child in self.now.promoted])
            child = next((child for child in self.now.promoted if child.candidate is best), None)
            if child is None or best is before:
                return best
            ruling = await self.bench.review(
                ReviewRequest(
                    self.round,
                    best,
                    self.now.parent,
                    child.plan.critiques,
                    child.screened or child.delta,
                    child.delta,
                    self.bench.spend,
                    frozenset(row.id for row in (*self.brief.train, *self.brief.select)),
                )
            )
            if ruling.action == "approve":
                return best
            self.archive.best = before
            if ruling.action == "edit" and ruling.prompts:
                return await self._edited(child, ruling)
            self.now.promoted.remove(child)
            self.archive.refuse(best.id)
            self.tried.append(refused_line(child, ruling.reason))

    async def _edited(self, child: Child, ruling: Ruling) -> Candidate:
        """A person's version of a rewrite: the child is this candidate from here on, and taken to be worth as much.

        Raises ValueError where it breaks what a rewrite must keep.
        """
        original = child.candidate
        prompts = rewritten_prompts(ruling.prompts or {}, original.prompts)
        hypothesis = Hypothesis("edit", (ruling.reason or "edited by a person")[:300])
        edited = Candidate(prompts, original.demos, parents=(original.id,), hypothesis=hypothesis)
        await self._keep(Proposal(edited, child.plan.critiques), self.round)
        self.archive.add(edited, original, Belief(0.0, 0.1), child.tidied)
        self.archive.best = child.candidate = edited
        self._hold()
        return edited

    def _settle_fixes(self, best: Candidate) -> None:
        """What works and is not in the best prompt yet waits in the pool; what is in it guards against regressions."""
        carried = [fix for child in self.now.children if child.candidate is best for fix in child.plan.fixes]
        works = [fix for bundle in self.now.bundles for fix in bundle if fix.state == "works"]
        self.pool.fixes = list({id(fix): fix for fix in (*self.pool.fixes, *works)}.values())
        if carried:
            self.archive.mended[best.id] = [
                [row.example_id for row in fix.rows] for fix in carried if fix.state == "works"
            ]
            self.pool.adopt([fix for fix in carried if fix.state == "works"])

    def _count_kind(self, kind: str, *, promoted: bool) -> None:
        won, tried = self.odds.get(kind, (0, 0))
        self.odds[kind] = (won + promoted, tried + 1)

    def shortlist(self) -> list[Candidate]:
        """The best of the archive, the first seed apart.

        Where the budget cut a race short, children that were in it and are not behind stand at the end.
        """
        ranked = self.archive.ranked()
        cut = [child for child in self.now.survivors if child.outcome is None and child.gain > 0]
        return [*ranked, *(child.candidate for child in cut)][: self.options.shortlist]
