"""What checks name as damaged is taken only where they name all of it: outputs that restic 0.14 and borg 1.2 wrote of damaged repositories, and forged ones."""

import json
from collections.abc import Mapping, Sequence

import pytest

from catalog.errors import RefusedError
from scanners import said, suspects

A, B = "2d" * 32, "fb" * 32
RESTIC = f"""\
using temporary cache in /tmp/restic-check-cache-1
create exclusive lock for repository
load indexes
check all packs
pack {A}: does not exist
check snapshots, trees and blobs
[0:00] 100.00%  2 / 2 snapshots

read all data
Load(<data/{B[:10]}>, 900309, 0) returned error, retrying after 552.330144ms: unexpected EOF
Pack ID does not match, want {B}, got {A}
[0:00] 100.00%  4 / 4 packs

Fatal: repository contains errors
"""
BORG = f"""\
Starting repository check
Data integrity error: Segment entry checksum mismatch [segment 6, offset 340345]
finished segment check at segment 9
Starting repository index check
Index object count mismatch.
committed index: 19 objects
rebuilt index:   17 objects
ID: {A} rebuilt index: <not found>      committed index: (6, 4197702)    
ID: {B} rebuilt index: <not found>      committed index: (4, 8)          
Finished full repository check, errors found.
"""  # noqa: W291 - as it is written
VERIFIED = f"""\
Starting repository check
finished segment check at segment 9
Starting repository index check
Index object count match.
Finished full repository check, no problems found.
Starting archive consistency check...
Starting cryptographic data integrity verification...
chunk {A}, integrity error: Data integrity error: Chunk {A}: Invalid encryption envelope
Found defect chunks. With --repair, they would get deleted, so affected files could get repaired then and maybe healed later.
Finished cryptographic data integrity verification, verified 19 chunks with 1 integrity errors.
Analyzing archive first (1/1)
Archive consistency check complete, problems found.
"""
CLEAN = """\
Starting repository check
finished segment check at segment 9
Finished full repository check, no problems found.
Starting archive consistency check...
Analyzing archive {name} (1/1)
Archive consistency check complete, no problems found.
"""


def logged(text: str) -> str:
    """As borg writes with `--log-json`."""
    return "".join(json.dumps({"type": "log_message", "levelname": "INFO", "time": 1.0, "message": line}) + "\n" for line in text.splitlines())


def in_json(errors: Sequence[str], summary: Mapping[str, object]) -> str:
    """As restic writes with `--json`."""
    lines: list[Mapping[str, object]] = [{"message_type": "error", "message": error} for error in errors]
    return "".join(json.dumps(line) + "\n" for line in [*lines, {"message_type": "summary", **summary}])


def marks(found: suspects.Suspects | None) -> set[str] | None:
    return None if found is None else set(found.marks)


def test_packs_that_restic_names_are_taken() -> None:
    assert marks(suspects.of_restic(RESTIC, None)) == {A, B}
    told = said.restic_check(RESTIC, 1, None)
    assert (told.ok, told.errors, told.share_ppm, marks(told.suspects)) == (False, 2, 1_000_000, {A, B})


@pytest.mark.parametrize(
    "output",
    [
        RESTIC.replace("load indexes\n", ""),
        RESTIC[RESTIC.index("check all packs") :],
        RESTIC.replace("Fatal: repository contains errors\n", ""),
        RESTIC.replace("read all data\n", "error for tree 1fbe6411:\n  tree 1fbe6411: ciphertext verification failed\n"),
        RESTIC.replace("read all data\n", f'  tree 1fbe6411: file "a\\npack {A}: does not exist" blob 0 size could not be found\n'),
        RESTIC.replace(f"pack {A}", "pack 2d2d2d2d"),
        RESTIC.replace("pack ", "packs ").replace("Pack ", "Packs "),
        RESTIC.replace("retrying after 552.330144ms", "giving up"),
        "load indexes\ncheck all packs\ncheck snapshots, trees and blobs\nFatal: repository contains errors\n",
    ],
)
def test_an_output_of_restic_that_perhaps_does_not_tell_all_names_nothing(output: str) -> None:
    assert suspects.of_restic(output, None) is None


