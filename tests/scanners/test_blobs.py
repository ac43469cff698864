"""The pieces that an index knows are told apart by their ids, and of one that is in several packs the one that can be had counts."""

import numpy as np
import pytest

from scanners._repository import Blobs, _Index

_HEAD, _OTHER = b"\x01" * 8, b"\x02" * 8


def _id(head: bytes, last: int) -> bytes:
    return head + bytes([last]) * 24


@pytest.mark.parametrize("head", [_HEAD, _OTHER], ids=["same-begin", "other-begin"])
def test_pieces_are_found_by_their_whole_ids(head: bytes) -> None:
    known = {_id(_HEAD, 7): 70, _id(head, 9): 90, _id(b"\x03" * 8, 1): 10}
    blobs = Blobs(_index(list(known.items())))
    wanted = [*known, _id(_HEAD, 8), _id(b"\x00" * 8, 7), _id(b"\xff" * 8, 7)]
    assert blobs.sizes(blobs.find(b"".join(wanted))).tolist() == [70, 90, 10, -1, -1, -1]


@pytest.mark.parametrize("sizes", [(-1, 70), (70, -1)])
def test_a_piece_that_is_in_two_packs_is_had_where_one_of_them_is_whole(sizes: tuple[int, int]) -> None:
    blobs = Blobs(_index([(_id(_HEAD, 7), sizes[0]), (_id(_OTHER, 9), 90), (_id(_HEAD, 7), sizes[1])]))
    assert blobs.sizes(blobs.find(_id(_HEAD, 7) + _id(_OTHER, 9))).tolist() == [70, 90]


def _index(known: list[tuple[bytes, int]]) -> _Index:
    ids = np.frombuffer(b"".join(one[:16] for one, _ in known), "S16")
    sizes = np.array([size for _, size in known], np.int64)
    return _Index(ids=[ids], sizes=[sizes], states=[np.zeros(len(known), np.int64)], suspects=[np.zeros(len(known), bool)])
