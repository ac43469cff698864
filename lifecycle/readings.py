"""What was read of copies after the evidence of a plan was gathered: a copy that gave another content since, or could not be read, is no evidence of it."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from catalog import names, table
from catalog.derive.expressions import parquet
from catalog.errors import CatalogError
from catalog.schema import DIGESTS
from lifecycle.manifest import Copy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COPIES = pa.schema(
    [
        ("place", pa.int64()),
        ("volume", pa.string()),
        ("path", pa.string()),
        ("fs_id", pa.string()),
        ("inode", pa.int64()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("verified_us", pa.int64()),
    ]
)
# The newest later readings of each file, by the copy's volume and by others that show the very file: its changed time is let go, since what a failed
# reading knew of it may be older.
_LATER = """
SELECT
    c.place,
    arg_max(coalesce(d.digest, ''::BLOB), d.digested_at)
FROM copies AS c
INNER JOIN {digests} AS d
    ON (c.volume = d.volume OR (c.fs_id IS NOT NULL AND c.inode IS NOT NULL))
    AND c.size_bytes = d.size_bytes
    AND c.modified_ns = try(epoch_us(d.modified_at) * 1000 + coalesce(d.modified_ns, 0))
    AND c.fs_id IS NOT DISTINCT FROM d.fs_id
    AND c.inode IS NOT DISTINCT FROM d.inode
    AND (c.inode IS NOT NULL OR c.path = d.dir || d.name)
WHERE (d.digest IS NOT NULL OR d.sample IS NULL) AND epoch_us(d.digested_at) > c.verified_us
GROUP BY c.place, c.volume = d.volume
"""


class Readings:
    """The readings in a catalog since a version of its table of digests (-1 = all)."""

    def __init__(self, root: Path, since: int) -> None:
        self._root, self._since = root, since
        self._seen = -1  # the version of which the files are known
        self._files: Sequence[str] = ()

    def of(self, copies: Iterable[Copy]) -> dict[Copy, set[bytes | None]]:
        """The copies that were read again after they were verified, with the contents that were found; None = it could not be read. Raises CatalogError."""
        newest = table.version(self._root, "digests")
        if newest != self._seen:
            self._files, self._seen = self._later(newest), newest
        asked = list(dict.fromkeys(copies)) if self._files else []
        return self._read(asked) if asked else {}

    def _later(self, newest: int) -> Sequence[str]:
        try:
            before = set(table.files(self._root, "digests", self._since))
        except CatalogError:  # that version is not kept any more: all is looked through
            before = set()
        return [file for file in table.files(self._root, "digests", newest) if file not in before]

    def _read(self, copies: Sequence[Copy]) -> dict[Copy, set[bytes | None]]:
        rows = [
            (at, one.volume, names.escape(one.path), one.fingerprint.fs_id, one.fingerprint.inode, one.fingerprint.size_bytes, one.fingerprint.modified_ns)
            for at, one in enumerate(copies)
        ]
        columns = [*zip(*rows, strict=True), [one.verified_us or 0 for one in copies]]
        asked = pa.table([pa.array(values, field.type) for values, field in zip(columns, _COPIES, strict=True)], schema=_COPIES)
        found: dict[Copy, set[bytes | None]] = {}
        for at, content in self._connection.register("copies", asked).execute(_LATER.format(digests=parquet(self._files, DIGESTS))).fetchall():
            found.setdefault(copies[at], set()).add(content or None)
        return found

    @cached_property
    def _connection(self) -> "DuckDBPyConnection":
        import duckdb

        return duckdb.connect()
