"""Looks at every intended act where it would happen, a chunk at a time: is the source still what the scan saw, may it go, what is at the target. Only reads."""

import datetime
import errno
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from catalog import names
from catalog.errors import ConfigError, LastcopyError, UnreachableError
from catalog.ours import HOME, is_temporary
from lifecycle import choosing, folders, manifest, owners, stores
from lifecycle.ahead import Ahead
from lifecycle.draft import Draft
from lifecycle.ends import EndError
from lifecycle.holds import Holds, Owners
from lifecycle.stores import STUB_MAGIC, Capabilities, Fingerprint, Store
from reports.state import age

_AT_ONCE = 20_000
_LOOKS_AT_ONCE = 16  # on their way over a network
_AHEAD = 1000  # acts whose places are looked at before they are asked about
_POINTER_BYTES = 64 << 10
_MOST_NS = (1 << 63) - 1
_LOOKED = pa.schema(
    [
        ("id", pa.int64()),
        ("type", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("fs_id", pa.string()),
        ("inode", pa.int64()),
        ("created_ns", pa.int64()),
        ("changed_ns", pa.int64()),
        ("link_count", pa.int32()),
        ("target_name", pa.string()),  # as the target tells names apart
        ("adopts", pa.bool_()),  # the target has a file of that size already
        ("reason", pa.string()),  # why it is refused; null = nothing speaks against it
        ("detail", pa.string()),
    ]
)
Refusal = tuple[str, str]  # a word of REFUSAL_REASONS, and what was seen
_OURS = ("is_ours", "a name of Lastcopy's own; where a volume lies inside another, exclude it there")


@dataclass(frozen=True)
class Place:
    """A volume as it is now; `refusal` says why nothing on it can be planned."""

    store: Store | None
    refusal: Refusal | None = None
    fs_id: str | None = None
    marker: str | None = None
    capabilities: Capabilities | None = None
    free_bytes: int | None = None
    youngest_ns: int = 0  # what was modified later is too young


class Places:
    """The volumes of a draft, each opened once."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._known: dict[tuple[str, bool], Place] = {}
        self._threads = ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="lastcopy-look")
        self._ahead = Ahead(self._threads, ())
        self.holds = draft.journal.holds() if draft.journal else Holds(())
        self.owners_matter = any(hold.scope is not None and hold.scope.kind == "owner" and hold.holds_at(draft.now_us) for hold in self.holds.every)

    def held(self, sha256: bytes | None, volume: str, path: bytes, owner: Owners) -> str | None:
        """Why a file may not be taken, as jobs ask it: for its own sake, or, where it goes for good, for that of a place that its content was taken from."""
        if not self.holds.every:
            return None
        draft = self._draft
        also = draft.journal.taken_from(sha256) if draft.action.REMOVES and draft.journal and sha256 else []
        return next((why for at in [(volume, path), *also] if (why := self.holds.blocking(sha256, *at, owner, draft.now_us))), None)

    def of(self, volume: str, *, written: bool) -> Place:
        """A volume; `written` where a job would write to it, so that it must be prepared."""
        if (volume, written) not in self._known:
            self._known[volume, written] = self._look(volume, written)
        return self._known[volume, written]

    def begin(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Begin to look at the sources and targets of acts on storages that wait for a network."""
        touches = self._draft.action.TOUCHES
        wanted = [(self.of(row["volume"], written=touches), row["path"]) for row in rows if not row["key"]]
        wanted += [(self.of(row["target_volume"], written=True), row["target_path"]) for row in rows if row["target_volume"] is not None]
        self._ahead = Ahead(
            self._threads, [(place.store, names.unescape(path)) for place, path in wanted if place.store is not None and _waits(place)], lasting=True
        )

    def look(self, store: Store, path: bytes) -> Fingerprint | None:
        """What is at a path now. Raises what `Store.look` does."""
        return self._ahead.look(store, path)

    def identities(self) -> dict[str, dict[str, str | None]]:
        """Of each volume that was looked at: its marker and its file system."""
        return {volume: {"marker": place.marker, "fs_id": place.fs_id} for (volume, _), place in sorted(self._known.items()) if place.store is not None}

    def devices(self) -> dict[str, str | None]:
        """The disks that the volumes which were looked at are on now."""
        found: dict[str, str | None] = {}
        for (volume, _), place in self._known.items():
            if place.store is not None:
                with suppress(UnreachableError, OSError):
                    found[volume] = place.store.device()
        return found

    def without_shared_blocks(self) -> frozenset[str]:
        """Those of the volumes that were looked at whose file system cannot share blocks."""
        return frozenset(volume for (volume, _), place in self._known.items() if (able := place.capabilities) is not None and not (able.dedupe or able.reflink))

    def close(self) -> None:
        """Let go of all stores."""
        self._threads.shutdown(cancel_futures=True)
        for place in self._known.values():
            if place.store is not None:
                place.store.close()

    def __enter__(self) -> "Places":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look(self, volume: str, written: bool) -> Place:
        draft = self._draft
        if stores.is_folder(volume):
            return _folder(volume)
        if volume not in draft.config.volumes:
            return Place(None, ("not_supported", f"volume {volume} is not in the configuration any more"))
        try:
            store = stores.connect(draft.config, volume)
            identity = store.identify()
        except ConfigError as error:
            return Place(None, ("not_supported", str(error)))
        except UnreachableError as error:
            return Place(None, ("offline", f"volume {volume}: {error}; mount its medium and plan again"))
        except LastcopyError as error:
            return Place(None, ("not_prepared", str(error)))
        prepared = draft.journal.prepared(volume) if draft.journal else None
        refusal = None
        if written and prepared is None:
            refusal = ("not_prepared", f"volume {volume} was never prepared: 'lastcopy volume prepare {volume}'")
        elif written and prepared is not None and (identity.marker, identity.fs_id) != (prepared.marker, prepared.fs_id):
            refusal = ("not_prepared", f"volume {volume}: what is there is not what was prepared; is another medium mounted?")
        elif written and store.capabilities is None:
            refusal = ("not_prepared", f"volume {volume}: is not any more as it was when it was prepared: 'lastcopy volume prepare {volume}'")
        elif written and not identity.writable:
            refusal = ("not_supported", f"volume {volume} is mounted read-only")
        elif prepared is not None and (lack := draft.action.lacks(prepared.capabilities, draft.policy)):
            refusal = ("not_supported", f"volume {volume}: {lack}")
        return Place(
            store,
            refusal,
            identity.fs_id,
            identity.marker,
            prepared.capabilities if prepared else store.capabilities,
            store.free_bytes() if written else None,
            int(draft.now_us * 1000 - draft.policy.quiet * 1e9),
        )


def _waits(place: Place) -> bool:
    """Whether looks at a volume are worth overlapping; not where it is refused anyhow."""
    return place.refusal is None and place.store is not None and place.store.waits


def _folder(path: str) -> Place:
    """A folder that a restore goes to. Nothing was tried in it yet: what it cannot take ends its step."""
    store = stores.folder(path, None)
    try:
        found = store.identify()
    except UnreachableError as error:
        return Place(None, ("offline", str(error)))
    refusal = None if found.writable else ("not_supported", f"{path} cannot be written to")
    return Place(store, refusal, found.fs_id, found.marker, folders.UNTRIED, store.free_bytes())


def look(draft: Draft, places: Places) -> None:
    """Make the table `looked`: of each act of `sources` the live fingerprint, and the first refusal. Of several choices the first good one stays."""
    draft.insert("looked", _LOOKED.empty_table())
    for rows in _pages(draft):
        owned = _owned(draft, places, rows)
        looked: list[dict[str, Any]] = []
        for first in range(0, len(rows), _AHEAD):
            places.begin(rows[first : first + _AHEAD])
            looked += [_looked(draft, places, *one) for one in zip(rows[first : first + _AHEAD], owned[first : first + _AHEAD], strict=True)]
        draft.insert("looked", pa.Table.from_pylist(looked, _LOOKED))
    choosing.settle(draft)
    draft.run("INSERT INTO refused SELECT id, reason, detail FROM looked WHERE reason IS NOT NULL AND id NOT IN (SELECT id FROM refused)")


def _pages(draft: Draft) -> Iterator[list[dict[str, Any]]]:
    [(count,)] = draft.run("SELECT count(*) FROM sources")
    for first in range(0, count, _AT_ONCE):
        found = draft.connection.sql(f"SELECT * EXCLUDE (also, reason) FROM sources WHERE rowid >= {first} AND rowid < {first + _AT_ONCE} ORDER BY rowid")
        yield found.to_arrow_table().to_pylist()


def _owned(draft: Draft, places: Places, rows: Sequence[dict[str, Any]]) -> list[Owners]:
    """Whose the sources are, as holds and jobs ask it; nobody's where no hold asks."""
    if not draft.action.TOUCHES or not places.owners_matter:
        return [None] * len(rows)
    known = [row for row in rows if row["type"] is not None and row["modified_ns"] is not None]
    files = [owners.File(row["volume"], names.unescape(row["path"]), manifest.fingerprint(row), _uid(places, row)) for row in known]
    found = {row["id"]: owner for row, owner in zip(known, owners.of(draft.config, files), strict=True)}
    return [_with_scanned(found.get(row["id"]), row["owner"]) for row in rows]


def _with_scanned(owner: Owners, scanned: str | None) -> Owners:
    """Owners with the one that the scan saw: it may have been named otherwise there."""
    return owner | {scanned} if isinstance(owner, frozenset) and scanned is not None else owner


def _uid(places: Places, row: dict[str, Any]) -> int | None:
    """Who owns a source by its storage; of a file in quarantine, which no scan sees, by a look at it."""
    store = places.of(row["volume"], written=True).store
    if row["key"] is None or store is None:
        return None if row["uid"] is None else int(row["uid"])
    try:
        source = store.open_quarantined(row["key"], manifest.fingerprint(row))
    except EndError:
        return None
    try:
        return source.metadata().uid
    except (EndError, OSError):
        return None
    finally:
        source.close()


def _looked(draft: Draft, places: Places, row: dict[str, Any], owner: Owners) -> dict[str, Any]:
    place = places.of(row["volume"], written=draft.action.TOUCHES)
    found, refusal = _source(draft, places, place, row, owner)
    answer: dict[str, Any] = {"id": row["id"], "adopts": False} | (found._asdict() if found else {})
    if row["target_volume"] is not None:
        target = places.of(row["target_volume"], written=True)
        raw = names.unescape(row["target_path"])
        answer["target_name"] = _told_apart(raw, target.capabilities)
        if refusal is None and found is not None:
            refusal, answer["adopts"] = _target(places, target, raw, found)
            if refusal and draft.action.RETURNS and target.store is not None and _is_pointer(target.store, raw):
                refusal = None
    answer["reason"], answer["detail"] = refusal or (None, None)
    return answer


def _source(  # noqa: PLR0911  one answer a reason
    draft: Draft, places: Places, place: Place, row: Mapping[str, Any], owner: Owners
) -> tuple[Fingerprint | None, Refusal | None]:
    if place.store is None or (refusal := _unfit(draft, place, row)):
        return None, place.refusal if place.store is None else refusal
    if row["type"] is None:
        return None, ("changed_since_scan", "the newest scan does not list it")
    if row["choice"] > 0 and (refusal := choosing.unfit(row)):
        return None, refusal
    if row["type"] != "file" and (row["type"] != "symlink" or draft.action.REMOVES):
        return None, ("special_file", f"a {row['type']}")
    try:
        found = place.store.quarantined(row["key"]) if row["key"] else places.look(place.store, names.unescape(row["path"]))
    except EndError as error:
        mounted = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EXDEV
        return None, ("other_file_system" if mounted else "unreadable", error.reason)
    if found is None:
        return None, ("changed_since_scan", "it is gone")
    if max(abs(at or 0) for at in (found.modified_ns, found.changed_ns, found.created_ns)) > _MOST_NS:
        return None, ("not_supported", "one of its times lies beyond the years 1677 to 2262, which a fingerprint can hold")
    if place.fs_id is not None and found.fs_id is not None and found.fs_id != place.fs_id:
        return found, ("other_file_system", f"the volume's root is on {place.fs_id}, the file on {found.fs_id}")
    differs = _differs(row, found)
    if differs:
        return found, ("changed_since_scan", f"other {differs}")
    if draft.action.TOUCHES and (held := places.held(row["sha256"], row["volume"], names.unescape(row["path"]), owner)):
        return found, ("on_hold", held)
    if draft.action.QUIET and max(found.modified_ns, found.changed_ns or 0) > place.youngest_ns:
        return found, ("too_young", f"modified or changed within {_span(draft.policy.quiet)}, the policy's 'quiet'")
    return found, None


def _unfit(draft: Draft, place: Place, row: Mapping[str, Any]) -> Refusal | None:
    """Why nothing at all is done with what lies there."""
    if _is_ours(names.unescape(row["path"])):
        return _OURS
    if place.refusal is None and draft.action.TOUCHES and place.capabilities is not None and not place.capabilities.quarantine:
        if place.capabilities.versioning not in (None, "enabled"):
            told = f"the bucket of volume {row['volume']} keeps no versions, so that nothing could be put back: enable them"
            return ("not_supported", f"{told}, then 'lastcopy volume prepare {row['volume']}'")
        told = f"jobs copy from volume {row['volume']}, and take nothing away there: its storage does not let them do it safely, or was not asked yet"
        return ("not_supported", f"{told}; 'lastcopy volume prepare {row['volume']}' asks it")
    if (
        place.refusal is None
        and draft.action.REMOVES
        and draft.policy.leave != "nothing"
        and place.capabilities is not None
        and not place.capabilities.exchange
    ):
        return ("not_supported", f"on volume {row['volume']} nothing can be left in the place of a file: say leave = 'nothing'")
    return place.refusal


def _span(seconds: float) -> str:
    return age(datetime.datetime.min, datetime.datetime.min + datetime.timedelta(seconds=min(seconds, 1e10)))


def _differs(row: Mapping[str, Any], found: Fingerprint) -> str:
    """Which fields are not as the scan saw them; what it could not tell is let go. A rename into quarantine touches the changed time."""
    let_go = ("changed_ns", "link_count") if row["key"] else ()
    return ", ".join(name for name, live in found._asdict().items() if row[name] is not None and live != row[name] and name not in let_go)


def _is_ours(path: bytes) -> bool:
    """Whether a path leads into a quarantine of ours, or to a copy that is not finished: also of a volume that lies in another."""
    return b".lastcopy" in path and any(part == HOME or is_temporary(part) for part in path.split(b"/"))


def _target(places: Places, target: Place, path: bytes, source: Fingerprint) -> tuple[Refusal | None, bool]:
    if _is_ours(path):
        return _OURS, False
    if target.refusal or target.store is None or target.capabilities is None:
        return target.refusal or ("not_prepared", "what the target can do is not known; prepare it"), False
    if refusal := _name(path, target.capabilities):
        return refusal, False
    try:
        there = places.look(target.store, path)
    except EndError as error:
        return ("target_exists_differs", error.reason), False
    return (None, False) if there is None else _occupied(source, there)


def _occupied(source: Fingerprint, there: Fingerprint) -> tuple[Refusal | None, bool]:
    """What a file at the target means. One of equal size may be adopted: the job reads it and compares."""
    if there.inode is not None and (there.fs_id, there.inode) == (source.fs_id, source.inode):
        return ("already_there", "the file at the target is this very file"), False
    if (there.type, there.size_bytes) != (source.type, source.size_bytes):
        return ("target_exists_differs", f"a {there.type} of {there.size_bytes} bytes is there"), False
    return None, True


def _is_pointer(store: Store, path: bytes) -> bool:
    """Whether a path seems to hold what an archive left there; the job compares it with what it would have left."""
    try:
        found = store.look(path)
        if found is None or found.type not in ("file", "symlink") or found.size_bytes > _POINTER_BYTES:
            return False
        source = store.open(path, found)
    except EndError:
        return False
    try:
        return found.type == "symlink" or b"".join(bytes(block) for block in source.blocks()).startswith(STUB_MAGIC)
    except EndError:
        return False
    finally:
        source.close()


def _name(path: bytes, capabilities: Capabilities) -> Refusal | None:
    longest = max(len(part) for part in path.split(b"/"))
    if longest > capabilities.name_bytes:
        return ("name_too_long", f"{longest} bytes; the target takes {capabilities.name_bytes}")
    for odd in (capabilities.spoilt or "").split():
        if names.unescape(odd) in path:
            return ("not_supported", f"the target does not keep names with {odd} as they are")
    if not capabilities.raw_names and not _is_text(path):
        return ("name_too_long", "the target takes no name that is not UTF-8")
    return None


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _told_apart(path: bytes, capabilities: Capabilities | None) -> str:
    if capabilities is None or not (capabilities.folds_case or capabilities.folds_unicode):
        return names.escape(path)
    text = path.decode("utf-8", "surrogateescape")
    if capabilities.folds_unicode:
        text = unicodedata.normalize("NFC", text)
    if capabilities.folds_case:
        text = unicodedata.normalize("NFC", text.casefold()) if capabilities.folds_unicode else text.casefold()
    return names.escape(text.encode("utf-8", "surrogateescape"))
