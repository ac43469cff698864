"""Stubs that are pointers: what they stand for is where they say. They are no files."""

from dataclasses import replace

from tests.protection.evidence import Evidence
from tests.protection.plain import Estate, File


def without(estate: Estate) -> Estate:
    """The estate whose newest scans show no pointers."""
    evidence = Evidence(estate)
    scans = dict(estate.scans)
    for volume, some in estate.scans.items():
        newest = estate.newest(volume)
        if newest is not None:
            files = tuple(file for file in newest.files if not _leads(estate, evidence, file))
            scans[volume] = tuple(replace(scan, files=files) if scan is newest else scan for scan in some)
    return replace(estate, scans=scans)


def _leads(estate: Estate, evidence: Evidence, file: File) -> bool:
    if file.stub is None or file.stub.volume not in estate.config.volumes or estate.config.volumes[file.stub.volume].role not in ("primary", "archive"):
        return False
    for there in estate.files(file.stub.volume):
        if there.path == file.stub.path and there.size == file.stub.size and there.stub is None:
            known = evidence.digest(file.stub.volume, there)
            return known is None or known.value == file.stub.digest
    return False
