import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.models.offline.meaning import Phrases, Reader, units


@pytest.mark.parametrize(
    "text",
    [
        "Unrecognised charges are for security.",
        "unrecognised charges:\nalways SECURITY",
        "- If the customer does not\n  recognise a charge, it is **security**.",
        "The customer “did not make” it → security",
        "Send these to security:\n- unrecognised charges\n- stolen cards",
        "1. Look for unrecognised charges. Those are for security.",
    ],
)
def test_any_wording_that_holds_a_phrase_of_every_group_states_the_rule(desks, text):
    assert Reader(desks).stated(text).rules == {"fraud"}


@pytest.mark.parametrize(
    "text",
    [
        "Unrecognised charges are odd. Our security is good.",
        "Unrecognised charges are odd.\n\nAsk security.",
        "- Unrecognised charges go to billing.\n- Phishing goes to security.",
        "Prerecognised charges go to insecurity.",
        "",
    ],
)
def test_phrases_in_different_sentences_or_inside_of_words_state_nothing(desks, text):
    assert Reader(desks).stated(text).nothing


def test_every_paraphrase_of_a_world_states_its_rule_and_nothing_else(desks):
    reader = Reader(desks)
    for rule in desks.rules.values():
        assert all(reader.stated(said).rules == {rule.id} for said in rule.says)
    assert reader.stated(desks.traps["every-login"].says[0]).traps == {"every-login"}
    assert all(reader.stated(said).format for said in desks.format.says)


def test_a_field_name_with_an_underscore_is_a_phrase_like_any_other():
    assert Phrases((("due_date",), ("null",))).stated_by("`due_date` is *null* then")


def test_abbreviations_do_not_end_a_sentence():
    assert len(units("Unrecognised charges, e.g. Visa ones, go to security. Next.")) == 2


@given(st.text(alphabet=st.sampled_from(list("AB .:-*#\n1)!<{}")), max_size=80))
def test_units_lie_inside_of_the_text_and_lose_no_letter(text):
    found = units(text)
    assert all(0 <= unit.start < unit.end <= len(text) for unit in found)
    covered = {place for unit in found for place in range(unit.start, unit.end)}
    assert all(place in covered for place, char in enumerate(text) if char in "AB{}")


def test_a_rule_with_one_group_too_few_reads_like_a_rule_gone_wrong(desks):
    assert Reader(desks).nearly("Unrecognised charges are for billing.")
    assert not Reader(desks).nearly("Be kind.")
