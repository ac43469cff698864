"""Saved listings: what a volume held by the word of who listed it (tables, `rclone lsjson`, indexes of LTFS, S3 Inventory). The volume is not looked at."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from catalog import names, store
from catalog.errors import UnreachableError
from scanners import Capabilities, Facts, Shard, ShardRecord, Sink, _inventory, _inventory_rows, _ltfs, _objects, _packed, _parquet, _tables, _xml
from scanners._root import Rooted
from scanners._told import ATTESTED, COLUMNS, READ, SKEW_US, ChangedError, Claims

CAPABILITIES = Capabilities(columns=COLUMNS | _objects.COLUMNS, told=True)

_ENDINGS = {".csv": "csv", ".csv.gz": "csv", ".csv.zst": "csv", ".parquet": "parquet", ".json": "lsjson", ".xml": "ltfs", ".schema": "ltfs"}
_KNOWN = (
    "known are .csv, .csv.gz, .csv.zst and .parquet (a table), .json (of 'rclone lsjson -R'), .xml and .schema (the index of a tape of LTFS), "
    "manifest.json (of S3 Inventory; or its folder)"
)


class Scanner(Rooted):
    """Reads one listing."""

    def probe(self) -> Facts:
        """Look at the file. Raises UnreachableError."""
        if self._format == "inventory":
            with self._delivery() as (_, inventory):
                found, empty, bucket = self._naming(inventory).fs_id, not inventory.parts, inventory.bucket
                return Facts(fs_id=found, device=None, clock="modified", capacity_bytes=None, free_bytes=None, empty=empty, bucket=bucket)
        status = os.fstat(self._root)
        if not stat.S_ISREG(status.st_mode):
            raise self._unreadable("not a file")
        fs_id = None
        if self._format == "ltfs" and status.st_size:
            with self._opened() as (file, _):
                fs_id = f"ltfs-{_ltfs.head(file).uuid}"
        return Facts(fs_id=fs_id, device=None, clock="modified", capacity_bytes=None, free_bytes=None, empty=status.st_size == 0)

    def root_shard(self) -> Shard:
        """The listing."""
        return Shard(0, ("",))

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """Read it from the beginning to the end, then write what it says. Raises UnreachableError if it cannot be read as a whole."""
        del shard  # there is one
        if self._format == "inventory":
            self._read_inventory(sink)
            return sink.finish()
        with Claims(self._settings, sink) as claims:
            name = names.escape(os.path.basename(os.fsencode(self._settings.location)))
            with self._opened() as (file, modified_us), claims.source(name) as source:
                told_us = modified_us if self._settings.told_at_us is None else self._settings.told_at_us
                if self._format == "ltfs":
                    told_us = _ltfs.head(file).updated_us or told_us
                    file.seek(0)
                if told_us > self._settings.started_us + SKEW_US:
                    raise self._unreadable("it is of the future: nobody can say of which time it is; say it by 'told_at'")
                in_place = self._settings.read_in_place
                if self._format == "ltfs":
                    _ltfs.read(file, source, told_us, READ if in_place else ATTESTED)
                elif self._format == "lsjson":
                    _tables.read_lsjson(file, source, told_us, in_place=in_place)
                else:
                    columns = dict(self._settings.columns) or {"path": "path"}
                    with _packed.unpacked(file, self._settings.location) as text:
                        read = _parquet.read if self._format == "parquet" else _tables.read_csv
                        read(text, source, columns, self._settings.times, told_us, in_place=in_place)
                claims.of(told_us)
            claims.write()
        return sink.finish()

    def _read_inventory(self, sink: Sink) -> None:
        """Write what the files of a delivery list, each held against the manifest before. Raises UnreachableError."""
        with self._delivery() as (delivery, inventory):
            delivery.check(inventory)
            sink.told(inventory.told_us)
            for part in inventory.parts:
                with delivery.opened(part) as file:
                    for columns, excluded in _inventory_rows.entries(file, inventory, self._naming(inventory), self._settings.exclude):
                        sink.exclude(excluded)
                        if len(columns["name"]):
                            sink.write(columns)

    def _naming(self, inventory: _inventory.Inventory) -> _objects.Naming:
        return _objects.Naming(store.identity(self._settings.endpoint, inventory.bucket), b"", self._settings.started_us)

    @contextmanager
    def _delivery(self) -> Iterator[tuple[_inventory.Delivery, _inventory.Inventory]]:
        """The delivery, and what its manifest says. Raises UnreachableError for what goes wrong while it is open."""
        try:
            with _inventory.Delivery(self._settings.location) as delivery:
                yield delivery, delivery.inventory(self._settings.started_us + SKEW_US)
        except (OSError, ChangedError) as error:
            raise self._unreadable(str(error)) from error

    @property
    def _format(self) -> str:
        name = self._settings.location.lower()
        if os.path.basename(name) == _inventory.MANIFEST or os.path.isdir(self._settings.location):
            return "inventory"
        for ending, known in _ENDINGS.items():
            if name.endswith(ending):
                return known
        raise self._unreadable(f"nothing is known of listings that end in {os.path.splitext(name)[1]!r}; {_KNOWN}")

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """The file, and when it was last written. Raises UnreachableError for what goes wrong while it is open."""
        descriptor = os.open(f"/proc/self/fd/{self._root}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            with os.fdopen(descriptor, "rb", buffering=1 << 20) as file:
                before = os.fstat(descriptor)
                yield file, before.st_mtime_ns // 1000
                after = os.fstat(descriptor)
                is_same = (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (after.st_size, after.st_mtime_ns, after.st_ctime_ns)
        except (OSError, ChangedError, _xml.BadXMLError) as error:
            raise self._unreadable(str(error)) from error
        if not is_same:
            raise self._unreadable("it was changed while it was read")

    def _unreadable(self, why: str) -> UnreachableError:
        return UnreachableError(f"volume {self._settings.volume}: {self._settings.location}: {why}")
