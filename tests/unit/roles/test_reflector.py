"""The reflector: a library's question as it is, and any reply but none."""

from __future__ import annotations

import pytest

from promptprop.domain.models import Message
from promptprop.roles.registry import ANSWERED_BY, load_roles


def test_the_question_and_the_reply_are_the_librarys_own() -> None:
    role = load_roles({})["reflector"]
    assert role.messages({"prompt": "improve {{ this }}"}) == (Message("user", "improve {{ this }}"),)
    assert role.parse(" any text ", {}) == " any text "
    assert ANSWERED_BY["reflector"] == "rewriter"


def test_a_reply_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        load_roles({})["reflector"].parse(" \n", {})
