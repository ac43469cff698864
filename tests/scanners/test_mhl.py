"""Histories of ASC MHL, as the reference program writes them, and hostile ones."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog import snapshot
from catalog.errors import UnreachableError
from tests.scanners import archives
from tests.scanners.contract import Factory, Item, entries, problems, scan
from tests.scanners.test_manifest import Told, declared

PROGRAM = shutil.which("ascmhl") or str(Path(__file__).parents[2] / ".ascmhl/bin/ascmhl")
AN_HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _program() -> None:
    if not Path(PROGRAM).is_file():
        assert not os.environ.get("REQUIRE_SERVERS"), "ascmhl is not installed"
        pytest.skip("ascmhl is not installed: see .ci/run")


def ascmhl(*arguments: object, fails: bool = False) -> None:
    """Run the reference program; of files that are not what they were it says so by its exit code."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, check=False)
    assert (done.returncode != 0) == fails, done.stderr


class Sealed:
    """Makes a tree with a history of one generation."""

    kind = "manifest"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "card"

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        archives.grow(self.folder, items)
        ascmhl("create", self.folder, "-h", "xxh64")
        return declared(self.folder)

    def takes(self, name: bytes) -> bool:
        try:  # XML has no other characters, and the reference program has names of its own for folders and what it ignores
            text = name.decode()
        except UnicodeDecodeError:
            return False
        return text.isprintable() and "\\" not in text and not re.search(r"[*?\[\]]", text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


class TestHistory(Told):
    """The suite that every kind passes."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Sealed(tmp_path)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    archives.grow(folder, [Item(b"a.mov", b"film"), Item(b"clips/b.mov", b"more")])
    for name in ("a.mov", "clips/b.mov"):
        os.utime(folder / name, (1_600_000_000.9, 1_600_000_000.9))
    ascmhl("create", folder, "-h", "xxh64")
    return folder


def files(root: Path, result: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - a scan's result
    return {row["dir"] + row["name"]: row for row in entries(root, result) if row["type"] == "file"}


def test_a_history_tells_sizes_times_to_the_second_and_when_each_file_was_read(card: Path, root: Path) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    result = scan(root, declared(card))
    row = files(root, result)["clips/b.mov"]
    assert (row["size_bytes"], row["modified_at"], row["time_flags"], row["digest"]) == (4, datetime(2020, 9, 13, 12, 26, 40), 64, None)
    assert (row["attested_level"], result.state) == (1, "complete")
    assert before - AN_HOUR < row["attested_at"] <= before
    assert snapshot.newest_scans(root)["v"].known_at <= before


def test_a_file_that_failed_is_damaged_until_it_is_verified_again(card: Path, root: Path) -> None:
    (card / "a.mov").write_bytes(b"flim")
    os.utime(card / "a.mov", (1_600_000_000.9, 1_600_000_000.9))
    ascmhl("create", card, "-h", "xxh64", fails=True)
    result = scan(root, declared(card))
    assert sorted(files(root, result)) == ["a.mov", "clips/b.mov"]
    [problem] = problems(root, result)
    assert (problem["path"], problem["stage"], problem["hides_below"]) == ("a.mov", "read", False)
    assert "not what it had been" in problem["error"]
    (card / "a.mov").write_bytes(b"film")
    ascmhl("create", card, "-h", "xxh64")
    assert problems(root, scan(root, declared(card))) == []


def test_a_file_that_the_last_generation_of_all_does_not_list_is_there_no_more(card: Path, root: Path) -> None:
    (card / "c.mov").write_bytes(b"later")
    ascmhl("create", card, "-sf", card / "c.mov", "-h", "xxh64")
    assert sorted(files(root, scan(root, declared(card)))) == ["a.mov", "c.mov", "clips/b.mov"]  # a generation of one file says nothing of others
    (card / "a.mov").unlink()
    ascmhl("create", card, "-h", "xxh64", fails=True)
    assert sorted(files(root, scan(root, declared(card)))) == ["c.mov", "clips/b.mov"]


def test_a_history_within_another_tells_of_its_own_folder(card: Path, root: Path) -> None:
    archives.grow(card / "reel", [Item(b"x.mov", b"x")])
    ascmhl("create", card / "reel", "-h", "md5")
    ascmhl("create", card, "-h", "xxh64")
    assert sorted(files(root, scan(root, declared(card)))) == ["a.mov", "clips/b.mov", "reel/x.mov"]


def test_what_a_folder_held_at_its_first_generation_stands_where_a_history_within_it_tells_of_it_later(card: Path, root: Path) -> None:
    ascmhl("create", card / "clips", "-h", "xxh64")
    ascmhl("create", card, "-h", "xxh64")
    assert sorted(files(root, scan(root, declared(card)))) == ["a.mov", "clips/b.mov"]


def generation(card: Path, number: int = 1) -> Path:
    return next((card / "ascmhl").glob(f"{number:04}_*.mhl"))


def resealed(card: Path, changed: str) -> None:
    """Put another text into the first generation, and seal it: what whoever can write there could do."""
    import hashlib

    from scanners._mhl import c4

    generation(card).write_text(changed)
    chain = card / "ascmhl/ascmhl_chain.xml"
    chain.write_text(re.sub(r"<c4>[^<]*</c4>", f"<c4>{c4(hashlib.sha512(changed.encode()).digest())}</c4>", chain.read_text()))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte": lambda card: generation(card).write_bytes(generation(card).read_bytes().replace(b'size="4"', b'size="5"', 1)),
    "cut off": lambda card: resealed(card, generation(card).read_text()[:900]),
    "a generation that is gone": lambda card: generation(card).unlink(),
    "a generation that nobody sealed": lambda card: shutil.copy(generation(card), card / "ascmhl/0002_x.mhl"),
    "no chain": lambda card: (card / "ascmhl/ascmhl_chain.xml").unlink(),
    "billion laughs": lambda card: resealed(card, '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><hashlist version="2.0">&b;</hashlist>'),
    "an entity of elsewhere": lambda card: resealed(card, '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><hashlist version="2.0">&a;</hashlist>'),
    "deep": lambda card: resealed(card, '<hashlist version="2.0">' + "<a>" * 10_000 + "</a>" * 10_000 + "</hashlist>"),
    "a long text": lambda card: resealed(card, f'<hashlist version="2.0"><hashes><hash><path>{"x" * 100_000}</path></hash></hashes></hashlist>'),
    "a long tag": lambda card: resealed(card, f'<hashlist version="2.0" a="{"x" * 3_000_000}"></hashlist>'),
    "an earlier version": lambda card: resealed(card, '<hashlist version="1.1"></hashlist>'),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_history_that_is_damaged_or_made_to_hurt_hides_what_it_tells_of(card: Path, root: Path, damage: str) -> None:
    before = scan(root, declared(card))
    DAMAGE[damage](card)
    result = scan(root, declared(card))
    assert [(row["path"], row["stage"], row["hides_below"]) for row in problems(root, result)] == [("", "list", True)]
    assert (result.entries, result.carried_entries) == (0, before.entries)  # what was known is unknown now, not missing


@pytest.mark.parametrize(
    ("before", "much", "told"),
    [
        ("</hash>", "<md5>0123</md5>" * 200 + "</hash>", "more than 100 hashes of one file"),
        ("</hash>", "<previousPath>x</previousPath>" * 200 + "</hash>", "more than 100 paths that one file had"),
    ],
)
def test_one_file_has_no_more_hashes_and_earlier_paths_than_fit(card: Path, root: Path, before: str, much: str, told: str) -> None:
    resealed(card, generation(card).read_text().replace(before, much, 1))
    [row] = problems(root, scan(root, declared(card)))
    assert (row["hides_below"], told in row["error"]) == (True, True)


def test_a_history_that_is_too_long_to_read_says_so(card: Path, root: Path) -> None:
    os.truncate(generation(card), 5 << 30)
    [row] = problems(root, scan(root, declared(card)))
    assert (row["hides_below"], "are more than 4294967296 bytes" in row["error"]) == (True, True)


def test_hashes_that_cannot_be_understood_protect_nothing(card: Path, root: Path) -> None:
    text = generation(card).read_text()
    resealed(card, text.replace('action="original"', 'action="guessed"', 1).replace(">a.mov<", ">../a.mov<"))
    result = scan(root, declared(card))
    found = sorted((row["path"], row["stage"]) for row in problems(root, result))
    assert found == [("", "name"), ("clips/b.mov", "read")]
    resealed(card, re.sub(r'hashdate="20\d\d', 'hashdate="2999', text))
    assert {row["path"] for row in problems(root, scan(root, declared(card)))} == {"a.mov", "clips/b.mov"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (r"<\3 \4></\3>", "is no"),
        (r"<\3 \4>00ff</\3>", "is no"),
        (r"<\3 \4>\5</\3></hash><hash><path size='1e3'>x</path><\3 \4>\5</\3>", "is no size"),
    ],
)
def test_a_hash_or_a_size_that_cannot_be_is_refused(card: Path, root: Path, wrong: str, told: str) -> None:
    text, one = generation(card).read_text(), r"(<hash>((?!</hash>).)*)<(xxh64|md5|sha1|c4|xxh128|xxh3) ([^>]*)>([^<]+)</\3>"
    assert re.search(one, text, re.DOTALL)
    resealed(card, re.sub(one, r"\1" + wrong, text, count=1, flags=re.DOTALL))
    found = [row for row in problems(root, scan(root, declared(card))) if told in row["error"]]
    assert [(row["stage"], row["hides_below"]) for row in found] == [("name", False)]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_without_a_hash_that_is_known_is_only_listed(card: Path, root: Path, *, in_place: bool) -> None:
    text = re.sub(r"<(xxh64|md5|sha1|sha256|c4|xxh128|xxh3)( [^>]*)>[^<]+</\1>", r"<blake9\2>00</blake9>", generation(card).read_text())
    assert "<blake9" in text
    resealed(card, text)
    result = scan(root, declared(card) | {"read_in_place": in_place})
    assert {row["attested_level"] for row in entries(root, result) if row["type"] == "file"} == {0}


def test_one_list_of_hashes_is_a_volume_by_itself_or_fails(card: Path, root: Path, tmp_path: Path) -> None:
    single = shutil.copy(generation(card), tmp_path / "packing.mhl")
    assert sorted(files(root, scan(root, declared(Path(single))))) == ["a.mov", "clips/b.mov"]
    Path(single).write_text("<hashlist")
    with pytest.raises(UnreachableError, match=r"volume v: .*packing\.mhl: line 1: "):
        scan(root, declared(Path(single)))
