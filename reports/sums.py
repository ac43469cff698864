"""The list of a folder's files with their SHA-256, in the form of sha256sum(1): written, and held against what is there, which may be an enemy's."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog import names

NAME = "SHA256SUMS"
SIGNATURE = f"{NAME}.sig"
_MOST_FILES = 10_000  # in a folder: more is no pack
_MOST_DEEP = 8  # folders within each other
_MOST_BYTES = 4 << 20  # of the list
_CHUNK_BYTES = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64})  ([a-z0-9_.-]+(?:/[a-z0-9_.-]+)*)", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file; its name is relative to the folder, escaped."""

    file: str
    wrong: str


def write(folder: Path) -> str:
    """List the files of a folder; gives the list's own SHA-256, which stands for all of them."""
    lines = [f"{digest(path)}  {name}\n" for name, path in sorted(_regular(folder).items())]
    (folder / NAME).write_text("".join(lines), "ascii")
    return digest(folder / NAME)


def digest(path: Path) -> str:
    """The SHA-256 of a regular file, in hexadecimal. A link is not followed."""
    found = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path}: is no file")
        while part := file.read(_CHUNK_BYTES):
            found.update(part)
    return found.hexdigest()


def check(folder: Path) -> list[Finding]:
    """What is not as the list says: changed, missing, more than that, or no file at all. Nothing outside of the folder is opened."""
    strange, there = list[Finding](), dict[str, Path]()
    for name, path, kind in _walk(folder):
        if kind == "file":
            there[name] = path
        elif kind != "folder":
            strange.append(Finding(name, f"is a {kind}, and no file of a pack"))
        if len(there) + len(strange) > _MOST_FILES:
            return [Finding("", f"the folder holds more than {_MOST_FILES} files: it is no audit pack")]
    if NAME not in there:
        return [*strange, Finding(NAME, "is missing: the folder is no audit pack, or not a whole one")]
    listed, wrong = _listed(there.pop(NAME))
    there.pop(SIGNATURE, None)
    found = [*strange, *wrong]
    found += [Finding(name, "is missing") for name in listed if name not in there]
    found += [Finding(name, f"is not in {NAME}") for name in there if name not in listed]
    found += [Finding(name, "was changed: its SHA-256 is another") for name, path in there.items() if name in listed and digest(path) != listed[name]]
    return sorted(found, key=lambda one: (one.file, one.wrong))


def total(folder: Path) -> str | None:
    """The SHA-256 of the list, which stands for all of the folder; None where there is no list, or one too large to be one."""
    try:
        return digest(folder / NAME) if (folder / NAME).lstat().st_size <= _MOST_BYTES else None
    except OSError:
        return None


def files(folder: Path) -> dict[str, Path]:
    """The listed files of a folder that `check` found nothing wrong with, by name."""
    return {name: path for name, path in _regular(folder).items() if name not in (NAME, SIGNATURE)}


def _regular(folder: Path) -> dict[str, Path]:
    return {name: path for name, path, kind in _walk(folder) if kind == "file"}


def _listed(path: Path) -> tuple[Mapping[str, str], list[Finding]]:
    if path.stat().st_size > _MOST_BYTES:
        return {}, [Finding(NAME, f"is larger than {_MOST_BYTES} bytes")]
    listed, wrong = dict[str, str](), list[Finding]()
    for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n")[:-1], 1):
        found = _LINE.fullmatch(line)
        if not found or any(part.strip(".") == "" for part in found[2].split("/")) or found[2] in listed:
            wrong.append(Finding(NAME, f"line {number} is not the SHA-256 of one file within the pack"))
        else:
            listed[found[2]] = found[1]
    return listed, wrong


def _walk(folder: Path, inside: str = "") -> Iterator[tuple[str, Path, str]]:
    """What lies in a folder, no link followed: (name, path, kind), folders too."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        name = inside + names.escape(os.fsencode(entry.name))
        mode = entry.stat(follow_symlinks=False).st_mode
        kind = next((word for test, word in _KINDS if test(mode)), "special file")
        if name.count("/") > _MOST_DEEP:
            kind = "name too deep within folders"
        yield name, Path(entry.path), kind
        if kind == "folder":
            yield from _walk(Path(entry.path), f"{name}/")


_KINDS = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "symbolic link"))
