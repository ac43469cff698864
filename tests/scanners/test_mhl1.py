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
