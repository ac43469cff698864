"""Buckets of object stores that speak S3: every object, or every version and delete marker, by listing; contents by GET. Nothing is written there."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from catalog import glob, names, ours, pages
from catalog.errors import ConfigError
from catalog.pages import Items, PageError
from catalog.store import Store, StoreError
from scanners import Capabilities, Facts, Protection, Settings, Shard, ShardRecord, Sink, _objects
from scanners._heads import Asked, Heads
from scanners._lister import Lister, Problem, Take
from scanners._objects import Naming

if TYPE_CHECKING:
    from scanners.reading import Reply

CAPABILITIES = Capabilities(columns=_objects.COLUMNS, read_through=True, in_any_order=True, protections=True)

_QUARANTINE = b"%s/%s/" % (ours.HOME, ours.QUARANTINE)
_BATCH_ROWS = 65_536
_MANY_PLACES = 64  # so many prefixes keep all processes busy
_MOST_LEVELS = 32  # and so many are listed to find them


class Scanner:
    """Reads one bucket, or what is below a prefix of it."""

    def __init__(self, settings: Settings) -> None:
        """Raises UnreachableError where the url is none, MissingExtraError, ConfigError."""
        if settings.tags and not settings.heads:
            raise ConfigError(f"volumes.{settings.volume}.tags: only objects that are asked tell their tags; set heads = true, or a share as heads = 0.05")
        self._settings, self._store = settings, Store(settings)
        self._lister = Lister(self._store, versions=settings.versions)
        self._naming = Naming(self._store.identity, self._store.prefix, settings.started_us)
        self._hidden: pa.Array | None = None

    def probe(self) -> Facts:
        """Look at the bucket. Raises UnreachableError."""
        try:
            page = self._lister.first(self._store.prefix, 1)
        except (StoreError, PageError) as error:
            raise self._store.unreachable(error) from error
        empty, bucket = not page.size, self._store.bucket
        return Facts(fs_id=self._naming.fs_id, device=None, clock="modified", capacity_bytes=None, free_bytes=None, empty=empty, bucket=bucket)

    def root_shard(self) -> Shard:
        """The volume."""
        return Shard(0, ("",))

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """List places; of the root, if it is large, only what is above many prefixes, which become other shards. Raises UnreachableError."""
        heads = (
            Heads(self._store, self._naming, sink, Asked(self._settings.heads, self._settings.started_us, self._settings.tags))
            if self._settings.heads
            else None
        )
        rows = _Rows(sink, self._naming, self._settings.exclude, heads)
        if self._hidden is None:  # asked once by a process
            self._hidden = self._taken(rows)
        rows.taken = self._hidden
        try:
            for number, place in enumerate(shard.places):
                if number and sink.spent(rows.waiting):
                    sink.leave(shard.places[number:])
                    break
                if place:
                    self._guarded(self._store.prefix + names.unescape(place), rows, self._lister.below)
                else:
                    sink.leave(self._explore(rows))
            rows.write()
        except (StoreError, PageError) as error:
            raise self._store.unreachable(error) from error
        if rows.listed != rows.accounted:
            raise self._store.unreachable(f"{rows.listed} keys were listed, and {rows.accounted} of them are accounted for: report this")
        return sink.finish()

    def digests(self, rows: pa.RecordBatch) -> "Reply":
        """What objects hold, by GET."""
        from scanners._gets import Reader

        return Reader(self._store, self._naming, self._lister, versions=self._settings.versions).read(rows)

    def protections(self) -> list[Protection]:
        """What the bucket says that protects it."""
        from scanners import _bucket

        return _bucket.protections(self._store)

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _taken(self, rows: "_Rows") -> pa.Array:
        """The ids of versions that jobs hide until they let them go, on this volume or on one above or below it: copies of nothing. Raises UnreachableError."""
        found: set[str] = set()
        related = [prefix.encode("utf-8", "surrogateescape") for prefix in self._settings.related]
        for prefix in dict.fromkeys([self._store.prefix, *related]) if self._settings.versions else ():  # else they do not show
            start = prefix + _QUARANTINE
            try:
                for items in Lister(self._store, versions=False).all_below(start):
                    found.update(one for key in items.keys if (one := ours.hidden_in(key[len(start) :])) is not None)
            except StoreError as error:
                if not error.refused:
                    raise self._store.unreachable(error) from error
                rows.hide(start if start.startswith(self._store.prefix) else self._store.prefix, f"what jobs hide is not known: {error}")
            except PageError as error:
                raise self._store.unreachable(error) from error
        return pa.array([names.escape(version.encode("utf-8", "surrogateescape")) for version in found], pa.string())

    def _explore(self, rows: "_Rows") -> list[str]:
        """List a small volume at once, and of a large one what lies above its prefixes, until there are many; gives these as places."""
        start = self._store.prefix
        first = self._lister.first(start)
        if first.next is None and not rows.spent(first.size):
            self._lister.below(start, rows.take, rows.problem)
            return []
        waiting, levels = deque([start]), 0
        while waiting and len(waiting) < _MANY_PLACES and levels < _MOST_LEVELS:
            levels += 1
            waiting += rows.wanted(self._guarded(waiting.popleft(), rows, self._lister.level) or [])
        return [names.escape(prefix[len(start) :]) for prefix in waiting]

    def _guarded(self, prefix: bytes, rows: "_Rows", listing: Callable[[bytes, Take, Problem], list[bytes] | None]) -> list[bytes] | None:
        """What a listing gives; what may not be listed is a problem that hides what lies below, unless it is all of the volume."""
        try:
            return listing(prefix, rows.take, rows.problem)
        except StoreError as error:
            if prefix == self._store.prefix or not error.refused:
                raise
            rows.hide(prefix, str(error))
            return None


class _Rows:
    """Puts what is listed into a sink, in sorted batches; what is left out is counted. Every key that was listed is accounted for."""

    def __init__(self, sink: Sink, naming: Naming, exclude: str | None, heads: Heads | None) -> None:
        """`heads` asks objects for what no list tells; None = nobody does."""
        self._sink, self._naming, self._exclude, self._heads = sink, naming, exclude, heads
        self._items: list[Items] = []
        self.waiting = self.listed = self.accounted = 0
        self.taken = pa.array([], pa.string())  # ids of the versions that jobs hide, and will let go

    def spent(self, more: int) -> bool:
        """Whether so many more rows are beyond the shard's budget."""
        return self._sink.spent(self.waiting + more)

    def take(self, items: Items) -> None:
        """Take what a page has of one kind. Raises PageError."""
        self.listed += len(items)
        self.waiting += len(items)
        self._items.append(items)
        if self.waiting >= _BATCH_ROWS:
            self.write()

    def problem(self, key: bytes, error: str) -> None:
        """Take what cannot be known of a key."""
        self._sink.problem(self._naming.path(key), "name", error, None, hides_below=False)

    def hide(self, prefix: bytes, error: str) -> None:
        """Take a prefix that cannot be listed."""
        self._sink.problem(self._naming.path(prefix).rstrip("/"), "list", error, None, hides_below=True)

    def wanted(self, prefixes: list[bytes]) -> list[bytes]:
        """The prefixes that are not left out."""
        paths = [self._naming.path(prefix) for prefix in prefixes]
        out = [False] * len(paths) if self._exclude is None else glob.excluded(self._exclude, pa.array(paths, pa.string())).to_pylist()
        self._sink.exclude(sum(out))
        return [prefix for prefix, path, is_out in zip(prefixes, paths, out, strict=True) if not is_out and path != _objects.OURS]

    def write(self) -> None:
        """Write the rows that wait. Raises PageError."""
        if not self._items:
            return
        tables = [self._naming.rows(items) for items in pages.joined(self._items)]
        self._items, self.waiting = [], 0
        if self._heads:
            tables = [self._heads.asked(table) for table in tables]
        columns, excluded, counted = _objects.sorted_rows(tables, self._exclude, self.taken)
        self._sink.exclude(excluded)
        self.accounted += counted
        if len(columns["name"]):
            self._sink.write(columns)
