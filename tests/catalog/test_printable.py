"""What is printed cannot steer, forge or hide, whatever a message quotes."""

import os
import re
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import names, printable
from lastcopy import talk


@given(st.text(st.characters()))
def test_no_control_or_format_character_of_any_text_is_left(text: str) -> None:
    left = {letter for letter in printable.clean(text) if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")}
    assert not left
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff\xad]", printable.clean(text))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_columns_and_texts_are_cleaned_alike(text: str) -> None:
    assert pc.match_substring_regex(pa.array([text]), printable.RE2).to_pylist() == [printable.clean(text) != text]


@pytest.mark.parametrize("letter", ["\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180f", "\u3164", "\ufe00", "\ufe0f", "\uffa0", "\U000e0100"])
def test_a_letter_that_nobody_sees_is_told_by_its_bytes(letter: str) -> None:
    assert printable.clean(f"a{letter}b") == "a" + "".join(f"\\x{byte:02x}" for byte in letter.encode()) + "b"


def test_a_byte_that_is_no_text_prints_as_that_byte_and_no_surrogate_fails() -> None:
    assert talk.printable(os.fsdecode(b"a\xffb") + ": lost\nagain\x1b[m") == "a\\xffb: lost\nagain\\x1b[m"
    assert talk.printable("\ud800") == "\\xed\\xa0\\x80"


def test_an_escaped_name_is_printed_as_it_is() -> None:
    assert printable.clean(names.escape(b"a\xff\x1b\xe2\x80\xae\\b")) == names.escape(b"a\xff\x1b\xe2\x80\xae\\b")
