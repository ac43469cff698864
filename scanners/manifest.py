"""Manifests: what a volume holds by the word of who wrote down its checksums (sha256sum and its kin, BagIt, MHL): not by a look at it."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from catalog import names
from catalog.errors import UnreachableError
from scanners import Capabilities, Facts, Shard, ShardRecord, Sink, _bag, _kernel, _mhl, _mhl1, _sums, _xml
from scanners._root import Rooted
from scanners._told import ATTESTED, COLUMNS, READ, ChangedError, Claims

CAPABILITIES = Capabilities(columns=COLUMNS, told=True, told_in_place=True)

_ALGORITHM = r"(?:md5|sha1|sha224|sha256|sha384|sha512|b2|blake2b?)"
_NAMED = re.compile(rf"{_ALGORITHM}[-_]?sums?(?:\.txt)?|.+\.{_ALGORITHM}(?:sums?)?(?:\.txt)?", re.IGNORECASE)
_LIST = b".mhl"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_UNCLEAR = "it has checksums of 64 digits that do not say of which algorithm, and its name does not have 'sha256' in it: they are taken for none; rename it"


class Scanner(Rooted):
    """Reads one manifest, or every one of a folder and of the folders below; paths in one are relative to where it lies."""

    def probe(self) -> Facts:
        """Look at the root. Raises UnreachableError."""
        status = os.fstat(self._root)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise UnreachableError(f"volume {self._settings.volume}: {self._settings.location}: neither a file nor a folder")
        empty = not os.listdir(self._root) if stat.S_ISDIR(status.st_mode) else status.st_size == 0
        return Facts(fs_id=None, device=None, clock="modified", capacity_bytes=None, free_bytes=None, empty=empty)

    def root_shard(self) -> Shard:
        """The root."""
        return Shard(0, ("",))

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """Read every manifest, then write what they say together: one path may be in several."""
        del shard  # there is one
        with Claims(self._settings, sink) as claims:
            if stat.S_ISDIR(os.fstat(self._root).st_mode):
                waiting = [b""]
                while waiting:
                    self._look(waiting.pop(), waiting, claims)
            else:
                self._read_root(os.path.basename(os.fsencode(self._settings.location)), claims)
            claims.write()
        return sink.finish()

    def _look(self, folder: bytes, waiting: list[bytes], claims: Claims) -> None:
        """Read the manifests of one folder; links are not followed, file systems are not left unless the volume says so."""
        try:
            descriptor = _kernel.open_beneath(self._root, folder, _DIRECTORY, self._settings.cross_mounts)
        except OSError as error:
            if error.errno != errno.EXDEV:
                claims.sink.problem(names.escape(folder.rstrip(b"/")), "list", error.strerror or str(error), error.errno, hides_below=error.errno not in _GONE)
            return
        folders, files = list[bytes](), list[bytes]()
        try:
            if not self._guarded(folder, folder or b".", claims, lambda: _list(descriptor, folders, files)):
                return  # a part of its manifests may be the older part
        finally:
            os.close(descriptor)
        if _bag.MARK in files:
            self._guarded(folder, folder, claims, lambda: _bag.read(self, folder, sorted(files), claims, self._level))
        for name in sorted(files):
            if not _bag.is_part(os.fsdecode(name)) and not name.lower().endswith(_LIST):
                self._guarded(folder, folder + name, claims, lambda name=name: self._sums(folder, name, claims))  # called at once
        for name in sorted(name for name in files if name.lower().endswith(_LIST)):
            self._guarded(folder, folder + name, claims, lambda name=name: self._list_of_hashes(folder, name, claims))  # called at once
        if _mhl.FOLDER in folders:
            folders.remove(_mhl.FOLDER)
            self._guarded(folder, folder + _mhl.FOLDER, claims, lambda: _mhl.read(self, folder, claims, self._level))
        waiting += sorted((folder + name + b"/" for name in folders), reverse=True)

    def _list_of_hashes(self, folder: bytes, name: bytes, claims: Claims) -> None:
        """Take a list of MHL 1.x; others, that a history of ASC MHL was flattened to, tell no more than that. Raises OSError, ChangedError."""
        try:
            with self.opened(folder + name, claims) as (file, modified_us):
                is_first = _mhl1.is_one(file)
                file.seek(0)
                if not is_first:
                    _mhl1.check_other(file)
                    return
                with claims.source(names.escape(name), folder) as source:
                    _mhl.read_one(source, file, claims, self._level, modified_us)
        except _xml.BadXMLError as error:
            raise ChangedError(str(error)) from error

    def _guarded(self, hidden: bytes, path: bytes, claims: Claims, reading: Any) -> bool:  # noqa: ANN401 - a function without arguments
        """Read, and whether that went well; what cannot be read as a whole is a problem that hides what lies below."""
        try:
            reading()
        except (OSError, ChangedError) as error:
            said = (error.strerror if isinstance(error, OSError) else None) or str(error)
            number = error.errno if isinstance(error, OSError) else None
            claims.sink.problem(names.escape(hidden.rstrip(b"/")), "list", f"{names.escape(path)}: {said}", number, hides_below=True)
            return False
        return True

    def _read_root(self, name: bytes, claims: Claims) -> None:
        """Take the one manifest that the volume is. Raises UnreachableError where it cannot be read as a whole."""
        try:
            if name.lower().endswith(_LIST):
                with self.opened(b"", claims) as (file, modified_us), claims.source(names.escape(name)) as source:
                    _mhl.read_one(source, file, claims, self._level, modified_us)
            else:
                self._sums(b"", name, claims)
        except (OSError, ChangedError) as error:
            raise UnreachableError(f"volume {self._settings.volume}: {self._settings.location}: {error}") from error

    def listed(self, folder: bytes) -> list[bytes]:
        """The names of the regular files of a folder. Raises OSError."""
        descriptor = _kernel.open_beneath(self._root, folder, _DIRECTORY, self._settings.cross_mounts)
        try:
            with os.scandir(descriptor) as entries:
                return [os.fsencode(entry.name) for entry in entries if entry.is_file(follow_symlinks=False)]
        finally:
            os.close(descriptor)

    @property
    def _level(self) -> int:
        """What a checksum that somebody else made is worth: he read the file, and only where it is said that he did here, this one."""
        return READ if self._settings.read_in_place else ATTESTED

    def _sums(self, folder: bytes, name: bytes, claims: Claims) -> None:
        """Take a file of checksums: it is of the time when it was last written."""
        with self.opened(folder + name, claims) as (file, modified_us), claims.source(names.escape(name), folder) as source:
            if _sums.read(source, file, called=os.fsdecode(name), told_us=modified_us, level=self._level):
                source.refuse("as a whole", _UNCLEAR, name)
            claims.of(modified_us)

    @contextmanager
    def opened(self, path: bytes, claims: Claims) -> Iterator[tuple[BinaryIO, int]]:
        """A file below the root, or the root, and when it was last written. Raises OSError, and ChangedError at the end where it was written meanwhile."""
        is_root = not stat.S_ISDIR(os.fstat(self._root).st_mode)
        flags = _FILE & ~os.O_NOFOLLOW if is_root else _FILE
        descriptor = os.open(f"/proc/self/fd/{self._root}", flags) if is_root else _kernel.open_beneath(self._root, path, flags, self._settings.cross_mounts)
        with os.fdopen(descriptor, "rb", buffering=1 << 20) as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise ChangedError("not a regular file")
            modified_us = before.st_mtime_ns // 1000
            if modified_us > claims.latest_us:
                raise ChangedError("it was written in the future: nobody can say of which time it is")
            yield file, modified_us
            after = os.fstat(descriptor)
            if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (after.st_size, after.st_mtime_ns, after.st_ctime_ns):
                raise ChangedError("it was changed while it was read")


def _list(descriptor: int, folders: list[bytes], files: list[bytes]) -> None:
    """Put the names of a folder where they belong. Raises OSError."""
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(os.fsencode(entry.name))
            elif entry.is_file(follow_symlinks=False) and (
                _NAMED.fullmatch(entry.name) or _bag.is_part(entry.name) or os.fsencode(entry.name).lower().endswith(_LIST)
            ):
                files.append(os.fsencode(entry.name))
