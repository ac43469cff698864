"""Twenty thousand real files, backed up by restic and by borg, then changed in eleven ways: the verdicts against what is restored from both, and digested."""

import hashlib
import os
import random
import shutil
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalog import names
from tests.lastcopy.program import run
from tests.scanners import borgs, repositories
from tests.scanners.borgs import borg
from tests.scanners.repositories import restic

pytestmark = pytest.mark.slow

FILES, CHANGES = 20_000, 500
_SMALL_BYTES, _LARGE_BYTES, _LARGE_FILES = 200_000, 4 << 20, 6
_ORDER = ("never_copied", "excluded_by_backup", "conflict", "changed_since_copy", "same_volume_only", "not_immutable_or_offline")
_THREATS = ("user_error", "ransomware", "system_failure", "facility_outage")
DECLARED = """\
[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"
access = "online"
immutability = "none"

[volumes.shelf]
url = "restic:restic/repository"
role = "backup"
password_file = "restic/password"
of = ["data"]
path_map = { "DATA" = "data:" }
system = "shelf"
site = "lyon"
admin = "records"
device = "disk-2"
access = "offline"
keeps_versions = "90d"

[volumes.nightly]
url = "borg:borg/repository"
role = "backup"
password_file = "borg/password"
of = ["data"]
path_map = { "DATA" = "data:" }
system = "backup-1"
site = "rome"
admin = "it"
device = "disk-3"
access = "online"
immutability = "none"
keeps_versions = "90d"
"""


@dataclass(frozen=True)
class Held:
    """A file that a recovery point gives back, or that lies in the tree."""

    size_bytes: int
    modified_us: int
    modified_ns: int
    sha256: str


Tree = dict[str, Held]  # by escaped path


