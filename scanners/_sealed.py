"""The files of a repository of restic on this host, unsealed: what is decrypted is held against its message authentication code.

Formats 1 and 2 of restic's design document (doc/design.rst). Opens files for reading, takes no lock.
"""

import base64
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from scanners._program import RunError

_MOST_BYTES = 1 << 30  # that a file of the repository, or a tree, may unpack to
NAME = re.compile(r"[0-9a-f]{64}")
_PACKED = b"\x02"
OVERHEAD_BYTES = 32  # initialization vector and authentication code


class DamagedError(RunError):
    """A file of the repository that is not what it must be."""


class UnknownError(RunError):
    """A file of the repository of a form that is not known here, though perhaps to restic."""


class Key:
    """The master key: decrypts, and raises DamagedError for what it did not make."""

    def __init__(self, master: Mapping[str, Any]) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        try:
            encrypt, k, r = (base64.b64decode(text) for text in (master["encrypt"], master["mac"]["k"], master["mac"]["r"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError("restic cat masterkey: a key that cannot be understood") from error
        self._aes, self._modes, self._cipher, self._r = algorithms.AES(encrypt), modes, Cipher, r
        self._nonces = Cipher(algorithms.AES(k), modes.ECB()).encryptor()  # noqa: S305 - Poly1305-AES is made of it

    def decrypt(self, sealed: bytes, what: str) -> bytes:
        """The plain text."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.poly1305 import Poly1305

        vector, secret, code = sealed[:16], sealed[16:-16], sealed[-16:]
        if len(sealed) < OVERHEAD_BYTES:
            raise DamagedError(f"the repository is damaged: {what} is cut off")
        try:
            Poly1305.verify_tag(self._r + self._nonces.update(vector), secret, code)
        except InvalidSignature as error:
            raise DamagedError(f"the repository is damaged: {what} is not what was stored") from error
        return bytes(self._cipher(self._aes, self._modes.CTR(vector)).decryptor().update(secret))


class Vault:
    """The files of one repository, and the key to them."""

    def __init__(self, folder: Path, master: Mapping[str, Any]) -> None:
        """`master` is what `restic cat masterkey` tells. Raises DamagedError."""
        self.folder, self.key = folder, Key(master)

    def config(self) -> dict[str, Any]:
        """What the repository says of itself. Raises DamagedError."""
        return found_in(self._unsealed(self.folder / "config", "config"), "config")

    def names(self, kind: str) -> list[str]:
        """The names of the files of a kind; others are being written, or what is left of that. Raises DamagedError."""
        try:
            return sorted(filter(NAME.fullmatch, os.listdir(self.folder / kind)))
        except OSError as error:
            raise DamagedError(f"the repository is damaged: {kind}: {error.strerror}") from error

    def pack(self, name: str) -> str:
        """Where a pack lies."""
        return f"{self.folder}/data/{name[:2]}/{name}"

    def text(self, kind: str, name: str) -> bytes:
        """The text of a file. Raises DamagedError."""
        return self._unsealed(self.folder / kind / name, f"{kind} {name[:8]}")

    def snapshots(self) -> list[dict[str, Any]]:
        """The recovery points, each with its `id`; of one that is forgotten meanwhile nothing is said. Raises DamagedError."""
        found = []
        for name in self.names("snapshots"):
            what = f"recovery point {name[:8]}"
            try:
                sealed = content(self.folder / "snapshots" / name)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise DamagedError(f"the repository is damaged: {what} cannot be read: {error.strerror}") from error
            if hashlib.sha256(sealed).hexdigest() != name:
                raise DamagedError(f"the repository is damaged: {what} cannot be read: it is not what its id says")
            found.append(found_in(self._plain(sealed, what), what) | {"id": name})
        return found

    def _unsealed(self, file: Path, what: str) -> bytes:
        try:
            return self._plain(content(file), what)
        except OSError as error:
            raise DamagedError(f"the repository is damaged: {what}: {error.strerror}") from error

    def _plain(self, sealed: bytes, what: str) -> bytes:
        plain = self.key.decrypt(sealed, what)
        return unpacked(plain[1:], what) if plain[:1] == _PACKED else plain


def found_in(plain: bytes, what: str) -> dict[str, Any]:
    """An object of JSON. Raises DamagedError."""
    try:
        found = json.loads(plain)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"the repository is damaged: {what} cannot be read") from error
    if not isinstance(found, dict):
        raise DamagedError(f"the repository is damaged: {what} cannot be read")
    return found


def unpacked(packed: bytes, what: str) -> bytes:
    """What was packed by zstd. Raises DamagedError."""
    zstd = _zstd()
    unpacker = zstd.ZstdDecompressor()
    try:
        plain = bytes(unpacker.decompress(packed, max_length=_MOST_BYTES))
    except zstd.ZstdError as error:
        raise DamagedError(f"the repository is damaged: {what} cannot be unpacked") from error
    if not unpacker.eof:
        raise DamagedError(f"the repository is damaged: {what} does not end, or is larger than {_MOST_BYTES} bytes")
    return plain


@cache
def _zstd() -> Any:  # noqa: ANN401 - a module
    """What unpacks: looked for once, for to look for what is not there takes longer than to unpack."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # of Python 3.14
    except ImportError:
        from backports import zstd
    return zstd


def content(file: Path | str, offset: int = 0, length: int | None = None) -> bytes:
    """The bytes of a file, or a part of them: what is none makes nobody wait. Raises OSError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        wanted = status.st_size if length is None else length
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a file of the repository")
        if wanted > _MOST_BYTES or offset + wanted > status.st_size:
            raise OSError(errno.EINVAL, f"more than {_MOST_BYTES} bytes" if wanted > _MOST_BYTES else "it is cut off")
        return os.pread(descriptor, wanted, offset)
    finally:
        os.close(descriptor)
