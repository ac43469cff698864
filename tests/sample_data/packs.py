"""What tests do to audit packs: copy one, change it as somebody would who can compute SHA-256 too, and verify it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import lastcopy
from reports import proof, sums

Rows = list[dict[str, Any]]


def copied(pack: Path, place: Path) -> Path:
    """A copy of a pack that may be changed."""
    return Path(shutil.copytree(pack, place / "pack"))


def wrong(pack: Path) -> dict[str, str]:
    """What is found wrong with a pack, by file."""
    return {finding.file: finding.wrong for finding in proof.verify(pack, lastcopy.version()).findings}


def change_rows(file: Path, change: Callable[[Rows], object]) -> None:
    """Change the rows of a Parquet file; its columns and what is said beside them stay."""
    whole = pq.read_table(file)
    rows = whole.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, whole.schema), file, compression="zstd", store_schema=b"ARROW:schema" in (pq.read_metadata(file).metadata or {}))


def change_json(file: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file."""
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data, indent=2) + "\n")


def resum(pack: Path) -> None:
    """Make the list of sums anew, as if nothing had been changed."""
    sums.write(pack)
    listed = [line for line in (pack / sums.NAME).read_text().splitlines(keepends=True) if not line.endswith((f"  {sums.NAME}\n", f"  {sums.SIGNATURE}\n"))]
    (pack / sums.NAME).write_text("".join(listed))
