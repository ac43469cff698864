"""A bucket that is written to, and the one in which a catalog lies: its files go there, its commits are put over nothing."""

import base64
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from catalog import log, pages, store
from catalog.errors import CatalogError, RefusedError, SpoiledError, UnreachableError
from catalog.store import Query, Store, StoreError

_BLOCK_BYTES = 1 << 20
_CREATE = {"If-None-Match": "*"}
_REFUSED = (409, 412)  # what it means that something has the name: 409 while another request gives it one
_CHANGED = ("BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest")  # what it means that a body is not the one that was sent
_LARGEST_BYTES = 5 << 30  # of one request
_TRIES, _WAIT_SECONDS = 5, 0.2  # of a commit; doubled for each further one
_MD5 = 32  # characters of an ETag that is one, or, where a store encrypts, looks like one
_KEPT_MD5 = "x-amz-meta-md5chksum"  # in base64, as rclone keeps it too: what a store tells of an object, whatever its ETag is
_DAMAGED = "Damaged"  # no store's word


@dataclass(frozen=True)
class Listed:
    """What a listing tells of an object: its key below the catalog's prefix, and when it was stored, in seconds since 1970."""

    path: str
    size_bytes: int
    stored_at: float
    etag: str  # the MD5 of what it holds, in small letters; of what was encrypted by KMS or came in parts something else


class WritableStore(Store):
    """One bucket that may be written to. Each request that writes is sent once: whoever sends again must look first."""

    def put(self, key: bytes, body: bytes | BinaryIO, headers: Mapping[str, str] | None = None, query: Query | None = None) -> Mapping[str, str]:
        """Store an object, or what `query` names of it; gives the headers of the answer. Its payload is signed. Writes. Raises StoreError."""
        return self._written("PUT", key, query or {}, headers or {}, body)[0]

    def delete(self, key: bytes, version: str | None = None) -> None:
        """Remove one version of an object; of a bucket that keeps none, the object. Writes. Raises StoreError."""
        self._written("DELETE", key, {} if version is None else {"versionId": version}, {}, b"")

    def _written(self, method: str, key: bytes, query: Query, headers: Mapping[str, str], body: bytes | BinaryIO) -> tuple[Mapping[str, str], bytes]:
        with closing(self._sent(method, key, query, headers, body)) as response:
            said = store._read(response)
            return {name.lower(): value for name, value in response.headers.items()}, said


