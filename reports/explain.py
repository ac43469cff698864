"""One file explained: every copy with its evidence, each control met or not, what would mend it, and the command that restores it."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import names
from catalog.errors import NotFoundError
from catalog.words import THREATS
from reports import cells, locks, mending, rescue, terminal, tiers
from reports.state import age, counted, day
from reports.uncounted import Uncounted, not_counting

if TYPE_CHECKING:
    import duckdb

LEVELS = ("listed", "sizes consistent, or a digest attested by its storage", "read and digested", "equal to the source", "restored and compared")
MATCHES = {
    "path_only": "proves nothing: same path, size and time, but no time to trust; or what a stub stands for, of its size, but not read",
    "conflict": "conflict: same size and time, but its content, or that of another such copy, is another",
}
_ELSEWHERE = "SELECT copies FROM elsewhere WHERE volume = $volume AND entry_id = $entry_id"
_CLASS_COLUMNS = {"max_copy_age": "max_copy_age_days", "max_verification_age": "max_verification_age_days", "retention": "retention_days"}


@dataclass(frozen=True)
class Control:
    """One line of the requirement: met, not_met, unknown or waived, what is asked, and why it is not met."""

    name: str
    result: str
    asked: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copy:
    """What one volume holds of the file, how well it is known and since when; `usable` says whether it counts, `reason` why not."""

    volume: str
    path: str
    match: str
    is_current: bool
    usable: str
    reason: str | None
    verification_level: int | None
    verified_at: datetime.datetime | None
    seen_at: datetime.datetime | None
    files: int
    access: str | None
    systems: tuple[str, ...]
    sites: tuple[str, ...]
    unread: str | None = None  # why its content could not be read by the scan that holds
    lock: str | None = None  # what objects there tell of a lock, in words; None = nothing
    tier: str | None = None  # that it lies in an archive of its store, in words; None = nobody tells so


@dataclass(frozen=True)
class Explanation:
    """A file and what holds for it. For a file that is no asset, `copy_of` names assets whose copy it is, and there are no controls."""

    volume: str
    path: str
    role: str
    size_bytes: int | None
    modified_at: datetime.datetime | None
    is_asset: bool
    carried: bool
    status: str | None
    data_class: str | None
    owner: str | None
    freshness: str | None
    other_copies: int | None
    copies: tuple[Copy, ...]
    controls: tuple[Control, ...]
    mend: tuple[str, ...]
    copy_of: tuple[str, ...]
    restore: str | None
    restored_from: str | None  # the volume that the command reads
    as_of: datetime.datetime
    same_volume: tuple[str, ...] = ()  # other names of the file, and duplicates of it, at most 20
    unread: str | None = None  # why its content could not be read by the scan that holds
    elsewhere: int = 0  # volumes with a current copy that who asks may not see
    pointer: str | None = None  # the stub or symbolic link that was asked for, and leads to the file
    uncounted: tuple[Uncounted, ...] = ()  # files of other volumes with its content that count for nothing

    def data(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def text(self) -> str:
        """For people."""
        lines = [f"{self.volume}:{self.path}", *([f"  {self.pointer} leads there"] if self.pointer else [])]
        size = "of a size that nobody tells" if self.size_bytes is None else terminal.size(self.size_bytes)
        lines += [f"  {size}, changed {_when(self.modified_at, self.as_of)}, {self.role}"]
        if self.is_asset:
            lines.append(f"  class {self.data_class}, owner {self.owner or 'unknown'}")
            conflict = "; a copy is in conflict" if any(copy.match == "conflict" for copy in self.copies) else ""
            lines.append(f"  status {self.status}; freshness of its copies: {self.freshness}{conflict}")
        else:
            lines.append(f"  not an asset; a copy of {', '.join(self.copy_of)}" if self.copy_of else "  not an asset, and a copy of none that is known")
        if self.carried:
            lines.append("  its folder could not be read by the newest scan: what is said of it is older")
        if self.unread:
            lines.append(f"  it could not be read: {self.unread}")
        lines += ["", f"Elsewhere: {counted(self.elsewhere, 'volume')} with a copy, not yours to see"] if self.elsewhere else []
        if self.copies:
            lines += ["", "Copies", *(f"  {line}" for copy in self.copies for line in _copy_lines(copy, self.as_of))]
        elif self.is_asset and not self.elsewhere:
            lines += ["", "Copies: none is known" + (" that may count" if self.uncounted else "")]
        if self.uncounted:
            lines += [
                "",
                "The same content, which counts for nothing but may be restored from",
                *(f"  {line}" for one in self.uncounted for line in one.lines(self.as_of)),
            ]
        if self.same_volume:
            lines += ["", "Also on its own volume, which protects nothing", *(f"  {path}" for path in self.same_volume)]
        if self.controls:
            lines += ["", "Requirement", *(f"  {_control_line(control)}" for control in self.controls)]
        if self.mend:
            lines += ["", "What would mend it", *(f"  * {sentence}" for sentence in self.mend)]
        lines += ["", f"Restore with{self.doubt}", f"  {self.restore}"] if self.restore else []
        return "\n".join(cells.clean(line) for line in lines) + "\n"

    @property
    def doubt(self) -> str:
        """What is to be said of the file that the restore command reads, in brackets; nothing of a copy of the current content."""
        match = next((copy.match for copy in self.copies if copy.volume == self.restored_from), None)
        if match is None:
            return " (from a file that counts for nothing)" if self.restored_from else ""
        return "" if match in ("content", "metadata") else f" ({'perhaps ' if match in MATCHES else ''}not its current content)"


def explain(connection: "duckdb.DuckDBPyConnection", volume: str | None, path: str, folder: Path | None = None) -> list[Explanation]:
    """Every file at a path (escaped), on one volume or on all; an absolute path is looked for below the volumes' own folders.

    'VOLUME:PATH' names both. A stub or symbolic link leads to the file in its place. `folder` is what relative folders of
    volumes are relative to; without it their files get no restore command. Raises NotFoundError.
    """
    places = _places(connection, volume, path, folder)
    rows: list[tuple[dict[str, Any], str | None]] = [(row, None) for name, inside in places for row in _files(connection, name, inside)]
    rows = rows or list(_led(connection, places, folder))
    if not rows:
        for name, inside in places:
            if problem := _hiding(connection, name, inside):
                raise NotFoundError(f"{path}: unknown: the scan of {name} could not read {problem['path'] or 'its root'} ({problem['error']})")
        for name, inside in places:
            if _is_folder(connection, name, inside):
                raise NotFoundError(f"{path}: is a folder on {name}, and files are explained; 'lastcopy find' with a part of its path lists what it holds")
        raise NotFoundError(f"{path}: no volume holds such a file in this snapshot; 'lastcopy find' looks for a part of a name")
    as_of = _rows(connection, "SELECT as_of FROM snapshot", {})[0]["as_of"]
    return [_explained(connection, row, as_of, folder, pointer) for row, pointer in rows]


def _places(connection: "duckdb.DuckDBPyConnection", volume: str | None, path: str, folder: Path | None) -> list[tuple[str, str]]:
    volumes = _rows(connection, "SELECT volume, kind, url FROM volumes ORDER BY position", {})
    known = [row["volume"] for row in volumes]
    if volume is not None and volume not in known:
        raise NotFoundError(f"there is no volume {volume!r}; volumes are {', '.join(known)}")
    before, colon, after = path.partition(":")
    if volume is None and colon and before in known:
        return [(before, after)]
    if path.startswith("/"):
        trees = [rescue.anchored(row, folder) for row in volumes if row["kind"] == "posix"]
        roots = [(row["volume"], names.escape(rescue.root(row["url"]).encode("utf-8", "surrogateescape"))) for row in trees]
        return [(name, path.removeprefix(root + "/")) for name, root in roots if volume in (None, name) and path.startswith(root + "/")]
    return [(name, path) for name in ([volume] if volume else known)]


def _files(connection: "duckdb.DuckDBPyConnection", volume: str, path: str) -> list[dict[str, Any]]:
    folder, slash, name = path.rpartition("/")
    query = "SELECT * FROM files WHERE volume = $volume AND dir = $dir AND name = $name"
    return _rows(connection, query, {"volume": volume, "dir": folder + slash, "name": name})


def _led(connection: "duckdb.DuckDBPyConnection", places: Sequence[tuple[str, str]], folder: Path | None) -> Iterator[tuple[dict[str, Any], str]]:
    """The files that stubs and symbolic links at some places lead to, each with what leads there."""
    query = """
        SELECT link_target, storage_class FROM entries
        WHERE volume = $volume AND dir = $dir AND name = $name AND (storage_class = 'stub' OR (type = 'symlink' AND starts_with(link_target, '/')))
        """
    for volume, path in places:
        above, slash, name = path.rpartition("/")
        for row in _rows(connection, query, {"volume": volume, "dir": above + slash, "name": name}):
            kind = "the stub" if row["storage_class"] else "the symbolic link"
            targets = _places(connection, None, row["link_target"], folder) if row["link_target"] else []  # None where who asks may not see the place
            yield from ((found, f"{kind} {volume}:{path}") for target in targets for found in _files(connection, *target))


def _hiding(connection: "duckdb.DuckDBPyConnection", volume: str, path: str) -> dict[str, Any] | None:
    """The problem of the volume's scan at a path, or above it with all that lies below unseen; None if there is none."""
    query = """
        SELECT path, error FROM problems
        WHERE volume = $volume AND (path = $path OR (hides_below AND (path = '' OR starts_with($path, concat(path, '/')))))
        ORDER BY length(path) DESC, error LIMIT 1
        """
    return next(iter(_rows(connection, query, {"volume": volume, "path": path})), None)


