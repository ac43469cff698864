"""What objects of a bucket hold, read by ranged GETs in bounded memory: several at a time, each tried again from where it broke off."""

import errno
import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import pyarrow as pa

from catalog import names
from catalog.pages import PageError
from catalog.store import Query, Store, StoreError
from scanners._lister import Lister
from scanners._objects import Naming, Told
from scanners.reading import SAMPLE_BYTES, SMALL_BYTES, Reply

_AT_ONCE = 8
_RANGE_BYTES = 64 << 20  # of one GET
_BLOCK_BYTES = 1 << 20
_TRIES = 5  # that bring nothing
_WAIT_SECONDS = 0.2
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_GONE = "it is not, or no longer, what was scanned"
_ARCHIVED = "it is in an archive of the store: a restore must be requested there before it can be read"


@dataclass(frozen=True)
class Wanted:
    """An object to be read: its number is that of the content that was scanned."""

    key: bytes
    number: int
    size_bytes: int


class OtherError(Exception):
    """What is there is not what is wanted."""


class Reader:
    """Reads objects of one bucket. Only reads."""

    def __init__(self, store: Store, naming: Naming, lister: Lister, *, versions: bool) -> None:
        """`versions`: whether what is wanted may be a version that is not the latest."""
        self._store, self._naming, self._lister, self._versions = store, naming, lister, versions

    def read(self, rows: pa.RecordBatch) -> Reply:
        """Digests and samples of objects by `dir`, `name` and number (`inode`), with `size_bytes`."""
        started, paths = time.monotonic_ns(), zip(rows["dir"].to_pylist(), rows["name"].to_pylist(), strict=True)
        keys = [self._store.prefix + names.unescape(directory + name) for directory, name in paths]
        wanted = [Wanted(*one) for one in zip(keys, rows["inode"].to_pylist(), rows["size_bytes"].to_pylist(), strict=True)]
        reply = Reply(started, [], [], [], 0, [])
        total = 0
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for row, (digest, sample, problem) in enumerate(pool.map(self._read, wanted)):
                reply.digests.append(digest)
                reply.samples.append(sample)
                reply.ended_ns.append(time.monotonic_ns())
                if problem:
                    reply.problems.append((row, *problem))
                total += wanted[row].size_bytes if digest else 0
        return reply._replace(bytes_read=total)

    def _read(self, wanted: Wanted) -> tuple[bytes | None, bytes | None, tuple[str, str, int | None] | None]:
        """Digest and sample, or why there are none: stage, text and errno as in a `Problem`."""
        try:
            return (*self._latest_or_version(wanted), None)
        except OtherError:
            return None, None, ("changed", _GONE, None)
        except PageError as error:
            return None, None, ("read", str(error), None)
        except StoreError as error:
            if error.code == "InvalidObjectState":
                return None, None, ("stat", _ARCHIVED, None)
            return None, None, ("open" if error.status else "read", str(error), errno.EACCES if error.refused else None)

    def _latest_or_version(self, wanted: Wanted) -> tuple[bytes, bytes | None]:
        """Digest and sample of what the key shows, if that is wanted, else of the version that is. Raises StoreError, PageError, OtherError."""
        try:
            return self._content(wanted, {})
        except OtherError:
            version = self._version(wanted) if self._versions else None
            if version is None:
                raise
        return self._content(wanted, {"versionId": version})

    def _version(self, wanted: Wanted) -> str | None:
        """The id of the version that has the number, if it is still there."""
        for items in self._lister.of_key(wanted.key):
            if items.kind == "Version":
                rows = self._naming.rows(items)
                for number, version in zip(rows["inode"].to_pylist(), items.values("VersionId"), strict=True):
                    if number == wanted.number and version:
                        return version.decode("utf-8", "surrogateescape")
        return None

    def _content(self, wanted: Wanted, query: Query) -> tuple[bytes, bytes | None]:
        """The digest of an object, and a sample of a large one. Raises StoreError, OtherError."""
        whole, head, tail = hashlib.sha256(), b"", b""
        for block in self.blocks(wanted, query):
            whole.update(block)
            if len(head) < SAMPLE_BYTES:
                head += block[: SAMPLE_BYTES - len(head)]
            tail = (tail + block[-SAMPLE_BYTES:])[-SAMPLE_BYTES:]
        return whole.digest(), hashlib.sha256(head + tail).digest() if wanted.size_bytes > SMALL_BYTES else None

    def blocks(self, wanted: Wanted, query: Query) -> Iterator[bytes]:
        """The bytes of an object, all of one content. Raises StoreError, OtherError."""
        offset, left, wait = 0, _TRIES, _WAIT_SECONDS
        while offset < wanted.size_bytes:
            until = min(wanted.size_bytes, offset + _RANGE_BYTES)
            try:
                for block in self._range(wanted, query, offset, until):
                    offset += len(block)
                    left, wait = _TRIES, _WAIT_SECONDS
                    yield block
            except StoreError as error:
                left -= 1
                if not left or not error.passing:
                    raise
                time.sleep(wait)
                wait *= 2

    def _range(self, wanted: Wanted, query: Query, offset: int, until: int) -> Iterator[bytes]:
        """The bytes of a range, none more and, unless it breaks off, none less."""
        try:
            stream = self._store.stream(wanted.key, query, {"Range": f"bytes={offset}-{until - 1}"}, _BLOCK_BYTES)
            headers = next(stream)
        except StoreError as error:
            if error.status in (404, 416) or (error.status == 405 and not query):  # gone, shorter, or a delete marker
                raise OtherError from error
            raise
        assert not isinstance(headers, bytes)  # noqa: S101 - the first is not
        if not self._is_wanted(wanted, headers, offset, until):
            stream.close()
            raise OtherError
        left = until - offset
        for block in stream:
            assert isinstance(block, bytes)  # noqa: S101 - all others are
            if len(block) > left:
                stream.close()
                raise StoreError("the store sends more than was asked for", 200)
            left -= len(block)
            yield block
        if left:
            raise StoreError("the connection broke off")

    def _is_wanted(self, wanted: Wanted, headers: Mapping[str, str], offset: int, until: int) -> bool:
        """Whether an answer is of the content that was scanned, and of the range."""
        found = _RANGE.fullmatch(headers.get("content-range", ""))
        if not found or (int(found[1]), int(found[2]) + 1, int(found[3])) != (offset, until, wanted.size_bytes):
            return False
        return self._naming.number(wanted.key, told_by(headers, wanted.size_bytes)) == wanted.number


def told_by(headers: Mapping[str, str], size_bytes: int) -> Told:
    """What the headers of an object say of it."""
    try:
        modified_s = int(parsedate_to_datetime(headers.get("last-modified", "")).timestamp())
    except ValueError:
        modified_s = -1
    etag = headers.get("etag")
    return Told(None if etag is None else etag.strip('"'), modified_s, size_bytes)
