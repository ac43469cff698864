"""Where in a repository a check found damage, by what it wrote: pure functions of its output, which may be anybody's.

Sources: `restic check` 0.14 (text) and, with `--json`, 0.17 and later; `borg check --info` 1.2 and 1.4, also with `--log-json`. Every line must be one that is
known here, and all that was counted must have been named: of what nobody can tell all of, nothing is told.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_ID = r"[0-9a-f]{64}"
_RESTIC_PACK = re.compile(
    rf"(?:check successful on second attempt, original error )?pack ({_ID})(?:: | contains | failed to download).*"
    rf"|Pack ID does not match, want ({_ID}), got {_ID}"
)
_RESTIC_BEGIN = ("load indexes", "check all packs", "check snapshots, trees and blobs")
_RESTIC_END = "Fatal: repository contains errors"
_RESTIC_KNOWN = re.compile(
    rf"pack {_ID}: not referenced in any index|[0-9]+ additional files were found in the repo, which likely contain duplicate data\..*"
    r"|(?:This is non-critical, y|Y)ou can run `restic prune` to correct this\."
    r"|using temporary cache in .*|created new cache in .*|repository [0-9a-f]+ opened .*|create exclusive lock for repository"
    r"|load indexes|check all packs|check snapshots, trees and blobs"
    r"|\[[0-9:]+\] +(?:[0-9.]+% +)?[0-9]+(?: / [0-9]+)? (?:packs|snapshots|(?:index )?files(?: loaded)?)"
    r"|read all data|read group #[0-9]+ of [0-9]+ data packs .*|read [0-9.]+% of data packs|read [0-9]+ bytes of data packs"
    r"|Load\(<data/[0-9a-f]+>, .* returned error, retrying after .*"
    r"|The repository contains damaged pack files\..*|restic repair packs [0-9a-f ]+|restic repair snapshots --forget"
    rf"|Damaged pack files can be caused by .*|The repository is damaged and must be repaired\..*|{_RESTIC_END}"
)
_BORG_SEGMENT = re.compile(r"Data integrity error: .*\[segment ([0-9]{1,9}), offset [0-9]{1,19}\].*")
_PLACE = r"(?:\(([0-9]{1,9}), ([0-9]{1,19})\)|<not found>)"
_BORG_INDEX = re.compile(rf"ID: ({_ID}) rebuilt index: (<not found>|\([0-9]{{1,9}}, [0-9]{{1,19}}\)) +committed index: {_PLACE} *")
_BORG_PIECE = re.compile(rf"chunk ({_ID})(?:: |, integrity error: ).*")
_BORG_COUNTED = re.compile(r"(committed|rebuilt) index: +([0-9]{1,12}) objects")
_BORG_VERIFIED = re.compile(r"Finished cryptographic data integrity verification, verified [0-9]+ chunks with ([0-9]+) integrity errors\.")
_BORG_BEGIN, _BORG_MISMATCH = "Starting repository check", "Index object count mismatch."
_BORG_ENDS = ("Finished full repository check, errors found.", "Archive consistency check complete, problems found.")
_BORG_KNOWN = re.compile(
    r"Starting repository check|finished segment check at segment [0-9]+|Starting repository index check|Index object count (?:match|mismatch)\."
    r"|Finished full repository check, (?:errors|no problems) found\.|Starting archive consistency check\.\.\.|[0-9]+ orphaned objects found!"
    r"|Starting cryptographic data integrity verification\.\.\.|Found defect chunks\. With --repair, .*|Archive consistency check complete, problems found\."
)
_BORG_ARCHIVE = re.compile(r"Analyzing archive .* \([0-9]+/[0-9]+\)", re.DOTALL)


@dataclass(frozen=True)
class Suspects:
    """All that a check found damaged in a repository of a `kind`.

    `marks`: of restic ids of packs; of borg numbers of segments, and ids of pieces, followed by the segment and the offset that its index has for it where
    that was told.
    """

    kind: str
    marks: frozenset[str]


def of_restic(output: str, errors: int | None) -> Suspects | None:
    """What `restic check` named, or None where that is perhaps not all. `errors`: how many it counted; None = it wrote text, which counts none."""
    found, named, seen = set[str](), 0, set[str]()
    for line in _lines(output):
        if isinstance(line, dict):
            if line.get("message_type") == "summary":
                packs = line.get("broken_packs") or []
                if not isinstance(packs, list) or not all(isinstance(pack, str) for pack in packs):
                    return None
                found.update(packs)
                continue
            if line.get("message_type") not in ("error", "exit_error"):
                return None
        told = line if isinstance(line, str) else str(line.get("message", ""))
        for text in filter(None, map(str.strip, told.split("\n"))):
            if "\r" in text:  # a line of progress, which another may follow
                return None
            if is_harmless(text):
                seen.add(text)
            elif pack := _RESTIC_PACK.fullmatch(text):
                found.add(pack[1] or pack[2])
                named += 1
            else:
                return None
    if not found or not all(re.fullmatch(_ID, pack) for pack in found):
        return None
    # Without standard error JSON tells of the packs alone, each with an error at least.
    is_all = seen.issuperset((*_RESTIC_BEGIN, _RESTIC_END)) if errors is None else errors <= max(named, len(found))
    return Suspects("restic", frozenset(found)) if is_all else None


def is_harmless(line: str) -> bool:
    """Whether a line of `restic check` tells of no error, or only what to do about those that others tell of."""
    return _RESTIC_KNOWN.fullmatch(line) is not None


def of_borg(output: str) -> Suspects | None:
    """What `borg check` named, or None where that is perhaps not all."""
    texts = list[str]()
    lines = list(_lines(output))
    is_json = all(isinstance(line, dict) for line in lines)
    for line in lines:
        if isinstance(line, dict) and is_json:
            if line.get("type") == "log_message":
                texts.append(str(line.get("message", "")).strip())
            elif line.get("type") not in ("progress_percent", "progress_message"):
                return None
        elif isinstance(line, dict):
            return None  # a name may hold a line of its own
        else:
            texts.append(line.strip())
    if not texts or texts[0] != _BORG_BEGIN or texts[-1] not in _BORG_ENDS:
        return None
    return _named_by_borg(texts)


def _named_by_borg(texts: list[str]) -> Suspects | None:
    marks, counted, missing, more, pieces, verified = set[str](), dict[str, int](), 0, 0, 0, 0
    for text in texts:
        if found := _BORG_SEGMENT.fullmatch(text):
            marks.add(found[1])
        elif found := _BORG_INDEX.fullmatch(text):
            marks.update([f"{found[1]} {found[3]} {found[4]}"] if found[3] else [])  # what its index does not know is part of no file
            missing += found[2] == "<not found>"
            more += found[3] is None
        elif found := _BORG_PIECE.fullmatch(text):
            marks.add(found[1])
            pieces += 1
        elif found := _BORG_COUNTED.fullmatch(text):
            counted[found[1]] = int(found[2])
        elif found := _BORG_VERIFIED.fullmatch(text):
            verified += int(found[1])
        elif not (_BORG_KNOWN.fullmatch(text) or _BORG_ARCHIVE.fullmatch(text)):
            return None
    if not marks or pieces != verified or (_BORG_MISMATCH in texts) != (len(counted) == 2):
        return None
    if counted and counted["committed"] - counted["rebuilt"] != missing - more:
        return None
    return Suspects("borg", frozenset(marks))


def _lines(output: str) -> Iterator[str | dict[str, Any]]:
    """Lines that are not empty, those that are an object of JSON as that. Only a line feed ends one."""
    for line in filter(str.strip, output.split("\n")):
        try:
            found = json.loads(line) if line.startswith("{") else None
        except (ValueError, RecursionError):
            found = None
        yield found if isinstance(found, dict) else line
