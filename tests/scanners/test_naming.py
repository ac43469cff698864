"""What is told of whole columns of names is what is told of each name."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from catalog import hashes, names
from scanners import _naming

_LETTERS = st.sampled_from([".", "a", "B", "\\", "é", "É", "e\u0301", "\n", "\u202e", "\udcff", "x" * 20])
_NAMES = st.lists(
    st.lists(_LETTERS, min_size=1, max_size=5).map(lambda letters: names.escape("".join(letters).encode("utf-8", "surrogateescape"))), max_size=20
)


@given(_NAMES, st.integers(0, 3))
def test_the_extensions_of_a_column_are_those_of_each_name(found: list[str], first: int) -> None:
    assert _naming.extensions(pa.array(found, pa.string()).slice(first)).to_pylist() == [names.extension(name) for name in found[first:]]


@given(_NAMES, st.integers(0, 3))
def test_the_hashes_of_a_column_are_those_of_each_path(found: list[str], first: int) -> None:
    dirs = [names.escape(b"a\\\n/") if len(name) % 2 else "" for name in found]
    columns = (pa.array(column, pa.string()).slice(first) for column in (dirs, found))
    assert _naming.path_hashes(*columns).to_pylist() == [hashes.of_path(names.unescape(above + name)) for above, name in zip(dirs, found, strict=True)][first:]
