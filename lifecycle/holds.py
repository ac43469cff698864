"""Legal holds and retention: what may not be removed, by whose order, and why.

A hold is an event, and so is its release: both are in the audit chain and nowhere else. A hold with a date is a retention: it ends by
itself, is never released, and a later one of the same scope can only move the date later. What cannot be read, or cannot be
compared because something is not known, holds.
"""

import functools
import json
import os
import sqlite3
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from catalog import names
from catalog.config import Config
from catalog.errors import ConfigError, NotFoundError, RefusedError
from lifecycle import audit

Owners = str | frozenset[str] | None  # who a file may belong to: its storage's word, a label's; None = not known


@dataclass(frozen=True)
class Scope:
    """What a hold is for: one content, one owner's files, or a path of a volume with all below it."""

    kind: Literal["digest", "owner", "path"]
    digest: bytes | None = None
    owner: str | None = None
    volume: str | None = None
    path: bytes | None = None  # empty = the whole volume

    def __str__(self) -> str:
        if self.kind == "path":
            return f"{self.volume}:{names.escape(self.path or b'')}"
        return f"digest {self.digest.hex()}" if self.digest else f"owner {names.escape((self.owner or '').encode())}"

    def subject(self) -> dict[str, str]:
        """The scope as its event has it."""
        given = {"digest": self.digest.hex() if self.digest else None, "owner": self.owner, "volume": self.volume}
        return {"scope": self.kind, **{key: value for key, value in given.items() if value is not None}} | (
            {"path": self.path.hex()} if self.path is not None else {}
        )


@dataclass(frozen=True)
class Hold:
    """One hold. `until_us` makes it a retention; `scope` is None where it cannot be read, and then it holds everything."""

    number: int
    scope: Scope | None
    actor: str
    at_us: int
    reason: str
    until_us: int | None
    released_by: str | None = None
    folder: bytes | None = None  # of a path: where it lay on this host when the hold was placed

    def holds_at(self, at_us: int) -> bool:
        """Whether it is in force at a time."""
        return self.released_by is None and (self.until_us is None or at_us < self.until_us)


@dataclass(frozen=True)
class Holds:
    """The holds of a journal, to be asked many times."""

    every: tuple[Hold, ...]
    roots: Mapping[str, bytes | None] | None = None  # see `roots`; None = nobody asks where paths lie

    def blocking(self, sha256: bytes | None, volume: str, path: bytes, owner: Owners, at_us: int) -> str | None:
        """Why a file may not be removed, None if no hold says so. An unknown digest or owner is held by any hold on a digest or an owner."""
        for hold in self.every:
            if hold.holds_at(at_us) and (why := _matches(hold.scope, sha256, owner) or self._lies_there(hold, volume, path)):
                until = "" if hold.until_us is None else ", a retention"
                return f"hold {hold.number} by {hold.actor}{until}: {why}"
        return None

    def _lies_there(self, hold: Hold, volume: str, path: bytes) -> str | None:
        """Why a file is below the path of a hold: by its volume's name, or by the place, whatever volume shows it."""
        scope = hold.scope
        if scope is None or scope.kind != "path" or scope.volume is None or scope.path is None:
            return None
        if volume == scope.volume and _below(path, scope.path):
            return str(scope)
        if self.roots is None:
            return None
        if scope.volume not in self.roots and _below(path, scope.path):
            return f"{scope}; that volume is not declared any more, so it holds this path on every volume"
        here, there = lies_at(self.roots, volume, path), lies_at(self.roots, scope.volume, scope.path)
        if here is not None and any(folder is not None and _below(here, folder) for folder in (there, hold.folder)):
            return f"{scope}, which is the same place"
        return None


def roots(config: Config) -> dict[str, bytes | None]:
    """Of every declared volume the folder that it is on this host, links resolved; None where it is no file tree."""
    found: dict[str, bytes | None] = {}
    for name in config.volumes:
        location = config.root(name)
        found[name] = None if location is None else os.path.realpath(os.fsencode(location))
    return found


def lies_at(roots: Mapping[str, bytes | None], volume: str, path: bytes) -> bytes | None:
    """Where a path of a volume lies on this host, by `roots`; None = nobody can tell."""
    root = roots.get(volume)
    return None if root is None else root.rstrip(b"/") + b"/" + path if path else root


def place(connection: sqlite3.Connection, config: Config, scope: Scope, *, reason: str, until_us: int | None, at_us: int, actor: str) -> Hold:
    """Place a hold, or with a date a retention. Raises RefusedError where a retention of that scope ends later. Writes."""
    if not reason.strip():
        raise ConfigError("a hold needs a reason")
    if until_us is not None and until_us <= at_us:
        raise ConfigError("a retention must end in the future")
    same = [hold for hold in read(connection).every if hold.scope == scope and hold.until_us is not None]
    latest = max((hold.until_us or 0 for hold in same), default=0)
    if until_us is not None and until_us < latest:
        raise RefusedError(f"{scope}: its retention can only be moved later")
    folder = lies_at(roots(config), scope.volume or "", scope.path or b"") if scope.kind == "path" else None
    more = {"until_us": until_us, "folder": None if folder is None else folder.hex()}
    detail = {**scope.subject(), "reason": reason, **{name: value for name, value in more.items() if value is not None}}
    event = audit.append(connection, at_us, actor, "hold_placed", str(scope), detail)
    return Hold(event.seq, scope, actor, at_us, reason, until_us, folder=folder)