class Bucket(WritableStore):
    """The bucket of a catalog; every path is below its prefix. Threads may share it, processes not."""

    def unreachable(self, why: object) -> UnreachableError:
        """The error of the catalog."""
        return UnreachableError(f"catalog {self._settings.location}: {why}")

    def refuse_unsafe(self) -> None:
        """Raises RefusedError where the store lets one commit overwrite another: it must refuse to put a second object of a name. Writes a canary."""
        try:
            is_refused = self._again(self._refuses_a_second)
        except StoreError as error:
            raise self._told(error, "a canary could not be written") from error
        if not is_refused:
            raise RefusedError(
                f"catalog {self._settings.location}: this bucket ignores If-None-Match, so that one host would overwrite what another one commits;"
                " use a bucket that heeds it (with Ceph one without versioning), or a folder of this host as [catalog] path"
            )

    def _refuses_a_second(self) -> bool:
        key = self.prefix + f".canary-{secrets.token_hex(8)}".encode()
        self.put(key, b"one", {**_CREATE, **_sums(_md5(b"one"))})
        try:
            self.put(key, b"two", {**_CREATE, **_sums(_md5(b"two"))})
        except StoreError as error:
            if error.status in _REFUSED:
                return True
            raise
        finally:
            self._again(lambda: self.delete(key))
        return False

    def list(self, beginning: str, after: str = "") -> Iterator[Listed]:
        """What lies in the bucket and begins so, from a path on that itself is left out, in the order of its paths. Raises UnreachableError."""
        query: dict[str, str | bytes] = {"list-type": "2", "prefix": self.prefix + beginning.encode(), "encoding-type": "url"}
        query |= {"start-after": self.prefix + after.encode()} if after else {}
        further: Mapping[str, str | bytes] | None = {}
        while further is not None:
            try:
                page = pages.objects(self.get(None, {**query, **further}))
            except (StoreError, pages.PageError) as error:
                raise self.unreachable(error) from error
            further = page.next
            for items in page.items:
                etags = items.values("ETag") if "ETag" in items.columns else [None] * len(items)
                for key, size, stored, etag in zip(items.keys, items.values("Size"), items.values("LastModified"), etags, strict=True):
                    path = key.removeprefix(self.prefix).decode("utf-8", "surrogateescape")
                    yield Listed(path, int(size or 0), _seconds(stored or b""), pages.unescaped((etag or b"").decode("ascii", "replace")).strip('"').lower())

    def upload(self, path: str, file: Path) -> None:
        """Store a file under a path that nothing else has, again where that may help: the same is the same. Writes. Raises UnreachableError, CatalogError."""
        size_bytes = file.stat().st_size
        if size_bytes > _LARGEST_BYTES:
            raise CatalogError(f"{file}: has more than {_LARGEST_BYTES} bytes, and a store takes no more at once; set [catalog] memory_limit higher")

        with file.open("rb") as body:
            digest = hashlib.file_digest(body, _md5)

        def send() -> None:
            with file.open("rb") as body:
                self._put_checked(path, body if size_bytes else b"", digest, {"Content-Length": str(size_bytes)})

        try:
            self._again(send)
        except StoreError as error:
            raise self._told(error, f"{path} could not be stored") from error

    def _put_checked(self, path: str, body: bytes | BinaryIO, digest: "hashlib._Hash", headers: Mapping[str, str]) -> None:
        """Store an object, and see that it came as it was sent, by its ETag or by reading it: not every store looks at its digest. Raises StoreError, where it
        did not so that another try may help."""
        try:
            answer = self.put(self._key(path), body, {**headers, **_sums(digest)})
        except StoreError as error:
            raise StoreError(f"it came changed ({error})") if error.code in _CHANGED else error from error
        if _told_md5(answer) not in (None, digest.hexdigest()):
            there = _md5()
            self._receive(path, there.update)
            if there.digest() != digest.digest():
                raise StoreError("what is stored is not what was sent")

    def create(self, path: str, content: bytes) -> bool:
        """Store an object if nothing has its name; gives whether what is there then is this. Writes. Raises UnreachableError, CatalogError."""
        why: StoreError | None = None
        try:
            self.put(self._key(path), content, {**_CREATE, **_sums(_md5(content))})
        except StoreError as error:  # something has the name, or the answer was lost: what is there tells
            why = error
        try:
            return self.read(path) == content
        except FileNotFoundError as error:
            if why is None:
                raise self.unreachable(f"{path} was stored, and is not there; try again") from error
            raise self._told(why, f"{path} could not be stored") from why

    def commit(self, path: str, content: bytes) -> bool:
        """Store an object if nothing has its name, and read it back; gives whether it is what is there: another's whole commit stays as it is.

        What came there changed on its way is stored anew, in the place of what was seen and of nothing else. Writes. Raises UnreachableError, CatalogError
        where the store refuses, SpoiledError where that did not help: what lies there is then no good commit.
        """
        seen = ""  # the ETag of what is there and no good
        why: StoreError | None = None
        wait = _WAIT_SECONDS
        try:
            for tries_left in reversed(range(_TRIES)):
                why = self._put_where(path, content, {"If-Match": seen} if seen else _CREATE)
                try:
                    seen, found = self._settled(path, content)
                except FileNotFoundError:
                    seen = ""
                else:
                    if found == content:
                        return True
                    if log.is_of_another(found, content):
                        return False
                if tries_left:
                    time.sleep(wait)
                    wait *= 2
        except (CatalogError, UnreachableError) as error:
            if seen:
                raise self._spoiled(path, error) from error
            raise
        if seen:
            raise self._spoiled(path, why or "something on the way, or the store, changes what is stored")
        raise self.unreachable(f"{path} could not be stored: {why or 'it is not there'}; try again")

    def _spoiled(self, path: str, why: object) -> SpoiledError:
        return SpoiledError(f"catalog {self._settings.location}: {path} is not kept as it was sent, and could not be stored anew ({why})")

    def _put_where(self, path: str, content: bytes, condition: Mapping[str, str]) -> StoreError | None:
        """Store an object on a condition; gives why the store did not say that it did. Raises CatalogError where it refuses for want of permission."""
        try:
            self.put(self._key(path), content, {**condition, **_sums(_md5(content))})
        except StoreError as error:
            if error.refused:
                raise self._told(error, f"{path} could not be stored") from error
            return error
        return None

    def _settled(self, path: str, wanted: bytes) -> tuple[str, bytes]:
        """The ETag of a small object, without quotes (Ceph 16 takes none in `If-Match`), and what it holds, as far as that can be known: it is what was
        wanted, its ETag is its MD5, or it came so twice. Raises FileNotFoundError, UnreachableError, CatalogError."""
        came: tuple[str, bytes] | None = None
        for _ in range(_TRIES):
            try:
                headers, content = self._again(lambda: self._written("GET", self._key(path), {}, {}, b""))
            except StoreError as error:
                raise FileNotFoundError(path) if _is_absent(error) else self._told(error, path) from error
            found = headers.get("etag", "").strip('"'), content
            if content == wanted or found[0].lower() == _md5(content).hexdigest() or found == came:
                return found
            came = found
        raise self.unreachable(f"{path} comes otherwise each time that it is read")

    def replace(self, path: str, content: bytes) -> None:
        """Store an object in the place of what has its name. Writes. Raises UnreachableError, CatalogError."""
        try:
            self._again(lambda: self._put_checked(path, content, _md5(content), {}))
        except StoreError as error:
            raise self._told(error, f"{path} could not be stored") from error

    def read(self, path: str) -> bytes:
        """What a small object holds. Raises FileNotFoundError, UnreachableError, CatalogError."""
        try:
            return self.get(self._key(path), {})
        except StoreError as error:
            raise FileNotFoundError(path) if _is_absent(error) else self._told(error, path) from error

    def holds(self, listed: Listed, content: bytes) -> bool:
        """Whether a small object holds this. It is read where its ETag does not say so: not every ETag is an MD5. Raises UnreachableError, CatalogError."""
        if listed.size_bytes != len(content):
            return False
        if listed.etag == _md5(content).hexdigest():
            return True
        try:
            return self.read(listed.path) == content
        except FileNotFoundError:
            return False

    def download(self, path: str, into: Path) -> None:
        """Write what an object holds into a file, and make it durable. Raises FileNotFoundError, UnreachableError, CatalogError where it is damaged."""
        try:
            self._again(lambda: self._download(path, into))
        except StoreError as error:
            raise FileNotFoundError(path) if _is_absent(error) else self._told(error, path) from error

    def remove(self, path: str) -> None:
        """Remove an object, if it is there. Writes. Raises UnreachableError, CatalogError."""
        try:
            self._again(lambda: self.delete(self._key(path)))
        except StoreError as error:
            raise self._told(error, f"{path} could not be removed") from error

    @property
    def url(self) -> str:
        """Where the catalog lies, with a slash at its end."""
        return f"s3://{self.bucket}/{self.prefix.decode('utf-8', 'surrogateescape')}"

    def _key(self, path: str) -> bytes:
        return self.prefix + path.encode("utf-8", "surrogateescape")

    def _download(self, path: str, into: Path) -> None:
        """One try. Raises StoreError, also where what came is not what is stored."""
        digest = _md5()
        with into.open("wb") as file:

            def take(block: bytes) -> None:
                digest.update(block)
                file.write(block)

            headers = self._receive(path, take)
            file.flush()
            os.fsync(file.fileno())
        kept = headers.get(_KEPT_MD5)
        if (kept or _told_md5(headers)) not in (None, _sums(digest)[_KEPT_MD5] if kept else digest.hexdigest()):
            raise StoreError(f"{path}: is not what was stored: its MD5 is another one", code=_DAMAGED)

    def _receive(self, path: str, take: Callable[[bytes], object]) -> Mapping[str, str]:
        """Read an object, one try; gives what the store tells of it. Raises StoreError, also where less comes than it has."""
        stream = self.stream(self._key(path), {}, {}, _BLOCK_BYTES)
        headers, size_bytes = next(stream), 0
        assert isinstance(headers, Mapping)  # noqa: S101  # the first one
        for block in stream:
            assert isinstance(block, bytes)  # noqa: S101  # all others
            size_bytes += len(block)
            take(block)
        if headers.get("content-length") != str(size_bytes):
            raise StoreError(f"{path}: what came is not what is stored")
        return headers

    def _told(self, error: StoreError, what: str) -> Exception:
        """The error of a request that was not done: nobody answered, the store refused, or what it has is damaged."""
        if error.code == _DAMAGED:
            return CatalogError(f"catalog {self._settings.location}: {error}; 'lastcopy catalog verify' says more")
        if error.refused:
            return CatalogError(f"catalog {self._settings.location}: {what}: {error}; reports can be read with these credentials if they may read")
        return self.unreachable(f"{what}: {error}")


def _sums(digest: "hashlib._Hash") -> dict[str, str]:
    """What goes with an object for the store to hold it against, and to keep; a bucket in which all is locked takes nothing without the first."""
    encoded = base64.b64encode(digest.digest()).decode()
    return {"Content-MD5": encoded, _KEPT_MD5: encoded}


def _told_md5(headers: Mapping[str, str]) -> str | None:
    """The ETag of an answer, in small letters, if it may be the MD5 of the object; None where the store says that it encrypts, or it looks otherwise."""
    etag = headers.get("etag", "").strip('"').lower()
    is_kms = headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    return None if is_kms or len(etag) != _MD5 or "x-amz-server-side-encryption-customer-algorithm" in headers else etag


def _md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)


def _is_absent(error: StoreError) -> bool:
    return error.status == 404 and error.code != "NoSuchBucket"


def _seconds(text: bytes) -> float:
    try:
        return datetime.fromisoformat(text.decode()).timestamp()
    except ValueError:
        return float("inf")  # not known to be old
