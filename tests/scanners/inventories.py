"""Deliveries of S3 Inventory, as Amazon's user guide has them: no store that runs here makes any."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

AT = datetime(2024, 5, 6, 7, 8, 9)
BUCKET = "vault-of-test"
SNAKES = {"ETag": "e_tag", "ObjectLockRetainUntilDate": "object_lock_retain_until_date", "ObjectLockLegalHoldStatus": "object_lock_legal_hold_status"}
FORMS = ("csv", "parquet", "orc")
_TYPES = {"Size": pa.int64(), "LastModifiedDate": pa.timestamp("ms"), "ObjectLockRetainUntilDate": pa.timestamp("ms"), "IsLatest": pa.bool_()}
_TYPES["IsDeleteMarker"] = pa.bool_()
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    """One that was made: its folder, the manifest, and the data files."""

    folder: Path
    manifest: Path
    parts: Sequence[Path]

    def say(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Write another manifest, with a checksum that is right."""
        told = json.loads(self.manifest.read_text())
        change(told)
        self.write(json.dumps(told).encode())

    def write(self, text: bytes) -> None:
        """Write a manifest, with its checksum."""
        self.manifest.write_bytes(text)
        (self.manifest.parent / "manifest.checksum").write_text(hashlib.md5(text).hexdigest())


def row(key: bytes, size: int | None = 1, **more: object) -> dict[str, Any]:
    """A row: an object that was stored at `AT`."""
    told = {"Bucket": BUCKET, "Key": key, "Size": size, "LastModifiedDate": AT, "ETag": hashlib.md5(key).hexdigest(), "StorageClass": "STANDARD"}
    return told | more


def deliver(folder: Path, form: str, parts: Sequence[Sequence[Row]], at: datetime = AT, bucket: str = BUCKET) -> Delivery:
    """The folder of a configuration with one delivery, a data file for each of the parts."""
    manifest = folder / f"{at:%Y-%m-%dT%H-%MZ}" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    (folder / "data").mkdir(exist_ok=True)
    written, told, ending = [], [], {"csv": "csv.gz"}.get(form, form)
    for number, rows in enumerate(parts):
        content = _WRITERS[form](rows)
        file = folder / "data" / f"{at:%d%H%M}-{number}.{ending}"
        file.write_bytes(content)
        written.append(file)
        told.append({"key": f"some/prefix/{bucket}/daily/data/{file.name}", "size": len(content), "MD5checksum": hashlib.md5(content).hexdigest()})
    said = {"sourceBucket": bucket, "destinationBucket": "arn:aws:s3:::of-inventories", "version": "2016-11-30"}
    said |= {"creationTimestamp": f"{at.replace(tzinfo=UTC).timestamp() * 1000:.0f}", "fileFormat": {"parquet": "Parquet"}.get(form, form.upper())}
    schema = ", ".join(parts[0][0]) if form == "csv" else "message s3.inventory {}"
    made = Delivery(folder, manifest, written)
    made.write(json.dumps({**said, "fileSchema": schema, "files": told}).encode())
    return made


def _csv(rows: Sequence[Row]) -> bytes:
    """Without a header, all fields quoted, keys as forms of HTML encode them."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([[_field(value) for value in one.values()] for one in rows])
    return gzip.compress(text.getvalue().encode(), mtime=0)


def _field(value: object) -> str:
    if isinstance(value, bytes):
        return quote_plus(value, safe="/")
    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='milliseconds')}Z"
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _table(rows: Sequence[Row]) -> pa.Table:
    columns = {name: [one[name].decode() if isinstance(one[name], bytes) else one[name] for one in rows] for name in rows[0]}
    return pa.table({_snake(name): pa.array(values, _TYPES.get(name, pa.string())) for name, values in columns.items()})


def _snake(name: str) -> str:
    return SNAKES.get(name) or "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")


def _parquet(rows: Sequence[Row]) -> bytes:
    out = io.BytesIO()
    pq.write_table(_table(rows), out, compression="snappy")
    return out.getvalue()


def _orc(rows: Sequence[Row]) -> bytes:
    out = io.BytesIO()
    orc.write_table(_table(rows), out, compression="zlib")
    return out.getvalue()


_WRITERS: dict[str, Callable[[Sequence[Row]], bytes]] = {"csv": _csv, "parquet": _parquet, "orc": _orc}
