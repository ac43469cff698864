"""Copies that become objects: sent whole or in parts, each has its name at once and over nothing; where an answer is lost they are looked for first."""

import base64
import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

from catalog.ours import HOME
from catalog.store import StoreError
from lifecycle.ends import EndError
from lifecycle.stores import Capabilities, Fingerprint, Metadata, _object_metadata
from lifecycle.stores._bucket import checksum, md5
from lifecycle.stores._object_metadata import OP
from lifecycle.stores._object_names import Name
from lifecycle.stores._objects import Objects

PART_BYTES = 8 << 20
_MOST_PARTS = 10_000
_LARGEST_PART_BYTES = 64 << 20
_IN_FLIGHT_BYTES = 64 << 20  # of the parts of one object
_WAITING_BYTES = 64 << 20  # of small objects that wait to be sent together
_CREATE = {"If-None-Match": "*"}  # also where versions are looked at: some stores heed it once no more are kept
UPLOADS = HOME + b"/uploads/"
_ZEROS = bytes(1 << 20)


@dataclass
class Means:
    """What the copies of one volume share."""

    objects: Objects
    able: Capabilities
    headers: Mapping[str, str]  # of every object, as the configuration asks
    waiting_bytes: int = 0
    lock: Lock = field(default_factory=Lock)

    def may_wait(self, more: int) -> bool:
        """Whether so many bytes more may be kept until they are sent."""
        with self.lock:
            if self.waiting_bytes + more > _WAITING_BYTES:
                return False
            self.waiting_bytes += more
            return True

    def sent(self, count: int) -> None:
        """Those bytes wait no more."""
        with self.lock:
            self.waiting_bytes -= count

    def checked(self, body: bytes) -> dict[str, str]:
        """The checksum of content, of the kind that the store holds it against."""
        if self.able.checksums == "sha256":
            return {"x-amz-checksum-sha256": checksum(body)}
        return {"Content-MD5": md5(body)} if self.able.checksums == "md5" else {}


