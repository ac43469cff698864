"""Catalogs of Bacula in SQLite: what its jobs stored on which media, by the word of its director. Media are not looked at, and nothing is written there."""

import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pyarrow as pa

from catalog.errors import UnreachableError
from catalog.schema import ENTRIES
from scanners import Capabilities, Facts, Shard, ShardRecord, Sink, _bacula, _bacula_files
from scanners._points import of_the_volume, rows
from scanners._root import Rooted
from scanners._told import SKEW_US
from scanners._versions import Listings

_TOLD = {
    "dir", "name", "path_hash", "extension", "type", "size_bytes", "modified_at", "modified_ns", "changed_at", "changed_ns", "time_flags", "uid", "gid", "mode",
    "is_latest", "digest", "restore_state", "first_recovery_point", "last_recovery_point", "attested_at", "attested_level",
}  # fmt: skip
CAPABILITIES = Capabilities(columns=frozenset(ENTRIES.names) & _TOLD, recovery_points=True, told=True)

_SIDES = ("-journal", "-wal")  # files beside a database that is being written to


class Scanner(Rooted):
    """Reads one catalog, all of it at once. It takes no lock that could hold up the director: what changes meanwhile is read at the next scan."""

    def probe(self) -> Facts:
        """Look at the file. Raises UnreachableError."""
        status = os.fstat(self._root)
        if not stat.S_ISREG(status.st_mode):
            raise self._unreadable("not a file")
        return Facts(fs_id=None, device=None, clock="modified", capacity_bytes=None, free_bytes=None, empty=status.st_size == 0)

    def root_shard(self) -> Shard:
        """The catalog."""
        return Shard(0, ("",))

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """Read all jobs that are done and what they stored, then write it as versions. Raises UnreachableError if the catalog cannot be read as a whole."""
        del shard  # there is one
        settings = self._settings
        with self._quiet() as modified_us, Listings(sink.room() / "listings") as listings:
            told_us = modified_us if settings.told_at_us is None else settings.told_at_us
            if told_us > settings.started_us + SKEW_US:
                raise self._unreadable("it is of the future: nobody can say of which time it is; say it by 'told_at'")
            with closing(_bacula.connected(self._root)) as connection:
                jobs = _bacula.jobs(connection)
                whole = {job.point.id: job for job in jobs if job.why is None}
                points = of_the_volume(settings, [job.point for job in whole.values()], sink)
                chained = _bacula.chained([whole[point.id] for point in points])
                found = _bacula_files.Files(connection, chained, settings, sink)
                listings.take(found.batches())
            for columns, excluded in listings.versions(found.trees(), [job.point.id for job in chained], settings.exclude):
                if columns:
                    sink.write(columns)
                sink.exclude(excluded)
        for why in [*_bacula.left_out(jobs, {point.id for point in points}), *found.lost()]:
            sink.problem("", "stat", why, None, hides_below=False)
        if chained:
            sink.recovery_points(rows([replace(job.point, paths=found.roots(job)) for job in chained]))
        sink.told(min(told_us, settings.started_us))
        pa.default_memory_pool().release_unused()  # what comes next needs it
        return sink.finish()

    @contextmanager
    def _quiet(self) -> Iterator[int]:
        """When the catalog was last written. Raises UnreachableError where it is written to before the block ends, and for what cannot be read in it."""
        before = self._state()
        try:
            yield before[1] // 1000
        except _bacula.BadCatalogError as error:
            raise self._unreadable(str(error)) from error
        if self._state() != before:
            raise self._unreadable("it was changed while it was read; scan it when no job runs, or a copy of it")

    def _state(self) -> tuple[int, int, int]:
        for side in _SIDES:
            path = self._settings.location + side
            if os.path.exists(path) and os.path.getsize(path):
                raise self._unreadable(f"it is being written to, for {path} is there; scan it when no job runs, or a copy of it")
        status = os.fstat(self._root)
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def _unreadable(self, why: str) -> UnreachableError:
        return UnreachableError(f"volume {self._settings.volume}: {self._settings.location}: {why}")
