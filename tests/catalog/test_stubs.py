"""Stubs: their text, and that nothing else is taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import names, stubs
from catalog.stubs import MAGIC, Stub
from lifecycle import pointers
from lifecycle.stores import STUB_MAGIC

STUB = Stub("vault", "docs/a.txt", bytes(range(32)), 1000)
SAID = json.loads(stubs.write(STUB)[len(MAGIC) :])


@given(path=st.binary(min_size=1, max_size=4096), sha256=st.binary(min_size=32, max_size=32), size=st.integers(1, 2**63 - 1))
def test_what_a_job_writes_is_read_again_whatever_the_name(path: bytes, sha256: bytes, size: int) -> None:
    text = pointers.stub("vault-2", path, sha256, size)
    assert stubs.read(text) == Stub("vault-2", names.escape(path), sha256, size)
    assert stubs.LEAST_BYTES <= len(text) <= stubs.MOST_BYTES
    assert text.startswith(STUB_MAGIC)


@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_are_no_stub_and_no_error(text: bytes) -> None:
    assert stubs.read(MAGIC + text) is None
    assert stubs.read(text) is None


@pytest.mark.parametrize(
    "change",
    [
        {"volume": "Vault"}, {"volume": "a:b"}, {"volume": 1}, {"path": ""}, {"path": "a\nb"}, {"path": "\\q"}, {"path": "\u202e"}, {"path": "\ud800"},
        {"path": ["a"]}, {"sha256": "00"}, {"sha256": "0" * 63 + "G"}, {"sha256": "A" * 64}, {"sha256": None}, {"size_bytes": 0}, {"size_bytes": -1},
        {"size_bytes": True}, {"size_bytes": 1.0}, {"size_bytes": 2**63}, {"size_bytes": "9"}, {"more": 1},
    ],
)  # fmt: skip
def test_a_text_that_no_job_writes_is_no_stub(change: dict[str, object]) -> None:
    assert stubs.read(MAGIC + json.dumps(SAID, sort_keys=True).encode() + b"\n") == STUB
    assert stubs.read(MAGIC + json.dumps(SAID | change, sort_keys=True).encode() + b"\n") is None


@pytest.mark.parametrize("text", [b"", MAGIC, b"\xff", b"[" * 60_000, b"{}", b"[]", b"null", stubs.write(STUB)[len(MAGIC) :] + b"\n", b" " + stubs.write(STUB)])
def test_a_text_of_another_form_is_no_stub(text: bytes) -> None:
    assert stubs.read(MAGIC + text) is None


def test_an_entry_keeps_all_that_a_stub_says() -> None:
    assert STUB.link_target == "vault:docs/a.txt"
    assert STUB.tags == '{"sha256": "' + bytes(range(32)).hex() + '", "size_bytes": 1000}'