def test_every_verdict_on_a_real_tree_is_that_of_what_both_repositories_give_back(tmp_path: Path) -> None:
    chance, data = random.Random(5), tmp_path / "data"
    _fill(chance, data)
    for program in ("restic", "borg"):
        (tmp_path / program).mkdir()
    shelf, nightly = repositories.new(tmp_path / "restic"), borgs.new(tmp_path / "borg")
    _back_up(shelf, nightly, data, "first")
    changed = [_change(chance, data, CHANGES // 2)]
    _back_up(shelf, nightly, data, "second")
    changed.append(_change(chance, data, CHANGES // 2))
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(data)))
    run("scan", folder=tmp_path)
    run("report", "assets", "--format", "parquet", "--output", "assets.parquet", folder=tmp_path)
    found = {row["path"]: _verdict(row) for row in pq.read_table(tmp_path / "assets.parquet").to_pylist()}

    assets = _walked(data)
    given_back = {"shelf": _restored_by_restic(shelf, data, tmp_path / "out"), "nightly": _restored_by_borg(nightly, data, tmp_path / "out")}
    judged = _judged(assets, given_back)
    told = Counter(reason for _, *_, reasons in judged.values() for reason in reasons.split(","))
    assert all(told[reason] >= 20 for reason in ("never_copied", "excluded_by_backup", "conflict", "changed_since_copy")), told
    assert len(assets) >= FILES - CHANGES
    assert all(sum(kinds.values()) == CHANGES // 2 and len(kinds) == len(_WAYS) for kinds in changed)
    assert found.keys() == judged.keys()
    assert {path: (found[path], judged[path]) for path in found if found[path] != judged[path]} == {}
    contents = {held.sha256 for trees in given_back.values() for tree in trees for held in tree.values()}
    assert not [path for path, verdict in found.items() if "yes" in verdict[1:5] and assets[path].size_bytes and assets[path].sha256 not in contents]


def _verdict(row: dict[str, str]) -> tuple[str, ...]:
    return (row["status"], *(row[threat] for threat in _THREATS), row["reasons"])


def _fill(chance: random.Random, data: Path) -> None:
    """Copies of files that Python and the system have here, with their times; and some that no backup stores in one piece."""
    places = [sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), "/usr/lib", "/usr/share", "/usr/include"]
    taken = 0
    for number, root in enumerate(map(Path, places)):
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not os.path.islink(os.path.join(folder, name)) and name != "dpkg")
            for name in sorted(files):
                source = Path(folder, name)
                if taken == FILES - _LARGE_FILES:
                    break
                if source.is_symlink() or not source.is_file() or source.stat().st_size > _SMALL_BYTES:
                    continue
                target = data / f"part{number}" / source.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
                taken += 1
    assert taken == FILES - _LARGE_FILES
    for number in range(_LARGE_FILES):
        (data / f"large{number}.bin").write_bytes(chance.randbytes(_LARGE_BYTES + number))


def _back_up(shelf: Path, nightly: Path, data: Path, name: str) -> None:
    restic(shelf, "backup", "--quiet", "--exclude", "*.pyi", "--exclude", "locale", str(data))
    borg(nightly, "create", "--exclude", "*.pyi", "--exclude", f"{data}/part0/numpy", f"::{name}", str(data))


# What is done to files. Each way gets paths that nothing was done to before.


def _append(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(chance.randbytes(7))


def _overwrite(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(path.stat().st_size))


def _tamper(path: Path, chance: random.Random) -> None:
    before = path.stat()
    path.write_bytes(chance.randbytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _touch(path: Path, chance: random.Random) -> None:
    at = 1_700_000_000_000_000_000 + chance.randrange(10**15)
    os.utime(path, ns=(at, at))


def _rename(path: Path, chance: random.Random) -> None:
    path.rename(path.with_name(f"renamed {chance.random()}\n{path.name}"))


def _remove(path: Path, _chance: random.Random) -> None:
    path.unlink()


def _add(path: Path, chance: random.Random) -> None:
    path.with_name(f"new {path.name}").write_bytes(chance.randbytes(chance.randint(1, 5000)))


def _duplicate(path: Path, _chance: random.Random) -> None:
    shutil.copy2(path, path.with_name(f"copy of {path.name}"))


def _forbid(path: Path, _chance: random.Random) -> None:
    path.chmod(0o600)


def _empty(path: Path, _chance: random.Random) -> None:
    path.write_bytes(b"")


def _link(path: Path, _chance: random.Random) -> None:
    os.link(path, path.with_name(f"other name of {path.name}"))


_WAYS = (_append, _overwrite, _tamper, _touch, _rename, _remove, _add, _duplicate, _forbid, _empty, _link)


def _change(chance: random.Random, data: Path, number: int) -> dict[str, int]:
    """Change so many files, the large ones among them; gives how many in each way."""
    paths = sorted(path for path in data.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1 and path.stat().st_size > 64)
    large = [path for path in paths if path.name.startswith("large")]
    chosen = [*large[: len(large) // 2], *chance.sample([path for path in paths if path not in large], number)][:number]
    done: dict[str, int] = defaultdict(int)
    first, others = chosen[: len(large) // 2], chosen[len(large) // 2 :]
    excluded, stored = [path for path in others if _is_left_out(path, data)], [path for path in others if not _is_left_out(path, data)]
    for place in range(len(chosen)):
        way = (_tamper, _append, _touch)[place] if place < len(first) else _WAYS[place % len(_WAYS)]
        # What no backup holds is in conflict with none, and what is new beside it is left out, too.
        path = first[place] if place < len(first) else (excluded if excluded and (way not in (_tamper, _add) or not stored) else stored).pop()
        way(path, chance)
        done[way.__name__] += 1
    return done


def _is_left_out(path: Path, data: Path) -> bool:
    """Whether an exclude of either backup leaves a file out."""
    inner = path.relative_to(data)
    return path.suffix == ".pyi" or "locale" in inner.parts or inner.parts[:2] == ("part0", "numpy")


# What is true, by what comes out of the repositories.


def _judged(assets: Tree, given_back: Mapping[str, Sequence[Tree]]) -> dict[str, tuple[str, ...]]:
    contents = {volume: {held.sha256 for tree in trees for held in tree.values() if held.size_bytes} for volume, trees in given_back.items()}
    return {path: _judge(path, asset, given_back, contents["shelf"]) for path, asset in assets.items()}


def _judge(path: str, asset: Held, given_back: Mapping[str, Sequence[Tree]], on_the_shelf: set[str]) -> tuple[str, ...]:
    versions = {volume: [tree[path] for tree in trees if path in tree] for volume, trees in given_back.items()}
    kinds = {"shelf": _by_content(asset, versions["shelf"], on_the_shelf), "nightly": _by_listing(asset, versions["nightly"])}
    if kinds["shelf"] == "conflict" and kinds["nightly"] == "metadata":
        kinds["nightly"] = "conflict"  # either may be right
    reasons: dict[str, set[str]] = {threat: set() for threat in _THREATS}
    values: dict[str, list[bool]] = {threat: [] for threat in _THREATS}
    for volume, kind in kinds.items():
        missing = {"older": "changed_since_copy", "conflict": "conflict", "absent": _why_absent(volume, path)}.get(kind)
        for threat in _THREATS:
            reason = missing or ("not_immutable_or_offline" if (threat, volume) == ("ransomware", "nightly") else None)
            values[threat].append(reason is None)
            reasons[threat] |= {reason} if reason else set()
    answers = {threat: any(found) for threat, found in values.items()}
    told = set().union(*(reasons[threat] for threat in _THREATS if not answers[threat]))
    if set(kinds.values()) != {"absent"}:
        told.discard("never_copied")
    status = "protected" if all(answers.values()) else "partly" if any(answers.values()) else "unprotected"
    return (status, *("yes" if answers[threat] else "no" for threat in _THREATS), ",".join(sorted(told, key=_ORDER.index)))


def _by_content(asset: Held, versions: Sequence[Held], contents: set[str]) -> str:
    if asset.sha256 in contents or (not asset.size_bytes and any(not one.size_bytes for one in versions)):
        return "content"
    times = (asset.size_bytes, asset.modified_us, asset.modified_ns)
    if asset.size_bytes and any((one.size_bytes, one.modified_us, one.modified_ns) == times for one in versions):
        return "conflict"
    return "older" if versions else "absent"


def _by_listing(asset: Held, versions: Sequence[Held]) -> str:
    if not asset.size_bytes and any(not one.size_bytes for one in versions):
        return "content"
    rounded = asset.modified_us + (asset.modified_ns >= 500)
    if asset.size_bytes and any(one.size_bytes == asset.size_bytes and one.modified_us in (asset.modified_us, rounded) for one in versions):
        return "metadata"
    return "older" if versions else "absent"


def _why_absent(volume: str, path: str) -> str:
    parts = path.split("/")
    left_out = path.endswith(".pyi") or (volume == "shelf" and "locale" in parts) or (volume == "nightly" and parts[:2] == ["part0", "numpy"])
    return "excluded_by_backup" if left_out else "never_copied"


def _walked(root: Path) -> Tree:
    found = {}
    for path in _files(os.fsencode(root)):
        status = os.lstat(path)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        shown = names.escape(os.path.relpath(path, os.fsencode(root)))
        found[shown] = Held(status.st_size, status.st_mtime_ns // 1000, status.st_mtime_ns % 1000, digest)
    return found


def _files(root: bytes) -> Iterator[bytes]:
    for folder, _, files in os.walk(root):
        yield from (path for name in files if not os.path.islink(path := os.path.join(folder, name)))


def _restored_by_restic(repository: Path, data: Path, out: Path) -> list[Tree]:
    found = []
    for point in repositories.points(repository):
        restic(repository, "restore", "--quiet", str(point["id"]), "--target", str(out))
        found.append(_walked(out / data.relative_to("/")))
        shutil.rmtree(out)
    return found


def _restored_by_borg(repository: Path, data: Path, out: Path) -> list[Tree]:
    found = []
    for point in borgs.points(repository):
        out.mkdir()
        borg(repository, "extract", f"::{point['barchive']}", folder=out)
        found.append(_walked(out / data.relative_to("/")))
        shutil.rmtree(out)
    return found
