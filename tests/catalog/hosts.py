"""Hosts that share a catalog in a bucket: each has a mirror of its own."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog import config, mirror, place
from catalog.config import Config
from tests.scanners.stores import Server


@dataclass(frozen=True)
class Shared:
    """A catalog in a bucket of a store."""

    server: Server
    folder: Path
    bucket: str
    endpoint: str = ""  # of a proxy before the store
    prefix: str = field(default_factory=lambda: secrets.token_hex(4))
    reader: bool = False  # whether hosts come as a user who owns nothing

    def declared(self, host: str, endpoint: str = "") -> dict[str, Any]:
        """`[catalog]` on a host."""
        known = self.server.declared(self.bucket, reader=self.reader)
        found = {"path": f"s3://{self.bucket}/{self.prefix}", "mirror": str(self.folder / host), "credentials_file": known["credentials_file"]}
        return found | {"endpoint": endpoint or self.endpoint or self.server.endpoint}

    def config(self, host: str, endpoint: str = "", **tables: object) -> Config:
        """A configuration on a host."""
        return config.parse({"catalog": self.declared(host, endpoint), **tables}, self.folder / "lastcopy.toml")

    def root(self, host: str, endpoint: str = "") -> Path:
        """What a host has of the catalog, which looks at the store anew."""
        mirror._looked.clear()
        return place.root_of(self.config(host, endpoint))

    def paths(self) -> list[str]:
        """All that lies in the bucket below the catalog's prefix, by the path there."""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return [one["Key"].removeprefix(f"{self.prefix}/") for page in pages for one in page.get("Contents", ())]

    def delete(self, path: str) -> None:
        """Remove an object behind the catalog's back."""
        self.server.client.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}")

    def put(self, path: str, content: bytes) -> None:
        """Put an object behind the catalog's back."""
        self.server.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}", Body=content)

    def content(self, path: str) -> bytes:
        """What an object holds."""
        return bytes(self.server.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{path}")["Body"].read())
