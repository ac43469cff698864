"""Deliveries of S3 Inventory: a manifest, and the data files that it names, as they lie in a copy of their bucket.

Source: Amazon S3 User Guide, "Locating your inventory list" and "Amazon S3 Inventory list".
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

from catalog import names
from scanners import _kernel
from scanners._told import ChangedError

MANIFEST, _CHECKSUM = "manifest.json", "manifest.checksum"
_DATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\dZ")
_VERSION = "2016-11-30"
_FORMS = {"csv": "csv", "orc": "orc", "parquet": "parquet"}
_MOST_MANIFEST_BYTES = 8 << 20
_MOST_KEY_BYTES = 1024
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True)
class Part:
    """A data file, as the manifest tells of it."""

    key: str
    size_bytes: int
    md5: str


@dataclass(frozen=True)
class Inventory:
    """What a manifest says."""

    bucket: str
    told_us: int  # when the store began to list the bucket
    form: str  # csv | orc | parquet
    columns: tuple[str, ...]  # of a CSV, which has no header
    parts: tuple[Part, ...]


class Delivery:
    """One delivery below a folder: the one whose manifest or folder is named, or the newest of a configuration's folder. Only reads."""

    def __init__(self, location: str) -> None:
        """Raises OSError, and ChangedError where there is none."""
        real = os.path.realpath(location)
        if not os.path.isdir(real):
            real = os.path.dirname(real)
        if os.path.isfile(os.path.join(real, MANIFEST)):
            folder, self._place = os.path.split(real)
        else:
            folder, self._place = real, _newest(real)
        self._root = os.open(folder, _DIRECTORY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def inventory(self, latest_us: int) -> Inventory:
        """What its manifest says, held against its checksum; of a time later than `latest_us` it is none. Raises OSError, ChangedError."""
        text = self._text(MANIFEST, _MOST_MANIFEST_BYTES)
        try:
            told = self._text(_CHECKSUM, 256).strip().decode("ascii", "replace")
        except FileNotFoundError as error:
            raise ChangedError(
                f"there is no {_CHECKSUM} beside it: copy the whole delivery, for without it nobody can tell that the manifest is whole"
            ) from error
        if not _MD5.fullmatch(told) or hashlib.md5(text, usedforsecurity=False).hexdigest() != told.lower():
            raise ChangedError(f"{MANIFEST} is not what {_CHECKSUM} says: one of them is of another delivery, or was changed; copy both again")
        found = _parsed(text)
        if found.told_us > latest_us:
            raise ChangedError("it is of the future: nobody can say of which time it is")
        return found

    def check(self, inventory: Inventory) -> None:
        """Look at all data files before one is read. Raises OSError, and ChangedError for what is missing, or of another size."""
        for part in inventory.parts:
            descriptor = self._found(part)
            try:
                _check_size(part, os.fstat(descriptor))
            finally:
                os.close(descriptor)

    @contextmanager
    def opened(self, part: Part) -> Iterator[BinaryIO]:
        """A data file whose bytes are those that the manifest tells of. Raises OSError, ChangedError; what is so raised while it is open names the file."""
        with os.fdopen(self._found(part), "rb", buffering=1 << 20) as file:
            before = os.fstat(file.fileno())
            _check_size(part, before)
            if _md5_of(file) != part.md5:
                raise ChangedError(f"{_shown(part.key)}: its MD5 is not what {MANIFEST} says: it was changed, or copied only in part; copy it again")
            file.seek(0)
            try:
                yield file
            except ChangedError as error:
                raise ChangedError(f"{_shown(part.key)}: {error}") from error
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (after.st_size, after.st_mtime_ns, after.st_ctime_ns):
                raise ChangedError(f"{_shown(part.key)}: it was changed while it was read")

    def _text(self, name: str, most_bytes: int) -> bytes:
        with os.fdopen(_kernel.open_beneath(self._root, os.fsencode(f"{self._place}/{name}"), _FILE), "rb") as file:
            text = file.read(most_bytes + 1)
        if len(text) > most_bytes:
            raise ChangedError(f"{name} has more than {most_bytes} bytes")
        return text

    def _found(self, part: Part) -> int:
        """The descriptor of a data file, by the end of its key: below the folder of the configuration or beside the manifest, as the bucket was copied."""
        ends = ["/".join(part.key.split("/")[-count:]) for count in (2, 1)]
        for path in (*ends, *(f"{self._place}/{end}" for end in ends)):
            try:
                return _kernel.open_beneath(self._root, path.encode(), _FILE)
            except (FileNotFoundError, NotADirectoryError):
                continue
        raise ChangedError(f"{_shown(part.key)}, which {MANIFEST} names, is missing: wait until the delivery is copied as a whole, or copy it again")


def _md5_of(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _newest(folder: str) -> str:
    """The name of the newest delivery of a configuration's folder. Raises OSError, ChangedError."""
    dated = sorted(name for name in os.listdir(folder) if _DATED.fullmatch(name))
    if not dated:
        raise ChangedError(f"neither a {MANIFEST} of S3 Inventory lies in it, nor a folder of a delivery, as 2026-01-31T01-00Z")
    if not os.path.isfile(os.path.join(folder, dated[-1], MANIFEST)):
        raise ChangedError(f"{dated[-1]} has no {MANIFEST}: wait until the delivery is copied as a whole, or copy it again")
    return dated[-1]


def _check_size(part: Part, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ChangedError(f"{_shown(part.key)}: not a regular file")
    if status.st_size != part.size_bytes:
        raise ChangedError(f"{_shown(part.key)}: it has {status.st_size} bytes, and {MANIFEST} says {part.size_bytes}: it was copied only in part, or changed")


def _parsed(text: bytes) -> Inventory:
    """Raises ChangedError for what is no manifest of S3 Inventory."""
    try:
        told = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ChangedError(f"{MANIFEST} is no JSON in UTF-8: {error}") from error
    if not isinstance(told, dict):
        raise _none("a table")
    if told.get("version") != _VERSION:
        raise ChangedError(f"{MANIFEST} has version {str(told.get('version'))[:40]!r}; known is {_VERSION}")
    bucket, form, schema, created, files = (told.get(name) for name in ("sourceBucket", "fileFormat", "fileSchema", "creationTimestamp", "files"))
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise _none("a sourceBucket that is the name of one")
    if not isinstance(form, str) or form.lower() not in _FORMS:
        raise _none("a fileFormat CSV, ORC or Parquet")
    if not isinstance(schema, str):
        raise _none("a fileSchema")
    if isinstance(created, bool) or not _MILLISECONDS.fullmatch(str(created)):
        raise _none("a creationTimestamp in milliseconds")
    if not isinstance(files, list):
        raise _none("a list of files")
    parts = tuple(map(_part, files))
    if len({part.key for part in parts}) < len(parts):
        raise ChangedError(f"{MANIFEST} names one file twice")
    columns = tuple(name.strip() for name in schema.split(",")) if form.lower() == "csv" else ()
    return Inventory(bucket, int(str(created)) * 1000, _FORMS[form.lower()], columns, parts)


def _part(told: Any) -> Part:  # noqa: ANN401 - JSON
    """Raises ChangedError for what no file can be, and for a key that leads elsewhere."""
    key, size, md5 = (told.get(name) for name in ("key", "size", "MD5checksum")) if isinstance(told, dict) else (None, None, None)
    if not isinstance(key, str) or type(size) is not int or not 0 <= size < 2**63 or not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise _none("of each file a key, a size and an MD5checksum")
    try:
        raw = key.encode()
    except UnicodeEncodeError as error:
        raise _none("keys in UTF-8") from error
    if len(raw) > _MOST_KEY_BYTES or b"\0" in raw or {"", ".", ".."} & set(key.split("/")):
        raise ChangedError(f"{MANIFEST} names {_shown(key[:200])}, which is the key of no file of a delivery")
    return Part(key, size, md5.lower())


def _none(what: str) -> ChangedError:
    return ChangedError(f"{MANIFEST} is none of S3 Inventory: it must have {what}")


def _shown(key: str) -> str:
    return names.escape(key.encode("utf-8", "replace"))