def _is_folder(connection: "duckdb.DuckDBPyConnection", volume: str, path: str) -> bool:
    query = "SELECT 1 FROM files WHERE volume = $volume AND starts_with(dir, $dir) LIMIT 1"
    return bool(_rows(connection, query, {"volume": volume, "dir": path.rstrip("/") + "/"}))


def _unread(connection: "duckdb.DuckDBPyConnection", volume: str, path: str, entry_id: int) -> str | None:
    """What the storage said when a file, or one of several versions at a path, was to be read; None where it could be, or nobody tried."""
    query = """
        SELECT p.error FROM problems AS p
        WHERE
            p.volume = $volume AND p.path = $path AND p.stage IN ('open', 'read', 'changed') AND NOT p.hides_below
            AND (p.inode IS NULL OR p.inode IN (SELECT e.inode FROM entries AS e WHERE e.volume = $volume AND e.entry_id = $entry_id))
        ORDER BY p.seen_at DESC, p.error LIMIT 1
        """
    return next((str(row["error"]) for row in _rows(connection, query, {"volume": volume, "path": path, "entry_id": entry_id})), None)


def _explained(
    connection: "duckdb.DuckDBPyConnection", row: Mapping[str, Any], as_of: datetime.datetime, folder: Path | None, pointer: str | None
) -> Explanation:
    volumes = {v["volume"]: rescue.anchored(v, folder) for v in _rows(connection, "SELECT * FROM volumes", {})}
    classes = _rows(connection, "SELECT * FROM classes WHERE data_class = $data_class", {"data_class": row["data_class"]})
    copies = _copies(connection, row, volumes, as_of, classes[0]["retention_days"] if classes else None)
    others = not_counting(connection, row, volumes, {copy.volume for copy in copies}) if row["is_asset"] else ()
    exact = [copy for copy in copies if copy.match in ("content", "metadata")]
    likely = [copy for copy in copies if copy.match not in ("content", "metadata", "conflict")]
    restored_from, restore = rescue.first(volumes[row["volume"]], row["path"], (*exact, *others, *likely), volumes)
    controls = _controls(row, classes[0]) if row["is_asset"] and classes else ()
    keys = ("volume", "path", "role", "size_bytes", "modified_at", "is_asset", "carried", "status", "data_class", "owner", "freshness", "other_copies")
    return Explanation(
        **{key: row[key] for key in keys},
        copies=copies,
        controls=controls,
        mend=_mend(controls),
        copy_of=() if row["is_asset"] else _copy_of(connection, row),
        restore=restore,
        restored_from=restored_from,
        as_of=as_of,
        same_volume=_same_volume(connection, row),
        unread=_unread(connection, row["volume"], row["path"], row["entry_id"]),
        elsewhere=sum(found["copies"] for found in _rows(connection, _ELSEWHERE, {key: row[key] for key in ("volume", "entry_id")})),
        pointer=pointer,
        uncounted=others,
    )


