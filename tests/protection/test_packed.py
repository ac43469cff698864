"""Audit packs of generated estates: what the enclosed evidence gives is what the whole catalog gave, whatever collides in it."""

import random
from pathlib import Path

import pytest

from catalog import derive, evidence
from reports import pack, proof
from tests.protection import estate as written
from tests.protection import generated
from tests.protection.merged import merge, packs


@pytest.mark.slow_but_first
@pytest.mark.parametrize("seed", range(10))
def test_the_evidence_of_a_pack_gives_what_the_catalog_gave(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    estate = merge(packs([generated.estate(chance) for _ in range(20)])[0])
    before, root, folder = estate.before(), tmp_path / "catalog", tmp_path / "pack"
    root.mkdir()
    folder.mkdir()
    written.write(root, before)
    derive.derive(root, before.config, estate.as_of - generated.HOUR)
    written.write(root, estate, skip=before)
    newest = derive.derive(root, estate.config, estate.as_of)
    pack.write(folder, evidence.subject(root, newest), "0")
    assert proof.verify(folder, "0").findings == ()
