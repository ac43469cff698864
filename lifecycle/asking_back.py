"""What a plan will have to ask back from an archive of its storage, as far as the newest scans know."""

import math
from typing import TYPE_CHECKING, Any

from catalog.volumes import Volume
from reports import tiers

if TYPE_CHECKING:
    from lifecycle.draft import Draft

_DAY_SECONDS = 86_400


def days(declared: Volume) -> int | None:
    """For how many days jobs ask for what they read of a volume; None: they do not ask."""
    return None if declared.restore_for is None else max(1, math.ceil(declared.restore_for / _DAY_SECONDS))


def expected(draft: "Draft") -> dict[str, Any]:
    """Of a plan whose steps copy: a volume each with files, bytes, days (None: nothing is asked for) and tier. Nothing where no scan knows of such a source."""
    found = tiers.asleep(draft.connection, "standing") if "copy" in draft.action.STAGES else []
    volumes = draft.config.volumes
    told = [
        {"volume": volume, "files": files, "bytes": size_bytes, "days": days(volumes[volume]), "tier": volumes[volume].restore_tier}
        for volume, files, size_bytes in found
        if volume in volumes
    ]
    return {"asked_back": told} if told else {}