class Upload:
    """A copy on its way to be an object: what `Staged` says. Nothing is at its name before `sync`; what is there then is whole."""

    inode = None  # nothing tells an object before it is there; its operation does then

    def __init__(self, means: Means, path: bytes, key: str, metadata: Metadata | None, size_bytes: int | None) -> None:
        self.read_back: Fingerprint | None = None
        self._means, self._objects, self._path, self._key = means, means.objects, path, key
        self._metadata = metadata
        self._part_bytes = _part_bytes(size_bytes or 0) if means.able.parts != "none" else _LARGEST_PART_BYTES
        self._refuse_too_large(size_bytes or 0)
        self._buffer = bytearray()
        self._waits = 0  # bytes that `means` knows to be kept
        self._sent = False
        self._size_bytes = 0
        self._name = Name(self._objects, means.able, path, key)
        self._digest = hashlib.sha256() if means.able.parts == "versions" else None  # of the parts that were sent
        self._told: Mapping[str, str] | None = None  # of the object, once it was looked at
        self._wanted: tuple[int, str] | None = None  # of one that was sent whole: its length and its checksum, as it is to tell them
        self._upload: str | None = None
        self._noted: str | None = None  # the version of its note
        self._parts: list[Future[tuple[str, bytes]]] = []
        self._threads: ThreadPoolExecutor | None = None

    @classmethod
    def of_stored(cls, means: Means, path: bytes, key: str) -> "Upload":
        """One that an earlier run has sent: it is only read back."""
        made = cls(means, path, key, None, None)
        made._sent = True
        return made

    def write(self, block: memoryview | int) -> None:
        """Append a block, or a run of zeros. Parts that are full are sent. Raises EndError, UnreachableError."""
        for piece in _pieces(block):
            done = 0
            while done < len(piece):
                if len(self._buffer) == self._part_bytes:
                    self._send_part()
                room = self._part_bytes - len(self._buffer)
                self._buffer += piece[done : done + room]
                done += room
            self._size_bytes += len(piece)

    def finish(self, metadata: Metadata) -> list[str]:
        """Know its metadata; gives what cannot be kept. It is sent now if too many others wait. Raises EndError, UnreachableError."""
        if self._upload is None:
            self._metadata = metadata
        _, lost = _object_metadata.headers(self._key, self._metadata)
        if self._sent:
            return lost
        if self._means.may_wait(len(self._buffer)):
            self._waits = len(self._buffer)
        else:
            self._send()
        return lost

    def sync(self) -> None:
        """Let it have its name, over nothing, if it has not: a store says yes when it is durable. Raises EndError CONFLICT, UNKNOWN, UnreachableError."""
        self._send()

    def taint(self) -> None:
        """Take our object away, which has not the content that was sent: the version that the answer named. Writes. Raises EndError CONFLICT, FAILED."""
        self._name.take_away()

    def digest(self) -> tuple[bytes, int]:
        """SHA-256 and length of what the store gives back. Raises EndError, UnreachableError."""
        if self._wanted is not None:
            return self._digest_of_whole(*self._wanted)
        found = self._told or self._objects.find(self._path, self._name.version)
        if found is None or found.get(OP) != self._key:
            raise EndError("CONFLICT", f"{self._objects.shown(self._path)}: is not the object that was just stored; it was not touched")
        self.read_back = self._objects.fingerprint(self._path, found)  # each request of the reading is held against that
        return self._objects.sha256(self._path, self.read_back, self._name.version)

    def _digest_of_whole(self, size_bytes: int, wanted: str) -> tuple[bytes, int]:
        """Of an object that was sent whole what it tells of itself comes with its content. Raises EndError, UnreachableError."""
        with self._objects.ending("read", self._path):
            came = self._objects.bucket.read(self._objects.key(self._path), self._name.version)
        told = self._hold_against(came and came[0], size_bytes, wanted)
        assert came is not None  # noqa: S101  # else it was refused
        self.read_back = self._objects.fingerprint(self._path, told)
        return came[1:]

    def close(self) -> None:
        """Let go of what was not sent. Parts that were stay until `discard`."""
        self._buffer = bytearray()
        self._means.sent(self._waits)
        self._waits = 0
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._threads = None

    def _send(self) -> None:
        if self._sent:
            return
        if self._upload is None:
            self._put_whole()
        else:
            self._complete()
        self._sent = True
        self.close()

    def _put_whole(self) -> None:
        key, body = self._objects.key(self._path), bytes(self._buffer)
        headers = {**self._headers(), **self._means.checked(body), **_CREATE}
        create = self._means.able.publish == "create"
        digest = hashlib.sha256(body).digest()
        self._name.take(lambda: self._objects.bucket.put(key, body, headers), create=create, sent=lambda: digest)
        self._wanted = len(body), base64.b64encode(digest).decode()

    def _send_part(self) -> None:
        """Send the buffer as a part, while the next one is read."""
        bucket, key, body = self._objects.bucket, self._objects.key(self._path), bytes(self._buffer)
        if self._upload is None:
            self._begin()
        assert self._upload is not None  # noqa: S101  # begun
        assert self._threads is not None  # noqa: S101  # likewise
        upload, number, checked = self._upload, len(self._parts) + 1, self._means.checked
        if self._digest is not None:
            self._digest.update(body)

        def send() -> tuple[str, bytes]:
            etag = bucket.put_part(key, upload, number, body, checked(body))
            return etag, hashlib.sha256(body).digest() if self._means.able.checksums == "sha256" else b""

        self._buffer = bytearray()
        self._parts.append(self._threads.submit(send))
        waiting = [part for part in self._parts if not part.done()]
        with self._objects.ending("send a part", self._path):
            for part in waiting[: max(0, (len(waiting) + 1) - max(1, _IN_FLIGHT_BYTES // self._part_bytes))]:
                part.result()

    def _begin(self) -> None:
        """Begin an upload of parts, and note it where another run finds it by its operation. Writes."""
        if self._means.able.parts == "none":
            told = (
                "has several parts, and this store does not keep such an object from overwriting another; enable versions of the bucket, and prepare it again"
            )
            raise EndError("REFUSED", f"{self._objects.shown(self._path)}: {told}")
        bucket, key = self._objects.bucket, self._objects.key(self._path)
        algorithm = {"x-amz-checksum-algorithm": "SHA256"} if self._means.able.checksums == "sha256" else {}
        with self._objects.ending("begin to store", self._path):
            self._upload = bucket.begin_upload(key, {**self._headers(), **algorithm})
            noted = json.dumps({"key": base64.b64encode(key).decode(), "upload": self._upload}).encode()
            self._noted = bucket.put(note(self._objects, self._key), noted).get("x-amz-version-id")
        self._threads = ThreadPoolExecutor(max(1, _IN_FLIGHT_BYTES // self._part_bytes), thread_name_prefix="lastcopy-part")

    def _complete(self) -> None:
        assert self._upload is not None  # noqa: S101  # the caller has looked
        if self._buffer:
            self._send_part()
        bucket, key, upload = self._objects.bucket, self._objects.key(self._path), self._upload
        with self._objects.ending("send a part", self._path):
            sent = [part.result() for part in self._parts]
        create = self._means.able.parts == "create"
        listed = [(etag, base64.b64encode(digest).decode() if digest else None) for etag, digest in sent]
        digest = self._digest
        self._name.take(lambda: bucket.complete_upload(key, upload, listed, _CREATE), create=create, sent=lambda: digest.digest() if digest else b"")
        of_parts = base64.b64encode(hashlib.sha256(b"".join(digest for _, digest in sent)).digest()).decode()
        self._look(self._size_bytes, f"{of_parts}-{len(sent)}")
        with suppress(StoreError):
            _forget(self._objects, self._key, self._noted)

    def _refuse_too_large(self, size_bytes: int) -> None:
        """Raises EndError REFUSED for a file that would need more than can be sent."""
        in_parts = self._means.able.parts != "none"
        most_bytes = (_MOST_PARTS if in_parts else 1) * _LARGEST_PART_BYTES
        if size_bytes > most_bytes:
            told = (
                ""
                if in_parts
                else ", for an object of several parts might overwrite another there; enable versions of the bucket, and prepare the volume again"
            )
            raise EndError("REFUSED", f"{self._objects.shown(self._path)}: more than {most_bytes} bytes are not sent to this store{told}")

    def _headers(self) -> dict[str, str]:
        return {**self._means.headers, **_object_metadata.headers(self._key, self._metadata)[0], "Content-Type": "application/octet-stream"}

    def _look(self, size_bytes: int, wanted: str) -> None:
        """The object tells that it is ours, of that length and, where it tells one, of that checksum; else it goes. Raises EndError CONFLICT, FAILED."""
        self._hold_against(self._objects.find(self._path, self._name.version), size_bytes, wanted)

    def _hold_against(self, found: Mapping[str, str] | None, size_bytes: int, wanted: str) -> Mapping[str, str]:
        """What `_look` does with what the object tells of itself."""
        if found is None or found.get(OP) != self._key:
            raise EndError("CONFLICT", f"{self._objects.shown(self._path)}: was replaced by somebody as soon as it was stored")
        told = found.get("x-amz-checksum-sha256", wanted)
        if found.get("content-length") != str(size_bytes) or told != wanted:
            self._name.take_away()
            raise EndError("FAILED", f"{self._objects.shown(self._path)}: the store tells other content than was sent to it", retry=True)
        self._name.version, self._told = found.get("x-amz-version-id", self._name.version), found
        return found


def note(objects: Objects, key: str) -> bytes:
    """The key of the object that tells of an operation's upload."""
    return objects.bucket.prefix + UPLOADS + key.encode()


def abort(objects: Objects, path: bytes, key: str) -> None:
    """Let an upload go that an operation noted for that path, and its note. Writes. Raises StoreError."""
    bucket, noted = objects.bucket, note(objects, key)
    found = bucket.find(noted)
    if found is None:
        return
    try:
        told = json.loads(bucket.get(noted, {}))
        if base64.b64decode(told["key"]) != objects.key(path):
            return  # somebody else wrote that
        bucket.abort_upload(objects.key(path), told["upload"])
    except (ValueError, KeyError, TypeError):
        return  # nothing that we wrote
    _forget(objects, key, found.get("x-amz-version-id"))


def _forget(objects: Objects, key: str, version: str | None) -> None:
    """Remove a note: its version, so that nothing of it stays, and where that is refused what shows. Writes. Raises StoreError."""
    try:
        objects.bucket.forget(note(objects, key), version)
    except StoreError:
        objects.bucket.forget(note(objects, key), None)


def _part_bytes(size_bytes: int) -> int:
    """The least size of parts, in whole MiB, with which a file has few enough."""
    return max(PART_BYTES, -(-size_bytes // (_MOST_PARTS << 20)) << 20)


def _pieces(block: memoryview | int) -> "list[memoryview] | map[memoryview]":
    if isinstance(block, int):
        return map(lambda done: memoryview(_ZEROS)[: block - done], range(0, block, len(_ZEROS)))
    return [block]
