"""Repositories as somebody could forge them who knows their password: of format 1, byte by byte."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.scanners import repositories
from tests.scanners.repositories import Secret

AT = "2020-01-01T00:00:00Z"


class Forger:
    """A repository, and the key to write whatever one likes into it."""

    def __init__(self, folder: Path) -> None:
        self.repository = repositories.new(folder)
        self.secret = Secret.of(json.loads(repositories.restic(self.repository, "cat", "masterkey")))
        self._blobs: list[tuple[str, str, bytes]] = []

    def tree(self, *nodes: Mapping[str, Any]) -> str:
        """The id of a tree of some nodes; what is left out of a node is that of an empty file."""
        usual = {"type": "file", "mode": 0o644, "mtime": AT, "atime": AT, "ctime": AT, "uid": 0, "gid": 0, "size": 0, "content": []}
        return self._add("tree", json.dumps({"nodes": [{**usual, **node} for node in nodes]}).encode())

    def folder(self, name: str, tree: str) -> dict[str, Any]:
        """The node of a folder."""
        return {"name": name, "type": "dir", "mode": 0o755 | 1 << 31, "subtree": tree, "content": None}

    def _add(self, kind: str, plain: bytes) -> str:
        found = hashlib.sha256(plain).hexdigest()
        if found not in [blob for _, blob, _ in self._blobs]:
            self._blobs.append((kind, found, self.secret.seal(plain)))
        return found

    def finish(self, tree: str, **told: object) -> str:
        """Write the packs, the index and a recovery point of a tree; gives its id."""
        sealed = b"".join(blob for _, _, blob in self._blobs)
        header = b"".join(bytes([kind == "tree"]) + len(blob).to_bytes(4, "little") + bytes.fromhex(found) for kind, found, blob in self._blobs)
        locked = self.secret.seal(header)
        pack = sealed + locked + len(locked).to_bytes(4, "little")
        name, at, blobs = hashlib.sha256(pack).hexdigest(), 0, []
        for kind, found, blob in self._blobs:
            blobs.append({"id": found, "type": kind, "offset": at, "length": len(blob)})
            at += len(blob)
        self._write(self.repository / "data" / name[:2] / name, pack)
        self.store("index", {"packs": [{"id": name, "blobs": blobs}]})
        return self.store("snapshots", {"time": AT, "tree": tree, "paths": ["/"], "hostname": "h", "username": "u", **told})

    def store(self, kind: str, found: Mapping[str, Any]) -> str:
        """Write a sealed file; gives its id."""
        sealed = self.secret.seal(json.dumps(found, separators=(",", ":")).encode())
        name = hashlib.sha256(sealed).hexdigest()
        self._write(self.repository / kind / name, sealed)
        return name

    def configure(self, **more: object) -> None:
        """Change what the repository says of itself."""
        known = json.loads(repositories.restic(self.repository, "cat", "config"))
        (self.repository / "config").unlink()
        self._write(self.repository / "config", self.secret.seal(json.dumps({**known, **more}).encode()))

    def _write(self, file: Path, content: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
