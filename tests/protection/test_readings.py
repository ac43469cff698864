"""What several readings of one file say together: the newest content, whatever was read before, and whatever was only sampled since."""

import datetime
from dataclasses import replace
from pathlib import Path

from tests.protection import bare
from tests.protection.plain import Estate, Read
from tests.protection.table import content, rows

_CASE = "an offline backup elsewhere survives all"
_LATER, _EARLIER = datetime.timedelta(hours=1), datetime.timedelta(days=-1)


def test_a_file_that_was_read_twice_is_one_file_with_its_newest_content(tmp_path: Path) -> None:
    estate = _estate()
    again = [read for one in estate.reads for read in (replace(one, at=one.at + _EARLIER, digest=content("before")), one)]
    assert _said(tmp_path, replace(estate, reads=tuple(again))) == _said(tmp_path, estate)


def test_a_sample_takes_no_content_away(tmp_path: Path) -> None:
    estate = _estate()
    sampled = [Read(one.volume, one.file, one.at + _LATER, sample=one.sample or content("sample")) for one in estate.reads]
    assert _said(tmp_path, replace(estate, reads=(*estate.reads, *sampled))) == _said(tmp_path, estate)


def _estate() -> Estate:
    [row] = [row for row in rows() if row.case == _CASE]
    assert {read.volume for read in row.estate.reads if read.digest} == {"a", "b"}
    return row.estate


def _said(folder: Path, estate: Estate) -> list[object]:
    connection = bare.connect(folder)
    try:
        return [*bare.files(connection, estate), *bare.rows_of(connection, "copies"), *bare.rows_of(connection, "duplicate_groups")]
    finally:
        connection.close()