def _copies(
    connection: "duckdb.DuckDBPyConnection",
    row: Mapping[str, Any],
    volumes: Mapping[str, Mapping[str, Any]],
    as_of: datetime.datetime,
    retention_days: float | None,
) -> tuple[Copy, ...]:
    query = """
        SELECT copy_volume, copy_dir, copy_name, copy_entry_id, match, is_current, usable, usable_reason, verification_level, verified_at, seen_at, files,
            lock_mode, locked_until, lock_outlasts
        FROM copies WHERE volume = $volume AND entry_id = $entry_id
        """
    found = _rows(connection, query, {"volume": row["volume"], "entry_id": row["entry_id"]})
    copies = [
        Copy(
            volume=c["copy_volume"],
            path=c["copy_dir"] + c["copy_name"],
            reason=c["usable_reason"],
            access=volumes[c["copy_volume"]]["access"],
            systems=tuple(volumes[c["copy_volume"]]["systems"]),
            sites=tuple(volumes[c["copy_volume"]]["sites"]),
            unread=_unread(connection, c["copy_volume"], c["copy_dir"] + c["copy_name"], c["copy_entry_id"]),
            lock=locks.told(c, as_of, retention_days),
            tier=tiers.told(connection, c["copy_volume"], c["copy_entry_id"]),
            **{key: c[key] for key in ("match", "is_current", "usable", "verification_level", "verified_at", "seen_at", "files")},
        )
        for c in found
    ]
    return tuple(sorted(copies, key=_best_first))


