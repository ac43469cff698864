"""The estate on disk is what its table says, and the table shows every reason."""

import os
from pathlib import Path

import pytest

from catalog import config
from catalog.errors import RefusedError
from catalog.names import escape, unescape
from catalog.words import REASONS, THREATS
from sample_data import demo, estate, permissions

ROWS = estate.rows()
BUILT_AT = 1_800_000_000.0

# Which results each reason can have in a file tree, by docs/protection.md.
POSSIBLE = {
    "volume_not_scanned": {"unknown"},
    "scan_incomplete": {"unknown"},
    "path_not_mapped": {"unknown"},
    "never_copied": {"no"},
    "excluded_by_backup": {"no"},
    "conflict": {"no"},
    "changed_since_copy": {"no"},
    "same_volume_only": {"no"},
    "same_system_only": {"no", "unknown"},
    "same_site_only": {"no", "unknown"},
    "mirror_only": {"no", "unknown"},
    "retention_too_short": {"no"},
    "not_immutable_or_offline": {"no", "unknown"},
    "metadata_match_only": {"unknown"},
    "never_verified": {"unknown"},
    "verification_too_old": {"unknown"},
}

OF_ENCRYPTED = {"key_lost"}  # no volume of the estate needs a key


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder with the estate of BUILT_AT."""
    return demo.build(tmp_path / "a demo", BUILT_AT).parent


def _path(folder: Path, volume: str, path: str) -> bytes:
    return os.path.join(os.fsencode(folder / "estate" / volume), unescape(path))


def test_every_reason_is_shown_with_every_result_that_it_can_have() -> None:
    assert set(POSSIBLE) == set(REASONS) - OF_ENCRYPTED
    shown: dict[str, set[str]] = {reason: set() for reason in REASONS}
    for row in ROWS:
        for result, reasons in row.truth.threats.values() if row.truth else ():
            for reason in reasons.split(",") if reasons else ():
                shown[reason].add(result)
    missing = {reason: results - shown[reason] for reason, results in POSSIBLE.items() if not results <= shown[reason]}
    assert not missing


def test_the_truth_is_written_in_the_words_and_the_order_of_the_catalog() -> None:
    for row in ROWS:
        if row.truth is None:
            continue
        assert tuple(row.truth.threats) == THREATS
        for result, reasons in row.truth.threats.values():
            named = reasons.split(",") if reasons else []
            assert named == sorted(named, key=REASONS.index), row.path
            assert (result == "yes") == (not named), row.path


def test_paths_are_written_as_reports_print_them() -> None:
    assert [row.path for row in ROWS if escape(unescape(row.path)) != row.path] == []
    assert len({(volume, row.path) for row in ROWS for volume in (row.volume, *row.also_on)}) == sum(1 + len(row.also_on) for row in ROWS)


def test_every_file_has_the_bytes_and_the_ages_of_its_row(built: Path) -> None:
    for row in ROWS:
        if row.type not in ("file", "hardlink", "sparse"):
            continue
        for volume in (row.volume, *row.also_on):
            seen = os.lstat(_path(built, volume, row.path))
            assert seen.st_size == row.size_bytes, row.path
            assert seen.st_mtime_ns == int(BUILT_AT - row.modified_days * 86400) * 10**9, row.path
            assert seen.st_atime == int(BUILT_AT - row.accessed_days * 86400), row.path


def test_rows_with_one_content_have_equal_bytes_and_others_do_not() -> None:
    contents: dict[tuple[str, int], bytes] = {(row.content, row.size_bytes): estate.content(row) for row in ROWS if row.type == "file"}
    assert len(set(contents.values())) == len(contents)


def test_copies_are_files_of_their_own_and_hard_links_are_not(built: Path) -> None:
    lease = [os.lstat(_path(built, volume, "contracts/2025-lease.pdf")) for volume in ("projects", "mirror", "lyon", "shelf")]
    assert len({seen.st_ino for seen in lease}) == len(lease)
    poster, link = (os.lstat(_path(built, "projects", path)) for path in ("media/poster.tif", "print/poster.tif"))
    assert (poster.st_ino, poster.st_nlink) == (link.st_ino, 2)


def test_the_sparse_file_takes_no_room(built: Path) -> None:
    image = os.lstat(_path(built, "projects", "vm/build-host.img"))
    assert image.st_size == 8 * 2**20
    assert image.st_blocks * 512 < 2**20


def test_nothing_lies_in_the_estate_that_the_table_does_not_name(built: Path) -> None:
    root = os.fsencode(built / "estate")
    found = {os.path.join(folder, name) for folder, folders, files in os.walk(root) for name in files}
    named = {_path(built, volume, row.path) for row in ROWS for volume in (row.volume, *row.also_on) if row.type != "unreadable"}
    assert found == named


def test_the_configuration_names_each_volume_and_the_one_that_was_never_seen(built: Path) -> None:
    loaded = config.load(built / "lastcopy.toml")
    there = {name for name, volume in loaded.volumes.items() if (built / volume.url).is_dir()}
    assert set(loaded.volumes) - there == set(estate.ABSENT_VOLUMES)
    assert there == set(estate.volumes(ROWS))
    assert len({volume.device for volume in loaded.volumes.values()}) == len(loaded.volumes)


def test_a_directory_may_not_be_listed_even_by_root_while_permissions_are_obeyed(built: Path) -> None:
    closed = built / "estate" / "lyon" / "personnel"
    with permissions.obeyed(built) as obeyed:
        assert obeyed
        with pytest.raises(PermissionError):
            os.listdir(closed)
        assert (built / "lastcopy.toml").read_text()
    if os.geteuid() == 0:
        assert os.listdir(closed) == []


def test_permissions_stay_as_they_are_where_obeying_them_would_lock_us_out(tmp_path: Path) -> None:
    home = tmp_path / "somebody's home"
    home.mkdir()
    home.chmod(0o000)
    with permissions.obeyed(home) as obeyed:
        assert obeyed == (os.geteuid() != 0)
        assert os.access(home, os.R_OK, effective_ids=True) == (os.geteuid() == 0)
    home.chmod(0o700)


def test_a_second_build_replaces_the_first_and_its_catalog_only(built: Path) -> None:
    (built / "catalog").mkdir()
    (built / "catalog" / "old").write_text("a snapshot of the first estate")
    (built / "notes.txt").write_text("mine")
    demo.build(built, BUILT_AT + 86400)
    assert not (built / "catalog").exists()
    assert (built / "notes.txt").read_text() == "mine"
    assert os.lstat(_path(built, "projects", "media/team.jpg")).st_mtime == int(BUILT_AT + 86400 - 220 * 86400)


def test_a_folder_with_anything_else_in_it_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "estate").mkdir()
    (tmp_path / "estate" / "thesis.tex").write_text("mine")
    with pytest.raises(RefusedError, match="was not built by"):
        demo.build(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["estate", "thesis.tex"]
