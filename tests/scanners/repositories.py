"""Backup repositories as restic makes them."""

import base64
import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from tests.scanners import archives
from tests.scanners.contract import Item

PASSWORD = "correct horse battery staple"


def need() -> None:
    """Skip where restic is not installed, unless the tests must not be skipped."""
    if not shutil.which("restic"):
        assert not os.environ.get("REQUIRE_SERVERS"), "restic is not installed"
        pytest.skip("restic is not installed")


def restic(repository: Path, *words: str, folder: Path | None = None, fed: bytes | None = None, code: int = 0) -> str:
    """Run restic on a repository; gives what it says."""
    env = {**os.environ, "RESTIC_REPOSITORY": str(repository), "RESTIC_PASSWORD": PASSWORD, "GOMAXPROCS": "2", "TZ": "UTC"}
    ran = subprocess.run(["restic", "--no-cache", *words], cwd=folder, env=env, capture_output=True, input=fed, check=False)
    assert ran.returncode == code, ran.stderr.decode(errors="replace")
    return ran.stdout.decode(errors="surrogateescape")


@functools.cache
def _empty() -> "tempfile.TemporaryDirectory[str]":
    """An empty repository, made once: its key is slow on purpose."""
    folder = tempfile.TemporaryDirectory()
    restic(Path(folder.name) / "repository", "init", "--quiet")
    _cheapen(Path(folder.name) / "repository")
    return folder


def _cheapen(repository: Path) -> None:
    """Put a key in place of a repository's own that is the same, and takes no half second to be found from the password."""
    master = json.dumps(json.loads(restic(repository, "cat", "masterkey"))).encode()
    salt = os.urandom(64)
    found = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=256, r=1, p=1, dklen=64)
    sealed = Secret(found[:32], found[32:48], found[48:]).seal(master)
    key = {"created": "2020-01-01T00:00:00Z", "kdf": "scrypt", "N": 256, "r": 1, "p": 1}
    key |= {name: base64.b64encode(value).decode() for name, value in (("salt", salt), ("data", sealed))}
    for old in (repository / "keys").iterdir():
        old.unlink()
    content = json.dumps(key).encode()
    (repository / "keys" / hashlib.sha256(content).hexdigest()).write_bytes(content)


@dataclass(frozen=True)
class Secret:
    """What a file of a repository is sealed with (AES-256-CTR and Poly1305-AES)."""

    encrypt: bytes
    k: bytes
    r: bytes

    @classmethod
    def of(cls, master: dict[str, Any]) -> "Secret":
        """The master key as restic tells it."""
        return cls(*(base64.b64decode(text) for text in (master["encrypt"], master["mac"]["k"], master["mac"]["r"])))

    def seal(self, plain: bytes) -> bytes:
        """A sealed text."""
        vector, r = os.urandom(16), bytearray(self.r)
        for at in (3, 7, 11, 15):
            r[at] &= 15
        for at in (4, 8, 12):
            r[at] &= 252
        sealed = Cipher(algorithms.AES(self.encrypt), modes.CTR(vector)).encryptor().update(plain)
        nonce = Cipher(algorithms.AES(self.k), modes.ECB()).encryptor().update(vector)
        return vector + sealed + Poly1305.generate_tag(bytes(r) + nonce, sealed)


def new(folder: Path) -> Path:
    """An empty repository `folder`/repository, and its password in `folder`/password."""
    need()
    repository = folder / "repository"
    shutil.copytree(Path(_empty().name) / "repository", repository)
    (folder / "password").write_text(PASSWORD + "\n")
    return repository


def backup(repository: Path, tree: Path, *options: str, code: int = 0) -> str:
    """Back up what a folder holds, each under its own name; gives the id of the recovery point."""
    top = sorted(os.listdir(os.fsencode(tree)))
    (repository.parent / "names").write_bytes(b"".join(name + b"\0" for name in top))
    restic(repository, "backup", "--quiet", "--files-from-raw", str(repository.parent / "names"), *options, folder=tree, code=code)
    return points(repository)[-1]["id"]  # type: ignore[no-any-return]  # JSON


def points(repository: Path) -> list[dict[str, Any]]:
    """The recovery points, oldest first."""
    return sorted(json.loads(restic(repository, "snapshots", "--json")), key=lambda point: str(point["time"]))


def filled(folder: Path, items: Iterable[Item]) -> Path:
    """A new repository with one recovery point of some items."""
    repository = new(folder)
    archives.grow(folder / "tree", items)
    backup(repository, folder / "tree")
    return repository


def declared_of(repository: Path, **more: object) -> dict[str, Any]:
    """The volume that a repository is."""
    return {"url": f"restic:{repository}", "role": "backup", "password_file": str(repository.parent / "password"), **more}
