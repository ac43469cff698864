"""Elements of an XML page that are all of one shape, as columns: a field of all of them at once, without a Python object an element."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

_WORD = 8  # bytes that are compared at once


def columns(block: bytes, element: str, fields: Sequence[str]) -> Mapping[str, pa.Array] | None:
    """The fields of the elements that a block is made of, as bytes, those that they have; None where the elements are not alike, or have a field twice.

    Alike are those that have the same tags in the same order. What lies between two tags cannot hold the begin of a third.
    """
    shape = re.findall(rb"<([^>]*>)", block[: block.find(b"</%s>" % element.encode()) + len(element) + 3])
    opens = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("<"))
    count, left = divmod(len(opens), len(shape)) if shape else (0, 1)
    if left or not count or shape.count(element.encode() + b">") > 1:
        return None
    places = opens.reshape(count, len(shape)) + 1
    words = np.ndarray((len(block),), "<u8", block + bytes(_WORD), strides=(1,))
    if not all(_stands(words, places[:, number], tag) for number, tag in enumerate(shape)):
        return None
    found: dict[str, pa.Array] = {}
    for name in fields:
        tag = name.encode() + b">"
        if tag not in shape:
            continue
        number = shape.index(tag)
        if shape.count(tag) > 1 or shape[number + 1] != b"/" + tag:
            return None
        found[name] = _texts(block, places[:, number] + len(tag), places[:, number + 1] - 1)
    return found


def _stands(words: "np.ndarray[Any, Any]", places: "np.ndarray[Any, Any]", text: bytes) -> bool:
    """Whether a text stands at all places; `words` has the bytes from each place on."""
    for at in range(0, len(text), _WORD):
        piece = text[at : at + _WORD]
        mask = np.uint64((1 << 8 * len(piece)) - 1)
        last = len(words) - 1  # what would stand beyond the end stands nowhere
        if ((words[np.minimum(places + at, last)] & mask) != np.uint64(int.from_bytes(piece, "little"))).any():
            return False
    return True


def _texts(block: bytes, starts: "np.ndarray[Any, Any]", ends: "np.ndarray[Any, Any]") -> pa.Array:
    """What lies between starts and ends, which take turns."""
    bounds = np.stack([starts, ends], axis=1).ravel().astype(np.int32)
    pieces = pa.Array.from_buffers(pa.binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(block)])
    return pieces.take(pa.array(np.arange(0, len(bounds), 2)))
