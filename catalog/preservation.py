"""What the levels of digital preservation are worked out from: small tables for readers. Pure functions, no file is read.

The levels are the named sets `ndsa-1` to `ndsa-4` of catalog/requirement_sets.py, whose sources are said there.
"""

from dataclasses import replace

import pyarrow as pa

from catalog.config import RequirementSet
from catalog.derive import facts
from catalog.derive.facts import Inputs
from catalog.requirement_sets import SETS

AXES = {"copies": "device", "systems": "system", "sites": "site", "regions": "region", "admins": "admin", "media": "media"}  # control -> what it counts
LADDER: tuple[RequirementSet, ...] = ("ndsa-1", "ndsa-2", "ndsa-3", "ndsa-4")
# One row an axis, an asset volume and a volume that may hold its copies (or is itself): bits of the groups that it is known to be of, or may be of.
PLACES = pa.schema(
    [
        ("volume", pa.string()),
        ("copy_volume", pa.string()),
        ("control", pa.string()),
        ("volume_bit", pa.int64()),
        ("known_bit", pa.int64()),
        ("possible_bit", pa.int64()),
    ]
)
# One row a level and control: how much of it.
LEVELS = pa.schema([("level", pa.int32()), ("control", pa.string()), ("need", pa.float64())])


def places(inputs: Inputs) -> pa.Table:
    """The groups of devices, systems, … that volumes are of for the assets of each, see PLACES."""
    made = facts.tables(replace(inputs, classes=list(inputs.classes)[:1]))  # they are the same for every class
    names = dict(zip(made["volume_facts"]["v"].to_pylist(), made["volume_facts"]["volume"].to_pylist(), strict=True))
    return pa.Table.from_pylist(
        [
            {
                "volume": names[row["a"]],
                "copy_volume": names[row["v"]],
                "control": control,
                "volume_bit": row["volume_bit"],
                "known_bit": row[f"{axis}_bit"],
                "possible_bit": row[f"{axis}_possible"],
            }
            for row in made["pair_facts"].to_pylist()
            for control, axis in AXES.items()
        ],
        PLACES,
    )


def levels() -> pa.Table:
    """What each level asks for, see LEVELS; ages are in days."""
    return pa.Table.from_pylist(
        [
            {"level": number, "control": control, "need": need / 86400 if control == "max_verification_age" else need}
            for number, name in enumerate(LADDER, 1)
            for control, need in SETS[name].items()
        ],
        LEVELS,
    )
