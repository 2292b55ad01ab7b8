"""The desk: what people decide is recorded before it counts, and a replay asks nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from laboratory import Lab, Listener, brief_of, comparable, decisions_of

from promptprop.domain.errors import Interrupted, UsageError
from promptprop.domain.events import CapRaised, NoteLeft, RewriteReviewed, ScoreOverridden, body_of
from promptprop.domain.people import ReviewRequest, Ruling
from promptprop.services.desk import Interventions

NewLab = Callable[[str], Lab]


class Person:
    """A reviewer who says what was laid before them, one after another, and then approves."""

    def __init__(self, *rulings: Ruling | BaseException) -> None:
        self.rulings = list(rulings)
        self.asked: list[ReviewRequest] = []

    async def decide(self, request: ReviewRequest) -> Ruling:
        self.asked.append(request)
        ruling = self.rulings.pop(0) if self.rulings else Ruling("approve")
        if isinstance(ruling, BaseException):
            raise ruling
        return ruling


def reviews_of(lab: Lab, run_id: str) -> list[RewriteReviewed]:
    return [one.event for one in lab.store.events(run_id) if isinstance(one.event, RewriteReviewed)]


@pytest.mark.no_cover
async def test_approval_changes_nothing_but_the_record(new_lab: NewLab) -> None:
    alone, watched = new_lab("alone"), new_lab("watched")
    reference = await alone.run(await alone.new_run())
    person = Person()
    report = await watched.run(await watched.new_run(), reviewer=person)
    assert person.asked
    assert [one.action for one in reviews_of(watched, "run-1")] == ["approve"] * len(person.asked)
    assert decisions_of(watched.store.events("run-1")) == decisions_of(alone.store.events("run-1"))
    assert report.winner == reference.winner


async def test_a_refused_rewrite_is_not_adopted_and_the_rewriter_reads_why(lab: Lab) -> None:
    person = Person(Ruling("refuse", reason="it is rude"))
    run_id = await lab.new_run()
    report = await lab.run(run_id, reviewer=person)
    refused = person.asked[0].candidate.id
    assert report.winner.id != refused
    assert all(point.best_id != refused for point in report.history.trajectory)
    assert all(one.candidate.id != refused for one in person.asked[1:])


@pytest.mark.no_cover
async def test_an_edited_rewrite_stands_in_its_place_as_a_candidate_of_its_own(lab: Lab) -> None:
    run_id = await lab.new_run()
    text = "You route messages of customers to a desk. One word.\n\nMessage: {{ text }}"
    person = Person(Ruling("edit", {"main": text}, "shorter"))
    await lab.run(run_id, reviewer=person)
    kept = lab.store.candidates(run_id)
    (edited,) = [one.candidate for one in kept.values() if one.candidate.hypothesis.kind == "edit"]
    assert (edited.text, edited.parents) == (text, (person.asked[0].candidate.id,))
    assert person.asked[1].parent.id == edited.id if len(person.asked) > 1 else True


@pytest.mark.no_cover
async def test_what_was_decided_before_a_kill_is_not_asked_again(new_lab: NewLab) -> None:
    whole = new_lab("whole")
    rulings = [Ruling("refuse", reason="no"), Ruling("approve"), Ruling("refuse", reason="no")]
    reference = await whole.run(await whole.new_run(), reviewer=Person(*rulings))
    expected = whole.store.events("run-1")
    reviewed = [place for place, one in enumerate(expected) if isinstance(one.event, RewriteReviewed)]
    for events in (reviewed[0], reviewed[0] + 1, reviewed[-1] + 1, reviewed[-1] + 2):
        cut = new_lab(f"cut-{events}")
        run_id = await cut.new_run()
        await cut.run_and_die(run_id, events, reviewer=Person(*rulings))
        asked_before = len(reviews_of(cut, run_id))
        person = Person(*rulings[asked_before:])
        resumed = await cut.run(run_id, cut.open(), reviewer=person)
        assert decisions_of(cut.store.events(run_id)) == decisions_of(expected)
        assert len(person.asked) + asked_before == len(reviewed)
        assert comparable(resumed) == comparable(reference)


async def test_a_person_who_leaves_pauses_the_run_and_is_asked_again(lab: Lab) -> None:
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run(run_id, reviewer=Person(asyncio.CancelledError()))
    assert reviews_of(lab, run_id) == []
    person = Person()
    await lab.run(run_id, reviewer=person)
    assert len(person.asked) == len(reviews_of(lab, run_id)) > 0


async def test_no_active_second_passes_while_a_person_thinks(lab: Lab) -> None:
    class Slow(Person):
        async def decide(self, request: ReviewRequest) -> Ruling:
            lab.clock.seconds += 1000.0
            return await super().decide(request)

    report = await lab.run(await lab.new_run(), reviewer=Slow())
    assert report.history.active_seconds < 100


async def test_notes_caps_and_corrected_scores_come_before_the_ruling_and_are_in_force(lab: Lab) -> None:
    run_id = await lab.new_run()

    class Thorough(Person):
        async def decide(self, request: ReviewRequest) -> Ruling:
            first = not self.asked
            await super().decide(request)
            row = min(request.rows)
            besides = (
                NoteLeft("Never mention prices."),
                CapRaised({"calls": 5000}),
                ScoreOverridden(request.candidate.id, row, 1.0, "the label is wrong"),
            )
            return Ruling("approve", besides=besides if first else ())

    sink = Listener()
    report = await lab.run(run_id, reviewer=Thorough(), sinks=[sink])
    kinds = [one.event.kind for one in sink.events]
    place = kinds.index("rewrite_reviewed")
    assert kinds[place - 3 : place] == ["note_left", "cap_raised", "score_overridden"]
    assert report.history.budget["calls"] == 5000
    assert [one.reason for one in report.history.overrides] == ["the label is wrong"]
    assert report.history.notes == ("Never mention prices.",)


async def test_a_note_left_on_resume_is_read_from_there_on_and_a_replay_meets_it_again(new_lab: NewLab) -> None:
    lab = new_lab("noted")
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 12)
    before = len(lab.store.events(run_id))
    noted = Interventions(notes=("Never mention prices.",))
    listener = Listener(lambda count: task.cancel() if count == before + 14 else None)
    task = asyncio.ensure_future(lab.run(run_id, interventions=noted, sinks=[listener]))
    with pytest.raises(Interrupted):
        await task
    sent = len(lab.sent)
    await lab.run(run_id)
    assert max(lab.sent.values()) == 1, "what was asked with the note is answered from the record"
    assert len(lab.sent) >= sent


async def test_a_sealed_score_is_no_ones_to_change(lab: Lab) -> None:
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 6)
    row = brief_of(lab.store, lab.store.run(run_id)).test[0].id
    override = ScoreOverridden("any", row, 1.0, "I say so")
    with pytest.raises(UsageError, match="sealed"):
        await lab.run(run_id, interventions=Interventions(overrides=(override,)))
    assert not any(isinstance(one.event, ScoreOverridden) for one in lab.store.events(run_id))


async def test_a_corrected_score_takes_the_place_of_the_measured_one(lab: Lab) -> None:
    run_id = await lab.new_run()
    with pytest.raises(Interrupted):
        await lab.run_until(run_id, 3)
    seed = next(iter(lab.store.candidates(run_id)))
    rows = [row.id for row in brief_of(lab.store, lab.store.run(run_id)).train]
    overrides = tuple(ScoreOverridden(seed, row, 1.0, "all labels of train are wrong") for row in rows)
    report = await lab.run(run_id, interventions=Interventions(overrides=overrides))
    assert report.history.search_ended == "no failures left", "nothing is left to learn from"
    assert len(report.history.overrides) == len(rows)
    assert body_of(overrides[0]) in [body_of(one) for one in report.history.overrides]
