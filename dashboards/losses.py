"""What the loss simulator offers: what may happen, to which of the places that the volumes say."""

from collections.abc import Mapping, Sequence
from typing import Any

from dashboards import marks
from reports import reach
from reports.reach import Loss

KINDS = {
    "A site burns": "site",
    "A region is struck": "region",
    "A storage system fails": "system",
    "A device fails": "device",
    "A volume is lost": "volume",
    "An administrator turns against us": "admin",
    "A threat strikes": "threat",
}
Rows = Sequence[Mapping[str, Any]]


def offered(volumes: Rows) -> dict[str, list[str]]:
    """The names that may be lost, by kind, those of production first. `volumes` are rows of the report of that name."""
    rows = sorted(volumes, key=lambda row: (row["role"] != "primary", row["volume"]))
    names = {kind: list(dict.fromkeys(name for row in rows for name in (row[f"{kind}s"] or "").split(",") if name)) for kind in reach.AXES}
    return names | {"volume": [row["volume"] for row in rows], "threat": list(marks.THREATS.values())}


def loss(kind: str, name: str, mounted: Sequence[str] = ()) -> Loss:
    """The loss of one of them, while some offline volumes are plugged in."""
    if kind == "threat":
        return Loss((), next(threat for threat, title in marks.THREATS.items() if title == name), tuple(mounted))
    return Loss(((kind, name),), None, tuple(mounted))


def address(kind: str, name: str) -> dict[str, str]:
    """What the address of the simulator names for a loss."""
    return {"happens": next(happening for happening, one in KINDS.items() if one == kind), which(kind): name}


def which(kind: str) -> str:
    """The key under which the simulator keeps which of that kind is lost."""
    return f"which-{kind}"


def first(volumes: Rows) -> Loss | None:
    """What the page shows at first; None where no volume is known."""
    return next((loss(kind, names[0]) for kind in KINDS.values() if (names := offered(volumes)[kind])), None)
