import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptprop.adapters.models.offline import draft
from promptprop.adapters.models.offline.meaning import Reader, units

RULE = "Unrecognised charges are for security."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Route it.\n\nMessage: {{ text }}", f"Route it.\n\n- {RULE}\n\nMessage: {{{{ text }}}}"),
        ("Route it.\n- One.\n\n{{ text }}\n\nEnd.", f"Route it.\n- One.\n- {RULE}\n\n{{{{ text }}}}\n\nEnd."),
        ("Route it.\nMessage: {{ text }}", f"Route it.\n\n- {RULE}\n\nMessage: {{{{ text }}}}"),
        ("{{ text }}", f"- {RULE}\n\n{{{{ text }}}}"),
        ("Route it.", f"Route it.\n\n- {RULE}"),
        ("### system\nRoute.\n\n### user\n{{ text }}", f"### system\nRoute.\n\n- {RULE}\n\n### user\n{{{{ text }}}}"),
        ("### user\n{{ text }}", f"### user\n- {RULE}\n\n{{{{ text }}}}"),
    ],
)
def test_new_rules_become_bullets_before_the_input(text, expected):
    assert draft.with_bullets(text, [RULE]) == expected


def test_taking_a_bullet_out_leaves_no_trace_of_it(desks):
    text = f"Route it.\n\n- {RULE}\n- Be kind.\n\n{{{{ text }}}}"
    assert draft.without(text, draft.stating(Reader(desks), text, "fraud")) == "Route it.\n\n- Be kind.\n\n{{ text }}"


def test_taking_a_rule_out_spares_the_other_sentences_of_its_bullet(desks):
    text = f"- Cancel means sales. {RULE} Be kind.\n\n{{{{ text }}}}"
    left = draft.without(text, draft.stating(Reader(desks), text, "fraud"))
    assert Reader(desks).stated(left).rules == {"leaving"}
    assert "Be kind." in left


def test_a_sentence_with_a_placeholder_stays(desks):
    text = "Unrecognised charges in {{ text }} are for security."
    assert draft.without(text, units(text)) == text


def test_shortening_drops_filler_duplicates_and_traps_and_keeps_the_rules(desks):
    reader = Reader(desks)
    trap = desks.traps["every-login"].says[0]
    wrong = "Unrecognised charges are for billing."
    rules = f"- {desks.rules['fraud'].says[0]}\n- {RULE}\n- {trap}\n- {draft.FILLER[0]}\n- {wrong}"
    text = f"Route it.\n\n{rules}\n\n{{{{ text }}}}"
    short = draft.shortened(reader, text, lambda trap: True)
    assert short == f"Route it.\n\n- {RULE}\n\n{{{{ text }}}}"
    assert trap in draft.shortened(reader, text, lambda trap: False)


def test_a_prompt_from_scratch_keeps_headings_and_placeholders():
    current = "### system\nOld words.\n\n### user\nMessage: {{ text }}\n\nThanks."
    assert draft.anew("New.", [RULE], current) == f"### system\nNew.\n\n- {RULE}\n\n### user\nMessage: {{{{ text }}}}"


def test_a_damaged_prompt_has_no_placeholder_left():
    assert "{{" not in draft.broken("Route {{ text }}")


@given(st.lists(st.sampled_from(["Route it.", "- One.", "{{ text }}", "", "### user", "Two. Three."]), max_size=7))
def test_edits_keep_every_placeholder_and_state_what_was_added(lines):
    text = "\n".join(lines)
    changed = draft.with_bullets(text, [RULE])
    assert changed.count("{{ text }}") == text.count("{{ text }}")
    assert f"- {RULE}" in changed.splitlines()
    assert draft.without(text, units(text)).count("{{ text }}") == text.count("{{ text }}")
