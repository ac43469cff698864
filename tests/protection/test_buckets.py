"""What is derived in buckets, where it does not fit into memory at once, is the same row by row."""

import random
from pathlib import Path

import pytest

from catalog.derive import memory
from tests.protection import bare, generated
from tests.protection.merged import merge, packs


@pytest.mark.parametrize("count", [2, 7])
def test_in_buckets_the_same_is_derived_as_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    chance = random.Random(count)
    estate = merge(packs([generated.estate(chance) for _ in range(20)])[0])
    connection = bare.connect(tmp_path)

    def derived() -> dict[str, list[str]]:
        found = {"files": bare.files(connection, estate)}
        for name in ("copies", "duplicate_groups"):
            found[name] = bare.rows_of(connection, name)
        found["orphans"] = bare.orphans(connection)
        return {name: sorted(map(repr, rows)) for name, rows in found.items()}

    monkeypatch.setattr(memory, "buckets", lambda rows, limit: 1)
    at_once = derived()
    monkeypatch.setattr(memory, "buckets", lambda rows, limit: count)
    assert derived() == at_once
    [(used, nameless)] = connection.execute(f"SELECT count(DISTINCT inode % {count}), bool_or(inode IS NULL) FROM items").fetchall()
    assert used > 1
    assert nameless
    connection.close()
