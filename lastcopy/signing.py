"""Signatures by ssh-keygen(1) -Y: with the keys that people have already, and checked without any program of ours."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ConfigError, MissingExtraError, NotFoundError

NAMESPACE = "lastcopy-audit-pack"
_PROGRAM = "ssh-keygen"
_MOST_BYTES = 64 << 10  # of a signature
_KEY = re.compile(r"key (SHA256:[A-Za-z0-9+/]+)")


@dataclass(frozen=True)
class Signature:
    """What is known of a signature."""

    state: str  # none | good: of a signer that was named | other_signer: of none of them | unknown_signer: none was named | bad | unchecked: no ssh-keygen
    signer: str | None = None
    key: str | None = None


def ready(key: Path) -> None:
    """Raises MissingExtraError, NotFoundError where nothing could be signed."""
    if shutil.which(_PROGRAM) is None:
        raise MissingExtraError(f"{_PROGRAM} is not installed; it is in the package openssh-client")
    if not key.is_file():
        raise NotFoundError(f"--sign {key}: there is no such key")


def sign(file: Path, key: Path, *, asks: bool) -> None:
    """Write `FILE.sig`. A passphrase is asked for on the terminal if `asks`. Raises ConfigError where the key does not sign."""
    done = subprocess.run(  # noqa: S603  # no shell; both names are arguments
        [_path(), "-Y", "sign", "-q", "-f", str(key.absolute()), "-n", NAMESPACE, str(file.absolute())],
        stdin=None if asks else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=not asks,
        check=False,
    )
    if done.returncode:
        raise ConfigError(f"--sign {key}: {' '.join(done.stderr.decode('utf-8', 'replace').split()) or 'the key does not sign'}")


def check(file: Path, signature: Path, signers: Path | None) -> Signature:
    """The signature of a file, held against a file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS) where one is given. Raises MissingExtraError."""
    if signature.is_symlink() or not signature.is_file():
        return Signature("none")
    if shutil.which(_PROGRAM) is None:
        if signers is not None:
            raise MissingExtraError(f"{_PROGRAM} is not installed; it is in the package openssh-client")
        return Signature("unchecked")
    said = _ask(file, "check-novalidate", "-s", str(signature.absolute())) if signature.stat().st_size <= _MOST_BYTES else None
    if said is None:
        return Signature("bad")
    found = _KEY.search(said)
    return _of(file, signature, signers, found[1] if found else None)


def _of(file: Path, signature: Path, signers: Path | None, key: str | None) -> Signature:
    """Whose a good signature is."""
    if signers is None:
        return Signature("unknown_signer", key=key)
    there = ["-s", str(signature.absolute()), "-f", str(signers.absolute())]
    for signer in (_ask(file, "find-principals", *there) or "").splitlines():
        if _ask(file, "verify", *there, "-I", signer) is not None:
            return Signature("good", signer, key)
    return Signature("other_signer", key=key)


def _ask(file: Path, what: str, *arguments: str) -> str | None:
    """What the program says to a signed file; None if it is not content."""
    space = [] if what == "find-principals" else ["-n", NAMESPACE]
    with file.open("rb") as signed:
        done = subprocess.run([_path(), "-Y", what, *space, *arguments], stdin=signed, capture_output=True, check=False)  # noqa: S603  # as above
    return None if done.returncode else done.stdout.decode("utf-8", "replace")


def _path() -> str:
    found = shutil.which(_PROGRAM)
    assert found is not None  # noqa: S101  # who calls looked
    return found
