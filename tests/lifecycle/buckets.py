"""A small estate with a bucket: a file tree, the bucket that it is archived to, and another archive on a disk."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lifecycle import stores
from lifecycle.stores import Capabilities
from lifecycle.stores.s3 import Store
from tests.lifecycle.grounds import Grounds
from tests.scanners.stores import Server


@dataclass
class Buckets(Grounds):
    """Volumes data (a tree), vault (the bucket), far (a tree). `lines` are more of the vault; `endpoint` is asked in place of the server's."""

    server: Server = field(default=None)  # type: ignore[assignment]  # always given: fields of the parent have defaults
    bucket: str = ""
    lines: str = ""
    endpoint: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mirror", "vault"):
            (self.folder / name / "a folder").rmdir()

    def configure(self, more: str = "", **volumes: str) -> None:
        declared = self.server.declared(self.bucket)
        vault = f'url = "s3://{self.bucket}/kept"\nendpoint = "{self.endpoint or self.server.endpoint}"\ncredentials_file = "{declared["credentials_file"]}"\n'
        self.configure_around(vault + self.lines, more, *volumes.values())

    def prepared(self, *volumes: str) -> "Buckets":
        super().prepared(*(volumes or ("data", "vault", "far")))
        return self

    def scanned(self) -> "Buckets":
        super().scanned()
        return self

    def store(self) -> Store:
        found = stores.connect(self.config, "vault")
        assert isinstance(found, Store)
        return found

    @property
    def found(self) -> Capabilities:
        able = self.store().capabilities
        assert able is not None
        return able

    def keys(self) -> list[bytes]:
        """The keys of the bucket below the volume, but ours."""
        listed = self.server.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        paths = [os.fsencode(one["Key"]).removeprefix(b"kept/") for one in listed]
        return sorted(path for path in paths if not path.startswith(b".lastcopy/"))

    def under_way(self) -> list[str]:
        """What is being uploaded, or noted to be."""
        client = self.server.client
        noted = client.list_objects_v2(Bucket=self.bucket, Prefix="kept/.lastcopy/uploads/").get("Contents", [])
        return [one["Key"] for one in noted] + [one["Key"] for one in self.uploads()]

    def uploads(self) -> list[dict[str, Any]]:
        """The uploads that are begun and not ended."""
        found: list[dict[str, Any]] = self.server.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return found

    def parts(self, upload: dict[str, Any]) -> list[Any]:
        """The parts that an upload has."""
        found: list[Any] = self.server.client.list_parts(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", [])
        return found

    def object(self, path: str) -> dict[str, Any]:
        """What the store's own client gives of an object."""
        found: dict[str, Any] = self.server.client.get_object(Bucket=self.bucket, Key=f"kept/{path}")
        return found | {"Body": found["Body"].read()}


def made(folder: Path, server: Server, lines: str = "", *, endpoint: str | None = None, **options: bool) -> Buckets:
    """The estate with a new bucket, nothing scanned or prepared."""
    return Buckets(folder, server=server, bucket=server.bucket(**options), lines=lines, endpoint=endpoint)
