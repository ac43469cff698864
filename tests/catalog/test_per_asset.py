"""The states of an asset's volumes put together, where a listing gave one name twice."""

from pathlib import Path

import duckdb

import catalog.derive

_SQL = Path(catalog.derive.__file__).with_name("per_asset.sql").read_text("utf-8")
_USABLE, _CHANGED = 1, 9


def _words(*states: tuple[int, int]) -> int:
    """The first word of one asset, from (volume, state) rows; volume n has the digit n."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE pair_list (a INTEGER, v INTEGER, word INTEGER, power BIGINT)")
    connection.execute("INSERT INTO pair_list VALUES (0, 0, 0, 1), (0, 1, 0, 16), (0, 2, 0, 256)")
    connection.execute(
        """CREATE TABLE evidence (a INTEGER, entry_id BIGINT, v INTEGER, state INTEGER, found INTEGER, carried BOOLEAN, is_current BOOLEAN, level INTEGER,
        verified_at TIMESTAMP)"""
    )
    connection.execute("CREATE TABLE absences (a INTEGER, entry_id BIGINT, v INTEGER, state INTEGER)")
    connection.executemany("INSERT INTO evidence VALUES (0, 7, ?, ?, 1, FALSE, FALSE, NULL, NULL)", [list(row) for row in states])
    [(word,)] = connection.execute(f"SELECT word_0 FROM ({_SQL})").fetchall()
    return int(word)


def test_each_volume_has_a_digit_of_its_own() -> None:
    assert _words((0, _CHANGED), (1, _USABLE)) == _CHANGED + 16 * _USABLE


def test_two_rows_of_one_volume_say_nothing_of_the_next_one() -> None:
    assert _words((0, _CHANGED), (0, _CHANGED)) == _CHANGED
    assert _words(*[(0, _CHANGED)] * 5, (2, _CHANGED)) == _CHANGED + 256 * _CHANGED


def test_two_rows_of_one_volume_that_differ_are_never_usable() -> None:
    assert _words((0, _CHANGED), (0, _USABLE)) % 16 != _USABLE
