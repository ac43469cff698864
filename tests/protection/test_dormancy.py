"""When a file was last used, by the clock of its volume: an access that our own reading caused is not one."""

import datetime
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest

from tests.protection import bare
from tests.protection.plain import Estate
from tests.protection.table import AS_OF, ASSET, Row, moment, rows

OLD, USED, READ = moment("-100d"), moment("-20d"), moment("-10d")
UNFLAGGED, MODIFIED_FLAGGED, ACCESSED_FLAGGED = 0, 1, 4


@dataclass(frozen=True)
class Case:
    """A file that changed at OLD, and what is to be found of its last use."""

    what: str
    clock: str
    accessed_at: datetime.datetime | None
    flags: int
    accessed_before_reading_at: datetime.datetime | None
    last_active_at: datetime.datetime | None


CASES = [
    Case("a clock of changes does not look at accesses", "modified", USED, UNFLAGGED, None, OLD),
    Case("a clock of accesses takes the later one", "accessed", USED, UNFLAGGED, None, USED),
    Case("an access before the last change", "accessed", moment("-200d"), UNFLAGGED, None, OLD),
    Case("an access that we caused", "accessed", READ, UNFLAGGED, moment("-60d"), moment("-60d")),
    Case("an access that we caused, of a file not used since it changed", "accessed", READ, UNFLAGGED, moment("-200d"), OLD),
    Case("an access after we read it", "accessed", moment("-9d"), UNFLAGGED, moment("-60d"), moment("-9d")),
    Case("a flagged access is a use at an unknown time", "accessed", AS_OF, ACCESSED_FLAGGED, None, None),
    Case("a flagged change is not known", "modified", USED, MODIFIED_FLAGGED, None, None),
]


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_the_last_use_of_a_file(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare, "sources", lambda estate: _with_accesses(SOURCES(estate), case))
    connection = bare.connect(tmp_path)
    found = {row["volume"] + ":" + row["dir"] + row["name"]: row["last_active_at"] for row in bare.files(connection, _estate(case))}
    connection.close()
    assert found[f"a:{ASSET}"] == case.last_active_at


SOURCES = bare.sources


def _estate(case: Case) -> Estate:
    row: Row = next(row for row in rows() if row.case == "nobody may protect it")
    [scan] = row.estate.scans["a"]
    files = tuple(replace(file, flags=case.flags) for file in scan.files)
    return replace(row.estate, scans={"a": (replace(scan, files=files, clock=case.clock),)})


def _with_accesses(sources: dict[str, pa.Table], case: Case) -> dict[str, pa.Table]:
    """The same rows with the access times of a case."""
    found = dict(sources)
    for name, accessed_at in (("entries", case.accessed_at), ("digests", case.accessed_before_reading_at)):
        rows = found[name]
        column = rows.schema.get_field_index("accessed_at")
        found[name] = rows.set_column(column, "accessed_at", pa.repeat(pa.scalar(accessed_at, pa.timestamp("us")), len(rows)))
    return found
