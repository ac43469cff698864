"""Lists of hashes of MHL 1.x, in the form of the specification's example."""

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from catalog.errors import UnreachableError
from tests.scanners.contract import entries, problems, scan
from tests.scanners.test_manifest import declared

FINISHED = "2014-11-18T09:46:10Z"
SIX_DAYS_LATER = 1_416_825_970


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


def one(path: str, content: bytes, read: str = "<hashdate>2014-11-18T09:46:05Z</hashdate>", **hashes: str) -> str:
    hashes = hashes or {"md5": hashlib.md5(content).hexdigest(), "sha1": hashlib.sha1(content).hexdigest()}
    told = "".join(f"<{name}>{digits}</{name}>" for name, digits in hashes.items())
    size = f"<size>{len(content)}</size><lastmodificationdate>2014-11-17T12:00:00Z</lastmodificationdate>"
    return f"<hash><file>{escape(path)}</file>{size}{told}{read}</hash>"


def listed(path: Path, *hashes: str, version: str = "1.1") -> Path:
    creator = f"<creatorinfo><name>A</name><tool>t</tool><startdate>2014-11-18T09:46:00Z</startdate><finishdate>{FINISHED}</finishdate></creatorinfo>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<hashlist version="{version}">{creator}{"".join(hashes)}</hashlist>')
    os.utime(path, (SIX_DAYS_LATER, SIX_DAYS_LATER))
    return path


def found(root: Path, result: Any) -> dict[str, tuple[object, ...]]:  # noqa: ANN401 - a scan's result
    wanted = ("size_bytes", "modified_at", "digest", "attested_at", "attested_level")
    return {row["dir"] + row["name"]: tuple(row[name] for name in wanted) for row in entries(root, result) if row["type"] == "file"}


CLIP = (3, datetime(2014, 11, 17, 12), None, datetime(2014, 11, 18, 9, 46, 5), 1)


def test_a_list_tells_sizes_times_and_when_each_file_was_read_and_no_sha256(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared(listed(tmp_path / "card.mhl", one("A001/clip & one.mov", b"abc"), one("late", b"x", read=""))))
    assert found(root, result) == {"A001/clip & one.mov": CLIP, "late": (1, *CLIP[1:3], datetime(2014, 11, 18, 9, 46, 10), 1)}
    assert problems(root, result) == []


def test_lists_in_a_folder_tell_of_where_they_lie_and_one_of_ascmhl_by_itself_does_not(tmp_path: Path, root: Path) -> None:
    listed(tmp_path / "shelf/card/card_2014-11-18.MHL", one("clip", b"abc"))
    listed(tmp_path / "shelf/card/flat.mhl", one("other", b"abc"), version="2.0")
    assert found(root, scan(root, declared(tmp_path / "shelf"))) == {"card/clip": CLIP}


def test_two_lists_of_one_time_that_contradict_each_other_protect_nothing(tmp_path: Path, root: Path) -> None:
    listed(tmp_path / "shelf/one.mhl", one("clip", b"abc"))
    listed(tmp_path / "shelf/two.mhl", one("clip", b"abd"))
    result = scan(root, declared(tmp_path / "shelf"))
    [problem] = problems(root, result)
    assert (problem["path"], "contradicts itself" in problem["error"]) == ("clip", True)


@pytest.mark.parametrize("read", ["<hashdate>2999-01-01T00:00:00Z</hashdate>", "<hashdate>yesterday</hashdate>", "<hashdate>2014-11-18T09:46:05</hashdate>"])
def test_what_was_read_at_no_time_that_can_be_right_protects_nothing(tmp_path: Path, root: Path, read: str) -> None:
    result = scan(root, declared(listed(tmp_path / "card.mhl", one("clip", b"abc", read=read))))
    [problem] = problems(root, result)
    assert (problem["path"], problem["stage"]) == ("clip", "read")


