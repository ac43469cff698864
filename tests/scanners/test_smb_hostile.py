"""Servers of SMB that lie or hide, users who move folders and keep files open, and somebody in between who forges answers."""

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from catalog import table
from catalog.errors import UnreachableError
from scanners import _remote, _smb, digest, smb
from scanners._smb import Entry, Host, Opened, Times
from tests.scanners import archives, smbd
from tests.scanners.contract import Item, clock, entries, paths, problems, scan, settings_of
from tests.scanners.smbd import Server
from tests.scanners.test_smb import age

READ = 8  # the command of a request or answer, MS-SMB2 2.2.1
SIGNED = 8
FORGED = b"what the man in the middle likes"
Change = Callable[[bytes], bytes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@contextmanager
def other_server(folder: Path, more: str) -> Iterator[Server]:
    started = smbd.start(folder, more)
    try:
        yield started
    finally:
        started.stop()


def between(port: int, change: Change) -> int:
    """The port of a proxy that changes what the server answers."""
    listening = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket, act: Change) -> None:
        with suppress(OSError), source.makefile("rb") as frames:
            while head := frames.read(4):
                body = act(frames.read(struct.unpack(">I", head)[0]))
                sink.sendall(struct.pack(">I", len(body)) + body)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        while True:
            client, server = listening.accept()[0], socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=pump, args=(client, server, bytes), daemon=True).start()
            threading.Thread(target=pump, args=(server, client, change), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return int(listening.getsockname()[1])


def by_way_of(server: Server, change: Change, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a volume may have
    declared = server.declared(**more)
    return {**declared, "url": declared["url"].replace(f":{server.port}/", f":{between(server.port, change)}/")}


def unsigned(body: bytes) -> bytes:
    """An answer that brings content, with other content and without a signature."""
    status, command = struct.unpack_from("<IH", body, 8)
    if command != READ or status or body[:4] != b"\xfeSMB":
        return body
    changed = bytearray(body)
    changed[16:20] = struct.pack("<I", struct.unpack_from("<I", body, 16)[0] & ~SIGNED)
    changed[48:64], changed[80 : 80 + len(FORGED)] = bytes(16), FORGED
    return bytes(changed)


@pytest.mark.parametrize("more", ["server max protocol = SMB2_10\nserver signing = mandatory", "smb encrypt = required"], ids=["signed", "encrypted"])
def test_an_answer_that_somebody_forged_is_no_answer(tmp_path: Path, root: Path, more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []  # message ids, which count up, so that who is in between knows them

    def change(body: bytes) -> bytes:
        if body[:4] != b"\xfdSMB" or not asked:
            return unsigned(body)
        header = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 1, 0, READ, 64, 1, 0, asked.pop(), 0, 0, 0) + bytes(16)
        return header + struct.pack("<HBBIII", 17, 80, 0, len(FORGED), 0, 0) + FORGED

    with other_server(tmp_path / "smbd", more) as server:
        archives.grow(server.share, [Item(b"d/a", b"x" * len(FORGED))])
        age(server.share)
        declared = by_way_of(server, change, digest="all")
        result = scan(root, declared, workers=1)
        from smbprotocol.connection import Connection
        from smbprotocol.open import SMB2ReadRequest

        really = Connection._send

        def send(connection: Any, messages: Any, *given: Any, **more: Any) -> Any:  # noqa: ANN401 - as the library calls it
            if isinstance(messages[0], SMB2ReadRequest):
                asked.append(connection.sequence_window["low"])
            return really(connection, messages, *given, **more)

        monkeypatch.setattr(Connection, "_send", send)
        assert digest.digest(root, settings_of(declared), now=clock).read == 0
    assert "somebody is in between" in problems(root, result)[0]["error"]
    assert [row["digest"] for row in table.read(root, "digests").to_pylist() if row["digest"]] == []


@pytest.mark.parametrize("change", [lambda body: body[:10], lambda body: body[:24] + b"\x99" * 8 + body[32:]], ids=["cut off", "of another request"])
def test_answers_that_are_none_make_the_server_one_that_is_lost(tmp_path: Path, root: Path, change: Change) -> None:
    seen = iter(range(10**9))
    with other_server(tmp_path / "smbd", "server max protocol = SMB2_10") as server:
        archives.grow(server.share, [Item(b"d/a", b"1")])
        declared = by_way_of(server, lambda body: change(body) if next(seen) > 8 else body)
        with pytest.raises(UnreachableError, match=r"was lost|cut off|cannot be reached"):
            scan(root, declared, workers=1)


def test_what_a_share_hides_is_unknown(root: Path, tmp_path: Path) -> None:
    with other_server(tmp_path / "smbd", "hide unreadable = yes") as server:
        archives.grow(server.share, [Item(b"open/a", b"1"), Item(b"shut/b", b"2")])
        before = scan(root, server.declared(), workers=1)
        os.rename(server.share / "shut", tmp_path / "hidden")  # as it is for who may not open it
        result = scan(root, server.declared(), workers=1, accept_losses=True)
    assert (before.state, result.state) == ("incomplete", "incomplete")
    assert b"shut/b" in paths(root, result)
    assert [(row["path"], row["error"]) for row in problems(root, result)] == [("", smb._HIDDEN)]


def test_a_link_beside_the_folder_that_it_leads_to_is_not_entered(smb_server: Server, root: Path) -> None:
    tree = smb_server.share / "siblings"
    place = tree
    for _ in range(12):
        (place / "d").mkdir(parents=True)
        (place / "l").symlink_to("d")
        place = place / "d"
    result = scan(root, smb_server.declared("siblings"), workers=1)
    assert len(entries(root, result)) == 24
    assert {(row["stage"], row["error"]) for row in problems(root, result)} == {("list", _remote.LINKED)}


def test_a_folder_that_is_swapped_for_a_link_during_a_scan_leads_nowhere(smb_server: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = smb_server.share / "swapped"
    archives.grow(base, [Item(b"v/a/b/real", b"1"), Item(b"elsewhere/b/foreign", b"22")])
    really = smb.Scanner._visit

    def visit(scanner: smb.Scanner, walk: _remote.Walk, directories: list[str]) -> None:
        if "a/b/" in directories:
            os.rename(base / "v/a", base / "v/old")
            os.symlink("../elsewhere", base / "v/a")
        really(scanner, walk, directories)

    monkeypatch.setattr(smb.Scanner, "_visit", visit)
    result = scan(root, smb_server.declared("swapped/v"), workers=1)
    assert b"a/b/foreign" not in paths(root, result)
    assert ("a/b", "list") in {(row["path"], row["stage"]) for row in problems(root, result)}


def test_a_file_that_somebody_has_open_for_writing_is_read_later(smb_server: Server, root: Path) -> None:
    tree = smb_server.share / "open"
    archives.grow(tree, [Item(b"f", b"1111")])
    age(tree)
    declared = smb_server.declared("open", digest="all")
    result = scan(root, declared)
    import smbclient

    smbclient.register_session("127.0.0.1", username="root", password=smbd.PASSWORD, port=smb_server.port)
    try:
        with smbclient.open_file(r"\\127.0.0.1\Share\open\f", mode="r+b", share_access="rwd", port=smb_server.port):
            assert digest.digest(root, settings_of(declared), now=clock).read == 0
        assert [(row["path"], row["error"]) for row in problems(root, result)] == [("f", smb._IN_USE)]
    finally:
        smbclient.reset_connection_cache()
    scan(root, declared)
    assert digest.digest(root, settings_of(declared), now=clock).read == 1


@pytest.mark.parametrize("tag", [0x80000013, 0xA000000C], ids=["deduplicated", "a link"])
def test_a_reparse_point_is_read_through_or_not_at_all(smb_server: Server, root: Path, monkeypatch: pytest.MonkeyPatch, tag: int) -> None:
    tree = smb_server.share / f"reparse {tag:x}"
    archives.grow(tree, [Item(b"f", b"1111")])
    age(tree)
    declared = smb_server.declared(f"reparse%20{tag:x}", digest="all")
    scan(root, declared)
    really, opened = Host._open, list[tuple[int, int]]()

    @contextmanager
    def _open(host: Host, path: str, access: int, options: int, share: int = 7) -> Iterator[Opened]:
        with really(host, path, access, options, share) as one:
            opened.append((access & 1, options & _smb._NO_LINK))
            yield one._replace(attributes=0x620)  # as Windows has what it deduplicated; no server here does

    monkeypatch.setattr(Host, "_open", _open)
    monkeypatch.setattr(Host, "reparse_tag", lambda *_: tag)
    is_read = tag == 0x80000013
    assert digest.digest(root, settings_of(declared), now=clock).read == int(is_read)
    assert ((1, 0) in opened) == is_read


@pytest.mark.parametrize(
    "buffer",
    [
        pytest.param(bytes(_smb._LIST_BYTES + 1), id="more than was asked for"),
        pytest.param(struct.pack("<II4q2QIII4xQ", 0, 0, *[0] * 6, 0, 9000, 0, 0) + b"x" * 9000, id="a name longer than any"),
        pytest.param(struct.pack("<II4q2QIII4xQ", 88, 0, *[0] * 6, 0, 40, 0, 0) + b"x" * 200, id="names that overlap"),
    ],
)
def test_lists_that_would_fill_memory_are_refused(buffer: bytes) -> None:
    with pytest.raises(ValueError, match="the server tells"):
        list(_smb._entries(buffer))


def test_times_that_no_clock_shows_are_none() -> None:
    [one] = _smb._entries(struct.pack("<II4q2QIII4xQ", 0, 0, -1, 2**63 - 1, -(2**63), 0, 1, 1, 0, 0, 0, 5))
    never = -_smb._FIRST_YEARS_100NS
    assert one == Entry("", Times(never, 2**63 - 1 + never, never, never), 1, 1, 0, 0, 5)


def test_folders_that_wait_take_little_memory() -> None:
    left: list[str] = []

    class Sink:
        def leave(self, places: Iterator[str]) -> None:
            left.extend(places)

    walk = _remote.Walk(Sink(), None, [])  # type: ignore[arg-type]  # all that is used of it
    for number in range(40):
        walk.add([f"{number}-{at}" + "x" * 10_000 + "/" for at in range(100)])
    assert sum(map(len, walk.waiting)) <= _remote._WAITING_LETTERS
    assert len(left) + len(walk.waiting) == len({*left, *walk.waiting}) == 4000
