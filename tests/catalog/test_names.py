"""Names: any bytes to printable text and back."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog import names

HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.sampled_from([b"\\", b"\\x41", b"\\xff", b"\xff", b"\xed\xa0\x80", "\u202e".encode(), b"\x1b[", b"a", "é".encode(), b"\n", b"\xc2\x9b"])).map(
        b"".join
    ),
)


@given(HOSTILE)
@example(b"\\x5c\\")
@example(b"\\\\x41")
@example(b"\xf0\x9f\x98")
def test_the_bytes_come_back_from_the_text(raw: bytes) -> None:
    assert names.unescape(names.escape(raw)) == raw


@given(HOSTILE)
def test_the_text_is_valid_and_has_no_control_bidi_or_format_character(raw: bytes) -> None:
    text = names.escape(raw)
    assert text.encode("utf-8").decode("utf-8") == text
    assert not [
        c
        for c in text
        if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]


@given(HOSTILE, HOSTILE)
def test_different_bytes_have_different_texts(one: bytes, two: bytes) -> None:
    assert (names.escape(one) == names.escape(two)) == (one == two)


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda part: b"/" not in part), min_size=1, max_size=5))
def test_a_path_is_escaped_as_its_parts_are(parts: list[bytes]) -> None:
    assert names.escape(b"/".join(parts)) == "/".join(map(names.escape, parts))


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\")))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert names.escape(text.encode()) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("é".encode(), "é"),
        ("e\u0301".encode(), "e\u0301"),
        (b"\xff", "\\xff"),
        (b"a\\b", "a\\\\b"),
        (b"\n", "\\x0a"),
        ("\u202e".encode(), "\\xe2\\x80\\xae"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        (b"\xc2\x9b", "\\xc2\\x9b"),
    ],
)
def test_known_names_have_known_texts(raw: bytes, text: str) -> None:
    assert names.escape(raw) == text


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.TXT", "txt"), ("a.tar.GZ", "gz"), ("Makefile", None), (".profile", None), (".x.y", "y"), ("a.", None), ("..", None), ("a..b", "b"),
        ("a." + "x" * 32, "x" * 32), ("a." + "x" * 33, None), ("a.É", "é"), ("a.E\u0301", "é"), ("a b.c d", "c d"),
    ],
)  # fmt: skip
def test_the_extension_is_what_follows_the_last_dot_in_lower_case(name: str, extension: str | None) -> None:
    assert names.extension(name) == extension
