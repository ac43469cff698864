"""Archives for the tests: real ones by the tools that people use, and hostile ones byte by byte."""

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from catalog import config, names, table
from scanners import crawl, digest
from tests.scanners import contract
from tests.scanners.contract import Item, entries, problems, scan

PROGRAMS = {".7z": "7z", ".zip": "zip", ".tar.zst": "zstd", ".tar.xz": "xz", ".tar.bz2": "bzip2"}
KINDS = (".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip", ".7z")


def grow(folder: Path, items: Iterable[Item]) -> None:
    """Make files and folders."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        path = os.path.join(os.fsencode(folder), item.path)
        os.makedirs(path if item.content is None else os.path.dirname(path), exist_ok=True)
        if item.content is not None:
            Path(os.fsdecode(path)).write_bytes(item.content)


def pack(folder: Path, archive: Path, *options: str) -> Path:
    """Pack all that is in a folder, by the program for the archive's ending."""
    ending = next(ending for ending in sorted(KINDS, key=len, reverse=True) if archive.name.endswith(ending))
    need(ending)
    names = sorted(os.listdir(os.fsencode(folder)))
    if ending == ".zip":
        run("zip", "-q", "-r", "-y", *options, str(archive), ".", folder=folder)
    elif ending == ".7z":
        run("7z", "a", "-snl", "-bso0", "-bsp0", *options, str(archive), ".", folder=folder)
    else:
        run("tar", "-c", "-a", "-f", str(archive), *options, "--", *(os.fsdecode(name) for name in names), folder=folder)
    return archive


def need(ending: str) -> None:
    """Skip where the program for an ending is not installed, unless the tests must not be skipped."""
    program = PROGRAMS.get(ending)
    if program and not shutil.which(program):
        assert not os.environ.get("REQUIRE_SERVERS"), f"{program} is not installed"
        pytest.skip(f"{program} is not installed")


def run(*command: str, folder: Path) -> None:
    """Run a program in a folder."""
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"})


def member(name: str | bytes, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", **more: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive, as hostile as it is asked for."""
    info = tarfile.TarInfo(os.fsdecode(name))
    info.type, info.size, info.linkname, info.mtime = kind, len(content), link, 1_700_000_000
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """The bytes of a tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """The bytes of a zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20))
            info.create_system, info.external_attr, info.compress_type = 3, 0o100644 << 16, method
            archive.writestr(info, content)
    return out.getvalue()


def declared_of(path: Path) -> dict[str, Any]:
    """The volume that an archive, or a folder of them, is."""
    return {"url": f"container:{path}"}


def scanned(folder: Path, content: bytes, name: str = "a.tar") -> tuple[dict[bytes, dict[str, Any]], list[tuple[str, str]]]:
    """Entries by path and problems of an archive of these bytes."""
    archive = folder / name
    archive.write_bytes(content)
    result = scan(folder / "catalog", declared_of(archive), accept_losses=True)
    assert all(row["error"].isprintable() and row["path"].isprintable() for row in problems(folder / "catalog", result))
    found = {names.unescape(row["dir"] + row["name"]): row for row in entries(folder / "catalog", result)}
    assert result.state == ("incomplete" if problems(folder / "catalog", result) else "complete")
    return found, [(row["path"], row["error"]) for row in problems(folder / "catalog", result)]


def read(
    folder: Path, declared: dict[str, Any], mode: digest.Mode | None = "all", again: bool = False
) -> tuple[dict[str, str], list[tuple[str, str]], digest.DigestCounts]:
    """Digests in hex by path, and all problems, after a scan and a run of digests."""
    root, given = folder / "catalog", config.parse({"volumes": {"v": declared}})
    result = crawl.scan(root, given, "v", now=contract.clock, workers=1)
    counts = digest.digest(root, given, mode=mode, volumes=["v"], now=contract.clock, workers=1, again=again)
    rows = sorted(table.read(root, "digests").to_pylist(), key=lambda row: row["digested_at"])  # of one path the newest
    found = {row["dir"] + row["name"]: row["digest"].hex() for row in rows if row["digest"]}
    return found, [(row["path"], row["error"]) for row in problems(root, result)], counts
