"""Which files of volumes for copies are orphans, and how sure that is, computed with loops: the independent half of the proof."""

from tests.protection import pointers
from tests.protection.evidence import Evidence
from tests.protection.oracle import judge
from tests.protection.places import mapped, may_protect
from tests.protection.plain import Estate, File
from tests.protection.times import same_time, trusted

Key = tuple[str, str]


def orphans(whole: Estate) -> dict[Key, tuple[str, str]]:
    """Kind and certainty of every orphan, by volume and path."""
    truth, estate = judge(whole), pointers.without(whole)
    evidence = Evidence(estate)
    assets = [(volume, file) for volume, file in estate.every_file() if (volume, file.path) in truth]
    copies = {(name, match.file.path) for one in truth.values() for name, match in one.matches.items() if match.file and match.kind in ("content", "metadata")}
    found = {}
    for volume, file in estate.every_file():
        mine = evidence.digest(volume, file)
        if estate.config.volumes[volume].role == "primary" or (volume, file.path) in truth or file.size == 0 or file.aside or (volume, file.path) in copies:
            continue
        if mine and any(theirs and theirs.value == mine.value for theirs in (evidence.digest(*asset) for asset in assets)):
            continue
        wards = [name for name, one in estate.config.volumes.items() if one.role in ("primary", "archive") and may_protect(estate.config, volume, name)]
        there = [(ward, one) for ward, one in assets if ward in wards and mapped(estate.config.volumes[volume], ward, one.path) == file.path and not one.aside]
        if any(_alike(evidence, volume, file, *asset) for asset in there):
            continue
        homes = [home for ward in wards for home in _homes(estate, volume, ward, file.path)]
        kind = "unmapped" if not homes else "changed" if there else "gone"
        found[volume, file.path] = (kind, "yes" if homes and _certain(estate, evidence, volume, file, wards, homes, assets) else "unknown")
    return found


def _alike(evidence: Evidence, volume: str, file: File, ward: str, asset: File) -> bool:
    both = evidence.digest(volume, file) and evidence.digest(ward, asset)
    return (
        asset.size == file.size is not None
        and bool(same_time(asset, file))
        and trusted(asset, file)
        and not both
        and evidence.compare(volume, file, ward, asset) != "differ"
    )


def _homes(estate: Estate, volume: str, ward: str, path: str) -> list[Key]:
    """Where on a ward a file of a volume would have its home."""
    path_map = estate.config.volumes[volume].path_map
    if not path_map:
        return [(ward, path)]
    found = []
    for here, target in path_map.items():
        name, _, prefix = target.partition(":")
        inside = f"{here.strip('/')}/" if here.strip("/") else ""
        if name == ward and path.startswith(inside):
            found.append((ward, "/".join(part for part in (prefix.strip("/"), path[len(inside) :]) if part)))
    return found


def _certain(estate: Estate, evidence: Evidence, volume: str, file: File, wards: list[str], homes: list[Key], assets: list[tuple[str, File]]) -> bool:
    scans = {ward: estate.newest(ward) for ward in wards}
    if file.size is None or file.carried or evidence.is_unreadable(volume, file) or None in scans.values():
        return False
    for ward, home in homes:
        scan = scans[ward]
        if scan and any(path in ("", home) or home.startswith(f"{path}/") for path, _ in (*scan.problems, *scan.broken)):
            return False
    alike = [(ward, one) for ward, one in assets if one.size == file.size and not one.aside]
    unread = any(not evidence.digest(ward, one) or one.carried or evidence.is_unreadable(ward, one) for ward, one in alike)
    return not alike or (not unread and evidence.digest(volume, file) is not None)
