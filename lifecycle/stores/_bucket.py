"""A bucket that is written to: signed requests that put and delete objects, each sent once, for whoever sends again must look first."""

import base64
import datetime
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal
from xml.sax.saxutils import escape

from catalog import store
from catalog.bucket import WritableStore
from catalog.store import Answer, Query, StoreError
from scanners import Settings
from scanners._lister import Lister
from scanners._objects import Naming

_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_STATUS = re.compile(rb"<Status>\s*(Enabled|Suspended)\s*</Status>")
_DONE = b"<CompleteMultipartUploadResult"
_WITH_CHECKSUM = {"x-amz-checksum-mode": "ENABLED"}
_BLOCK_BYTES = 1 << 20
ABSENT = (404, 405)  # 405: the version that was asked for is a delete marker


@dataclass(frozen=True)
class Version:
    """What a listing tells of one version of an object, or of a delete marker."""

    is_latest: bool
    is_marker: bool
    stored_at: bytes  # as the store writes it: of one form, so that they can be compared


class Bucket(WritableStore):
    """One bucket, or what is below a prefix of it. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        """Finds the bucket and the credentials, asks nobody. Raises UnreachableError, MissingExtraError."""
        super().__init__(settings)
        self.naming = Naming(self.identity, self.prefix, settings.started_us)
        self._lister = Lister(self, versions=True)

    def hide(self, key: bytes, etag: str) -> tuple[str | None, bool]:
        """Put a delete marker over what a key shows; gives its id, and whether the store calls it one. Writes. Raises StoreError.

        `If-Match` has a store that heeds it refuse (412) where the key shows something else by now.
        """
        answer = self._written("DELETE", key, {}, {"If-Match": etag}, b"")[0]
        return answer.get("x-amz-version-id"), answer.get("x-amz-delete-marker", "").lower() == "true"

    def forget(self, key: bytes, version: str | None) -> None:
        """Remove what nobody but us has a use for, again where that may help: what is gone is gone. Writes. Raises StoreError."""
        self._again(lambda: self.delete(key, version))

    def begin_upload(self, key: bytes, headers: Mapping[str, str]) -> str:
        """Begin an object of several parts, which shows only once it is complete; gives the id of the upload. Writes. Raises StoreError."""
        found = _UPLOAD_ID.search(self._written("POST", key, {"uploads": ""}, headers, b"")[1])
        if not found:
            raise StoreError("the store begins an upload, and does not say which", 200)
        return found[1].decode("utf-8", "surrogateescape")

    def put_part(self, key: bytes, upload: str, number: int, body: bytes, headers: Mapping[str, str]) -> str:
        """Send a part, again where that may help: the same part of the same upload is the same; gives its ETag. Writes. Raises StoreError."""
        query: Query = {"partNumber": str(number), "uploadId": upload}
        return self._again(lambda: self.put(key, body, headers, query)).get("etag", "")

    def complete_upload(self, key: bytes, upload: str, parts: Sequence[tuple[str, str | None]], headers: Mapping[str, str]) -> Mapping[str, str]:
        """Let an upload become its object; `parts` are ETags and, where the store keeps them, checksums. Writes.

        Raises StoreError, also where the answer is 200, and its text says that something failed.
        """
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag>{f'<ChecksumSHA256>{checksum}</ChecksumSHA256>' if checksum else ''}</Part>"
            for number, (etag, checksum) in enumerate(parts, 1)
        )
        body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{listed}</CompleteMultipartUpload>'.encode()
        answer, said = self._written("POST", key, {"uploadId": upload}, {"Content-Type": "application/xml", **headers}, body)
        if _DONE not in said:
            code = re.search(rb"<Code>([A-Za-z0-9]{1,80})</Code>", said)
            raise StoreError("the store answers success, and says that it has none", 500, code[1].decode() if code else "")
        return answer

    def abort_upload(self, key: bytes, upload: str) -> None:
        """Let an upload go that is not complete; one that is not there any more is none. Writes. Raises StoreError."""
        try:
            self._again(lambda: self._written("DELETE", key, {"uploadId": upload}, {}, b""))
        except StoreError as error:
            if error.status not in ABSENT:
                raise

    def lock(self, key: bytes, version: str | None, mode: str, until: datetime.datetime) -> None:
        """Ask that a version stays until a time (UTC, whole seconds). Whether it does must be looked at. Writes. Raises StoreError."""
        body = f'<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>{mode}</Mode><RetainUntilDate>{until:%Y-%m-%dT%H:%M:%SZ}</RetainUntilDate></Retention>'
        query: Query = {"retention": ""} if version is None else {"retention": "", "versionId": version}
        self._again(lambda: self.put(key, body.encode(), {"Content-MD5": md5(body.encode()), "Content-Type": "application/xml"}, query))

    def ask_back(self, key: bytes, version: str | None, days: int | None, tier: str) -> None:
        """Ask that a version in an archive of the store can be read, for some days (None: for good), if it is not on its way. Writes. Raises StoreError."""
        lasting = "" if days is None else f"<Days>{days}</Days>"
        body = f'<RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{lasting}<GlacierJobParameters><Tier>{tier}</Tier></GlacierJobParameters>'
        sent = f"{body}</RestoreRequest>".encode()
        query: Query = {"restore": ""} if version is None else {"restore": "", "versionId": version}
        try:
            self._again(lambda: self._written("POST", key, query, {"Content-MD5": md5(sent), "Content-Type": "application/xml"}, sent))
        except StoreError as error:
            if error.code != "RestoreAlreadyInProgress":
                raise

    def clock_ns(self) -> int:
        """The store's own time, to the second; the host's where it tells none. Raises StoreError."""
        told = self._dated()
        try:
            return int(parsedate_to_datetime(told).timestamp()) * 10**9
        except ValueError:
            return time.time_ns()

    def _dated(self) -> str:
        def ask() -> str:
            with closing(self._sent("GET", None, {"list-type": "2", "max-keys": "0"}, {})) as response:
                store._read(response)
                return str(response.headers.get("Date", ""))

        return self._again(ask)

    def find(self, key: bytes, version: str | None = None) -> Mapping[str, str] | None:
        """The headers of an object, names in lower case, with its checksum where the store tells it; None = there is none. Raises StoreError."""
        return self._unless_absent(lambda: self.head(key, {} if version is None else {"versionId": version}, _WITH_CHECKSUM))

    def read(self, key: bytes, version: str | None = None) -> tuple[Mapping[str, str], bytes, int] | None:
        """The headers of an object as `find` gives them, and SHA-256 and length of its content, by one request; None = there is none. Raises StoreError."""

        def ask() -> tuple[Mapping[str, str], bytes, int]:
            digest, size_bytes = hashlib.sha256(), 0
            with closing(self.stream(key, {} if version is None else {"versionId": version}, _WITH_CHECKSUM, _BLOCK_BYTES)) as stream:
                headers = next(stream)
                assert not isinstance(headers, bytes)  # noqa: S101  # the first is not
                for block in stream:
                    assert isinstance(block, bytes)  # noqa: S101  # all others are
                    digest.update(block)
                    size_bytes += len(block)
            if headers.get("content-length", str(size_bytes)) != str(size_bytes):
                raise StoreError("the connection broke off")
            return {**headers, "content-length": str(size_bytes)}, digest.digest(), size_bytes  # one of chunks has none

        return self._unless_absent(lambda: self._again(ask))

    def versioning(self) -> Literal["enabled", "suspended", "none", "unknown"]:
        """Whether the bucket keeps versions, by its own word; unknown where it has none, or may not be asked. Raises StoreError where nothing answers."""
        try:
            told = self.get(None, {"versioning": ""})
        except StoreError as error:
            if error.code == "NoSuchBucket" or (error.passing and error.status != 501):
                raise
            return "unknown"
        if b"<VersioningConfiguration" not in told:
            return "unknown"
        if found := _STATUS.search(told):
            return "enabled" if found[1] == b"Enabled" else "suspended"
        return "unknown" if b"<Status>" in told else "none"

    def versions(self, key: bytes) -> dict[str, Version]:
        """The versions of a key by their ids, delete markers included. Raises StoreError, PageError."""
        found: dict[str, Version] = {}
        for items in self._lister.of_key(key, sorted_keys=True):
            columns = (items.values(name) for name in ("VersionId", "IsLatest", "LastModified"))
            for version, latest, stored_at in zip(*columns, strict=True):
                told = Version(latest == b"true", items.kind == "DeleteMarker", stored_at or b"")
                found[(version or b"").decode("utf-8", "surrogateescape")] = told
        return found

    @staticmethod
    def _unless_absent(ask: Callable[[], Answer]) -> Answer | None:
        try:
            return ask()
        except StoreError as error:
            if error.status in ABSENT and error.code != "NoSuchBucket":
                return None
            raise

    def below(self, prefix: bytes) -> Iterator[bytes]:
        """The keys of all objects that begin with a prefix. Raises StoreError, PageError."""
        for items in self._lister.all_below(prefix):
            yield from items.keys


def checksum(content: bytes) -> str:
    """SHA-256 as headers have it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def md5(content: bytes) -> str:
    """MD5 as headers have it: many stores hold what arrives against that, and against nothing newer."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