def _best_first(copy: Copy) -> tuple[bool, int, int, float, str]:
    verified = copy.verified_at.timestamp() if copy.verified_at else 0.0
    return not copy.is_current, ("yes", "unknown", "no").index(copy.usable), -(copy.verification_level or 0), -verified, copy.volume


def _controls(row: Mapping[str, Any], data_class: Mapping[str, Any]) -> tuple[Control, ...]:
    missed, unknown = _words(row["not_met"]), _words(row["unknown_controls"])
    results = {"yes": "met", "no": "not_met", "unknown": "unknown"}
    threats = [
        Control(threat, "waived" if threat in (data_class["waive"] or ()) else results[row[threat]], "survive it", _words(row[f"{threat}_reasons"]))
        for threat in THREATS
    ]
    others = []
    for name in mending.MEND_CONTROL:
        asked = data_class[_CLASS_COLUMNS.get(name, name)]
        result = "not_met" if name in missed else "unknown" if name in unknown else "met"
        # Every class has a retention; whether it is a control of its own is only known where it is missed.
        if asked is not None and not (name == "retention" and result == "met"):
            others.append(Control(name, result, f"{asked:g} day{'' if asked == 1 else 's'}" if name in _CLASS_COLUMNS else f"{asked:g}"))
    return (*threats, *others)


