"""Audit packs that an enemy made: whoever verifies one is told what is wrong, and nothing outside of the folder is read, written or run."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.lastcopy.program import run
from tests.sample_data.conftest import Demo
from tests.sample_data.packs import change_json, copied, resum, wrong


@pytest.fixture(scope="module")
def pack(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("enemy") / "pack"
    run("audit", "pack", "--output", str(folder), folder=demo.folder)
    return folder


@pytest.fixture
def mine(pack: Path, tmp_path: Path) -> Path:
    return copied(pack, tmp_path)


def _listed(mine: Path, line: str) -> None:
    with (mine / "SHA256SUMS").open("a") as listed:
        listed.write(line + "\n")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "./x", "a//b", "..", "reports/", "x\\y", "ü", "", "pack.json"])
def test_a_list_that_names_what_is_not_within_the_pack_is_refused(mine: Path, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "secret")  # whoever opened it would wait for ever
    _listed(mine, f"{'0' * 64}  {name}")
    assert "is not the SHA-256 of one file within the pack" in wrong(mine)["SHA256SUMS"]


def test_links_pipes_and_folders_of_links_are_not_followed(mine: Path, tmp_path: Path) -> None:
    content = (mine / "pack.json").read_bytes()
    (mine / "pack.json").unlink()
    (tmp_path / "elsewhere.json").write_bytes(content)
    (mine / "pack.json").symlink_to(tmp_path / "elsewhere.json")
    (mine / "sql").rename(tmp_path / "sql")
    (mine / "sql").symlink_to(tmp_path / "sql")
    os.mkfifo(mine / "reports/pipe.csv")
    found = wrong(mine)
    assert found["pack.json"] in ("is a symbolic link, and no file of a pack", "is missing")
    assert found["sql"] == "is a symbolic link, and no file of a pack"
    assert found["sql/reports/coverage.sql"] == "is missing"
    assert found["reports/pipe.csv"] == "is a special file, and no file of a pack"


def test_a_list_that_is_a_link_is_not_read(mine: Path, tmp_path: Path) -> None:
    (mine / "SHA256SUMS").rename(tmp_path / "list")
    (mine / "SHA256SUMS").symlink_to(tmp_path / "list")
    assert wrong(mine)["SHA256SUMS"].startswith("is ")
    (mine / "SHA256SUMS").unlink()
    assert wrong(mine) == {"SHA256SUMS": "is missing: the folder is no audit pack, or not a whole one"}


def test_names_that_steer_a_terminal_are_told_escaped(mine: Path) -> None:
    (mine / "red\x1b[31m\n").write_text("")
    assert wrong(mine) == {"red\\x1b[31m\\x0a": "is not in SHA256SUMS"}


def test_folders_without_end_and_files_without_number_are_refused(mine: Path, tmp_path: Path) -> None:
    deep = mine
    for _ in range(30):
        deep /= "d"
    deep.mkdir(parents=True)
    assert any("too deep" in what for what in wrong(mine).values())
    many = tmp_path / "many"
    many.mkdir()
    for number in range(10_001):
        (many / str(number)).touch()
    assert "more than 10000 files" in wrong(many)[""]


def test_a_list_or_a_manifest_too_large_to_be_one_is_not_read(mine: Path) -> None:
    os.truncate(mine / "configuration.json", 65 << 20)
    resum(mine)
    assert "configuration.json: is larger than" in wrong(mine)[""]
    os.truncate(mine / "SHA256SUMS", 1 << 40)
    assert "is larger than" in wrong(mine)["SHA256SUMS"]


def _nested(mine: Path) -> None:
    (mine / "pack.json").write_text("[" * 100_000)


def _no_object(mine: Path) -> None:
    (mine / "pack.json").write_text("7")


def _wrong_types(mine: Path) -> None:
    change_json(mine / "pack.json", lambda told: told["snapshot"].update(scans=[1, 2], label_tables=None))


def _endless_age(mine: Path) -> None:
    change_json(mine / "configuration.json", lambda told: told["classes"]["core"].update(max_copy_age=1e300))
    _rehash(mine)


def _predicate(mine: Path) -> None:
    change_json(mine / "configuration.json", lambda told: told["classes"]["core"].update(select="(SELECT count(*) FROM read_text('/etc/passwd')) > 0"))
    _rehash(mine)


def _service(mine: Path) -> None:
    change_json(mine / "configuration.json", lambda told: told.update(notify={"to": {}}))
    _rehash(mine)


def _rehash(mine: Path) -> None:
    import hashlib

    change_json(mine / "pack.json", lambda told: told["snapshot"].update(config_hash=hashlib.sha256((mine / "configuration.json").read_bytes()).hexdigest()))


def _snapshot_id(mine: Path) -> None:
    change_json(mine / "pack.json", lambda told: told["snapshot"].update(snapshot_id="../../../../tmp/x"))


def _scan_id(mine: Path) -> None:
    change_json(mine / "pack.json", lambda told: told["snapshot"]["scans"].update(projects="../../x"))


def _other_columns(mine: Path) -> None:
    pq.write_table(pa.table({"volume": ["projects"], "path": ["x"]}), mine / "evidence/entries.parquet")


def _no_parquet(mine: Path) -> None:
    (mine / "evidence/digests.parquet").write_text("no parquet")


def _cut_parquet(mine: Path) -> None:
    content = (mine / "evidence/entries.parquet").read_bytes()
    (mine / "evidence/entries.parquet").write_bytes(content[:2000] + b"\0" * 3000 + content[5000:])


def _other_volume(mine: Path) -> None:
    whole = pq.read_table(mine / "evidence/entries.parquet")
    pq.write_table(whole.set_column(0, "volume", pa.array(["../x"] * whole.num_rows)), mine / "evidence/entries.parquet", store_schema=False)


def _bomb(mine: Path) -> None:
    schema = pq.read_schema(mine / "evidence/problems.parquet")
    columns = [pa.array(["a"] * 5_000_000, pa.string()), *(pa.nulls(5_000_000, field.type) for field in list(schema)[1:])]
    pq.write_table(pa.table(columns, schema=schema), mine / "evidence/problems.parquet", compression="zstd", store_schema=False)


def _repeated_text(file: Path, text: str, rows: int) -> None:
    """Rows that are a few KB as long as the text stands in a dictionary, and a memory full of it where it does not."""
    schema = pq.read_schema(file)
    columns = [pa.array([text] * rows, field.type) if pa.types.is_string(field.type) else pa.nulls(rows, field.type) for field in schema]
    has_schema = b"ARROW:schema" in (pq.read_metadata(file).metadata or {})
    pq.write_table(pa.table(columns, schema=schema), file, compression="zstd", store_schema=has_schema)
    assert file.stat().st_size < 16_000


def _long_text(mine: Path) -> None:
    _repeated_text(mine / "evidence/problems.parquet", "x" * 20_000, 25_000)


def _long_report(mine: Path) -> None:
    _repeated_text(mine / "reports/problems.parquet", "x" * 20_000, 25_000)


def _gone(mine: Path) -> None:
    (mine / "evidence/labels.parquet").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_nested, "cannot be computed again"),
        (_no_object, "is not of the form"),
        (_wrong_types, "cannot be computed again"),
        (_endless_age, "cannot be computed again"),
        (_predicate, "is not allowed here"),
        (_service, "has notify, which no snapshot keeps"),
        (_snapshot_id, "evidence snapshots: does not have snapshot"),
        (_scan_id, "cannot be a partition value"),
        (_other_columns, "its columns are volume string, path string"),
        (_no_parquet, "cannot be computed again"),
        (_cut_parquet, "cannot be computed again"),
        (_other_volume, "has rows of volume '../x', of which the snapshot has no scan"),
        (_bomb, "says that it has 5000000 rows"),
        (_long_text, "evidence problems: says that it has "),
        (_long_report, "has 25000 rows; computed again: "),
        (_gone, "is missing"),
    ],
)
def test_whatever_is_spoilt_is_told_and_harms_nobody(mine: Path, spoil: Callable[[Path], None], told: str) -> None:
    spoil(mine)
    resum(mine)
    [what] = wrong(mine).values()
    assert told in what