@pytest.mark.parametrize(
    ("errors", "summary", "wanted"),
    [
        ([f"pack {A} contains 1 errors: [blob {B}: ciphertext verification failed]\n"], {"num_errors": 1, "broken_packs": [A]}, {A}),
        ([f"check successful on second attempt, original error pack {A} contains 1 errors: [x]"], {"num_errors": 1, "broken_packs": None}, {A}),
        ([f"pack {A}: does not exist", f"pack {B}: unexpected file size: got 1, expected 2"], {"num_errors": 2, "broken_packs": [B]}, {A, B}),
        ([], {"num_errors": 2, "broken_packs": [A, B]}, {A, B}),
        ([], {"num_errors": 3, "broken_packs": [A, B]}, None),
        ([f"pack {A}: does not exist"], {"num_errors": 2, "broken_packs": []}, None),
        (["download error: Load(<data/2d2d2d2d2d>, 5, 0) failed"], {"num_errors": 1, "broken_packs": [A]}, None),
        (["error for tree 1fbe6411:\n"], {"num_errors": 1, "broken_packs": [A]}, None),
        ([], {"num_errors": 1, "broken_packs": ["../" + A]}, None),
    ],
)
def test_of_what_newer_restics_count_all_must_be_named(errors: Sequence[str], summary: Mapping[str, object], wanted: set[str] | None) -> None:
    output = in_json([*errors, f"restic repair packs {A}\nrestic repair snapshots --forget\n\n"], summary)
    assert marks(suspects.of_restic(output, int(str(summary["num_errors"])))) == wanted


def test_a_hint_of_restic_is_no_error() -> None:
    hint = f"pack {A}: not referenced in any index\n1 additional files were found in the repo, which likely contain duplicate data.\n"
    assert said.restic_check(RESTIC[: RESTIC.index("pack ")] + hint + "no errors were found\n", 0, None).ok


@pytest.mark.parametrize("write", [str, logged])
def test_segments_and_pieces_that_borg_names_are_taken_with_their_places(write: type[str]) -> None:
    assert marks(suspects.of_borg(write(BORG))) == {"6", f"{A} 6 4197702", f"{B} 4 8"}
    assert marks(suspects.of_borg(write(VERIFIED))) == {A}
    assert marks(said.borg_check(write(VERIFIED), 1, None).suspects) == {A}


@pytest.mark.parametrize("write", [str, logged])
@pytest.mark.parametrize(
    "output",
    [
        BORG[BORG.index("Data") :],
        BORG[: BORG.index("Finished")],
        BORG.replace(f"ID: {B}", "ID: "),
        "".join(line for line in BORG.splitlines(keepends=True) if B not in line),
        BORG.replace("committed index: 19 objects\n", ""),
        BORG.replace("[segment 6, offset 340345]", ""),
        VERIFIED.replace("with 1 integrity", "with 2 integrity"),
        "".join(line for line in VERIFIED.splitlines(keepends=True) if not line.startswith("chunk")),
        VERIFIED.replace("Analyzing archive", f"Archive metadata block {A} is corrupted: x\nAnalyzing archive"),
        VERIFIED.replace(
            "Analyzing archive first (1/1)\n", f"first: a/b: New missing file chunk detected (Byte 0-9, Chunk {B}). Replacing with all-zero chunk.\n"
        ),
        VERIFIED.replace("archive first", f"archive \n{{}}\nchunk {B}: forged\n"),
    ],
)
def test_an_output_of_borg_that_perhaps_does_not_tell_all_names_nothing(write: type[str], output: str) -> None:
    assert suspects.of_borg(write(output)) is None


def test_a_message_within_a_name_hides_no_error_of_borg() -> None:
    forged = VERIFIED.replace("archive first", "archive x\n" + logged(CLEAN.format(name="x")) + "y")
    found = said.borg_check(forged, 1, None)
    assert (found.ok, found.suspects) == (False, None)


@pytest.mark.parametrize("write", [str, logged])
def test_the_name_of_an_archive_claims_no_reading(write: type[str]) -> None:
    claim = (
        "Starting cryptographic data integrity verification...\nFinished cryptographic data integrity verification, verified 9 chunks with 0 integrity errors."
    )
    assert said.borg_check(write(CLEAN.format(name=f"x\n{claim}\n")), 0, None).level == 1
    read = CLEAN.replace("check...\n", f"check...\n{claim}\n").format(name="x")
    assert said.borg_check(write(read), 0, None).level == 2
    assert said.borg_check(CLEAN.format(name="x\n" + logged(read)), 0, None).level == 1
    alone = read[read.index("Starting archive") :]
    with pytest.raises(RefusedError):
        said.borg_check(write(alone.replace("archive x", "archive Finished full repository check, no problems found.\n")), 0, None)