def test_a_path_that_leads_out_is_refused_and_a_list_that_is_cut_off_is_not_read(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared(listed(tmp_path / "card.mhl", one("../clip", b"abc"), one("clip", b"abc"))))
    assert found(root, result) == {"clip": CLIP}
    assert len(problems(root, result)) == 1
    (tmp_path / "cut.mhl").write_text((tmp_path / "card.mhl").read_text()[:-30])
    with pytest.raises(UnreachableError, match="line 2"):
        scan(tmp_path / "other", declared(tmp_path / "cut.mhl"))


LISTED = (3, CLIP[1], None, CLIP[3], 0)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("told", ["", "<null/>", "<md5></md5>", "<md5> </md5><null/>", "<crc32>01234567</crc32>"])
def test_a_file_without_a_hash_is_only_listed(tmp_path: Path, root: Path, told: str, in_place: bool) -> None:
    line = one("clip", b"abc", md5="x").replace("<md5>x</md5>", told)
    result = scan(root, declared(listed(tmp_path / "card.mhl", line)) | {"read_in_place": in_place})
    assert (found(root, result), problems(root, result)) == ({"clip": LISTED}, [])


@pytest.mark.parametrize("hashes", [{"md5": "0" * 31}, {"sha1": "g" * 40}, {"xxhash64be": "0" * 16, "md5": "?"}, {"xxhash": "-1"}, {"xxhash64": "0" * 17}])
def test_a_hash_that_cannot_be_is_refused(tmp_path: Path, root: Path, hashes: dict[str, str]) -> None:
    result = scan(root, declared(listed(tmp_path / "card.mhl", one("clip", b"abc", **hashes), one("other", b"abc"))))
    assert found(root, result) == {"other": CLIP}
    [problem] = problems(root, result)
    assert "hash 1: " in problem["error"]


@pytest.mark.parametrize("hashes", [{"xxhash": "4294967295"}, {"xxhash": "00ff00ff"}, {"xxhash64": "00FF" * 4}, {"xxhash64be": "00ff" * 4}, {"sha1": "A" * 40}])
def test_every_hash_of_the_specification_says_that_somebody_read_the_file(tmp_path: Path, root: Path, hashes: dict[str, str]) -> None:
    assert found(root, scan(root, declared(listed(tmp_path / "card.mhl", one("clip", b"abc", **hashes))))) == {"clip": CLIP}


@pytest.mark.parametrize("size", ["3.5", "-3", "3 bytes", "9" * 20])
def test_a_size_that_cannot_be_read_is_refused_as_in_a_table(tmp_path: Path, root: Path, size: str) -> None:
    line = one("clip", b"abc").replace("<size>3</size>", f"<size>{size}</size>")
    result = scan(root, declared(listed(tmp_path / "card.mhl", line, one("other", b"abc"))))
    assert found(root, result) == {"other": CLIP}
    [problem] = problems(root, result)
    assert "hash 1: " in problem["error"]


@pytest.mark.parametrize("rotten", ["zeros", "nothing", "begin", "end of another version", "no list", "no version"])
def test_a_list_that_is_rotten_hides_what_it_told(tmp_path: Path, root: Path, rotten: str) -> None:
    other = listed(tmp_path / "shelf/other.mhl", one("clip", b"abc"))
    card = listed(tmp_path / "shelf/card/a.mhl", one("clip", b"abc"), version="2.0" if rotten == "end of another version" else "1.1")
    whole = card.read_bytes()
    made = {
        "zeros": bytes(len(whole)),
        "nothing": b"",
        "begin": whole[60:],
        "end of another version": whole[:-30],
        "no list": whole.replace(b"hashlist", b"hashlisp"),
        "no version": whole.replace(b'version="1.1"', b'version="q.1"'),
    }
    card.write_bytes(made[rotten])
    os.utime(card, (SIX_DAYS_LATER, SIX_DAYS_LATER))
    result = scan(root, declared(other.parent))
    assert (result.state, found(root, result)) == ("incomplete", {"clip": CLIP})
    [problem] = problems(root, result)
    assert (problem["path"], problem["stage"], problem["hides_below"], "a.mhl" in problem["error"]) == ("card", "list", True, True)