def release(connection: sqlite3.Connection, number: int, *, reason: str, at_us: int, actor: str) -> Hold:
    """End a hold. Raises RefusedError for the person who placed it, for a retention, and for one that was released. Writes."""
    hold = next((found for found in read(connection).every if found.number == number), None)
    if hold is None:
        raise NotFoundError(f"there is no hold {number}; 'lastcopy hold list' shows them")
    if not reason.strip():
        raise ConfigError("a release needs a reason")
    if hold.released_by is not None:
        raise RefusedError(f"hold {number} was released by {hold.released_by}")
    if hold.until_us is not None:
        raise RefusedError(f"hold {number} is a retention: it ends by its date, and cannot be released")
    if hold.actor == actor:
        raise RefusedError(f"hold {number} was placed by {actor}: another person must release it")
    audit.append(connection, at_us, actor, "hold_released", str(number), {"hold": number, "reason": reason})
    return replace(hold, released_by=actor)


def carry_over(files: Sequence[Path], connection: sqlite3.Connection, at_us: int) -> int | None:
    """Place the holds that are in force in old journals' files anew, each once, by those who placed them. Writes.

    Gives how many; None where one of the files cannot be read, or there is none: then holds may be lost.
    """
    found, whole = dict[tuple[str, str, str], audit.Event](), bool(files)
    for file in files:
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as old:
                standing = {hold.number for hold in read(old).every if hold.holds_at(at_us)}
                events = [event for event in _events(old) if event.kind == "hold_placed" and event.seq in standing]
        except sqlite3.Error:
            whole = False
            continue
        for event in events:
            told = {**event.detail, "placed_us": event.detail.get("placed_us", event.at_us)}
            found.setdefault((event.actor, event.subject, json.dumps(told, sort_keys=True)), replace(event, detail=told))
    for event in found.values():
        audit.append(connection, at_us, event.actor, event.kind, event.subject, event.detail)
    return len(found) if whole else None


def read(connection: sqlite3.Connection, config: Config | None = None) -> Holds:
    """Every hold that was ever placed, in order, with who released it; with a configuration, as asked by the place of a path too."""
    placed, released = dict[int, Hold](), dict[int, str]()
    for event in _events(connection):
        if event.kind == "hold_placed":
            placed[event.seq] = _hold(event)
        elif isinstance(event.detail.get("hold"), int):  # a release that cannot be read releases nothing
            number = event.detail["hold"]
            if number in placed and placed[number].actor != event.actor and placed[number].until_us is None:
                released[number] = event.actor
    every = tuple(replace(hold, released_by=released.get(number)) for number, hold in placed.items())
    asked = config is not None and any(hold.scope is not None and hold.scope.kind == "path" for hold in every)
    return Holds(every, roots(config) if asked and config is not None else None)


def _events(connection: sqlite3.Connection) -> Iterator[audit.Event]:
    rows = connection.execute("SELECT seq, at_us, actor, kind, subject, detail FROM events WHERE kind IN ('hold_placed', 'hold_released') ORDER BY seq")
    return (audit.Event(seq, at_us, actor, kind, subject, _object(detail), b"", b"") for seq, at_us, actor, kind, subject, detail in rows)


def _hold(event: audit.Event) -> Hold:
    until = event.detail.get("until_us")
    readable = until is None or isinstance(until, int)
    try:
        folder = bytes.fromhex(event.detail["folder"]) if "folder" in event.detail else None
    except (ValueError, TypeError):
        folder, readable = None, False
    scope = _scope(event.detail) if readable else None
    return Hold(event.seq, scope, event.actor, event.at_us, str(event.detail.get("reason", "")), until if scope else None, folder=folder)


def _scope(detail: Mapping[str, Any]) -> Scope | None:
    try:
        match detail["scope"]:
            case "digest":
                return Scope("digest", digest=bytes.fromhex(detail["digest"]))
            case "owner":
                return Scope("owner", owner=str(detail["owner"]))
            case "path":
                return Scope("path", volume=str(detail["volume"]), path=bytes.fromhex(detail["path"]))
    except (KeyError, ValueError, TypeError):
        return None
    return None


def _matches(scope: Scope | None, sha256: bytes | None, owner: Owners) -> str | None:
    if scope is None:
        return "what it is for cannot be read, so it holds everything"
    if scope.kind == "digest":
        return "its content" if sha256 == scope.digest else "its digest is not known" if sha256 is None else None
    return _of_owner(scope.owner or "", owner) if scope.kind == "owner" else None


def _of_owner(held: str, owner: Owners) -> str | None:
    if owner is None:
        return "its owner is not known"
    return f"owner {names.escape(held.encode())}" if held in ({owner} if isinstance(owner, str) else owner) else None


def _below(path: bytes, folder: bytes) -> bool:
    folders = (folder.rstrip(b"/"), _folded(folder).rstrip(b"/"))
    return any(two in (b"", one) or one.startswith(two + b"/") for one, two in zip((path, _folded(path)), folders, strict=True))


@functools.lru_cache(4096)
def _folded(path: bytes) -> bytes:
    """A path as a storage that ignores case and accents' form may see it: a hold rather holds too much."""
    return unicodedata.normalize("NFC", path.decode("utf-8", "surrogateescape").casefold()).encode("utf-8", "surrogateescape")


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