def _mend(controls: Sequence[Control]) -> tuple[str, ...]:
    open_ones = [control for control in controls if control.result in ("not_met", "unknown")]
    return tuple(dict.fromkeys(sentence for sentence in (mending.sentence(one.name, one.result, one.reasons) for one in open_ones) if sentence))


def _copy_of(connection: "duckdb.DuckDBPyConnection", row: Mapping[str, Any]) -> tuple[str, ...]:
    query = """
        SELECT concat(volume, ':', dir, name) AS asset FROM copies
        WHERE copy_volume = $volume AND copy_dir = $dir AND copy_name = $name AND match <> 'conflict' ORDER BY asset LIMIT 20
        """
    return tuple(found["asset"] for found in _rows(connection, query, {key: row[key] for key in ("volume", "dir", "name")}))


def _same_volume(connection: "duckdb.DuckDBPyConnection", row: Mapping[str, Any]) -> tuple[str, ...]:
    query = """
        WITH own AS (SELECT fs_id, inode FROM entries WHERE volume = $volume AND dir = $dir AND name = $name AND link_count > 1),
        twins AS (SELECT digest FROM duplicate_groups WHERE volume = $volume AND dir = $dir AND name = $name)
        SELECT path FROM (
            SELECT concat(e.dir, e.name) AS path FROM entries AS e INNER JOIN own ON e.fs_id = own.fs_id AND e.inode = own.inode WHERE e.volume = $volume
            UNION
            SELECT concat(d.dir, d.name) AS path FROM duplicate_groups AS d INNER JOIN twins ON d.digest = twins.digest WHERE d.volume = $volume
        )
        WHERE path <> concat($dir, $name) ORDER BY path LIMIT 20
        """
    return tuple(found["path"] for found in _rows(connection, query, {key: row[key] for key in ("volume", "dir", "name")}))


def _copy_lines(copy: Copy, as_of: datetime.datetime) -> list[str]:
    known = "not verified"
    if copy.verification_level is not None:
        known = f"level {copy.verification_level}: {LEVELS[copy.verification_level]}, {_when(copy.verified_at, as_of)}"
        known = f"before that {known}" if copy.unread else known
    counts = {"yes": "counts", "no": "does not count", "unknown": "not known to count"}[copy.usable] + (f" ({copy.reason})" if copy.reason else "")
    match = MATCHES.get(copy.match, copy.match if copy.is_current else f"{copy.match}, not current")
    if copy.match == "older" and copy.is_current:
        match = "an older version, within the copy age of its class"
    place = f"system {'/'.join(copy.systems) or 'unknown'}, site {'/'.join(copy.sites) or 'unknown'}, {copy.access or 'access unknown'}"
    return [
        f"{copy.volume}:{copy.path}" + (f" and {counted(copy.files - 1, 'other file')} of the volume" if copy.files > 1 else ""),
        *([f"  it could not be read: {copy.unread}"] if copy.unread else []),
        f"  {match}; {counts}" if copy.match == "conflict" else f"  {match}; {known}; {counts}",
        f"  {place}; seen {_when(copy.seen_at, as_of)}",
        *(f"  {said}" for said in (copy.lock, copy.tier) if said),
    ]


def _control_line(control: Control) -> str:
    return f"{control.name:<24}{control.result:<9}{control.asked}" + (f": {', '.join(control.reasons)}" if control.reasons else "")


def _when(moment: datetime.datetime | None, as_of: datetime.datetime) -> str:
    return f"{day(moment)} ({age(moment, as_of)} before the snapshot)" if moment else "at an unknown time"


def _words(joined: str | None) -> tuple[str, ...]:
    return tuple(word for word in (joined or "").split(",") if word)


def _plain(value: Any) -> Any:  # noqa: ANN401  # any field, and the same as JSON
    if isinstance(value, datetime.datetime):
        return value.isoformat() + "Z"
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _rows(connection: "duckdb.DuckDBPyConnection", query: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = connection.execute(query, dict(params))
    columns = [column[0] for column in found.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
