"""A bucket of a real object store on loopback, listed into the catalog: against obstore, which only fetches and parses pages, and a loop of boto3."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks import alone, peers
from benchmarks.estate import Estate, VoidError
from benchmarks.measure import Command, Usage, interleaved, run, say
from benchmarks.table import Asked, Row, limit, ratio
from catalog import names, table
from tests.scanners import stores

OBJECTS = 200_000
_ODD = (
    b"odd/a b",
    b"odd/a+b",
    b"odd/100%",
    b"odd/%2e",
    b"odd/folder/",
    "odd/ü€".encode(),
    b"odd/&amp;<x>",
    b"odd/=cmd()",
    b"odd/new\nline",
    b"odd/\x7f",
)
_FILL = """
import asyncio, os, sys
from obstore.store import S3Store
async def fill(store, numbers):
    for number in numbers:
        await store.put_async(f"data/project{number // 1000:04}/file{number:07}.bin", b"content")
async def main(bucket, count, **options):
    store, numbers = S3Store(bucket, **options), iter(range(int(count)))
    await asyncio.gather(*(fill(store, numbers) for _ in range(64)))
"""
_OBSTORE = """
import asyncio, os, sys
from obstore.store import S3Store
async def main(bucket, count, **options):
    found = sum([batch.num_rows async for batch in S3Store(bucket, **options).list(prefix="data", chunk_size=1000, return_arrow=True)])
    assert found == int(count), found
"""
_OPTIONS = 'endpoint=sys.argv[3], access_key_id=sys.argv[4], secret_access_key=sys.argv[5], region="us-east-1", virtual_hosted_style_request=False'
_END = "os._exit(0)"  # the threads of obstore abort at the end of an interpreter, now and then
_START = f'asyncio.run(main(sys.argv[1], sys.argv[2], {_OPTIONS}, client_options={{"allow_http": True}}))\n{_END}'
_BOTO3 = """
import boto3, sys
from botocore.config import Config
bucket, count, endpoint, key, secret = sys.argv[1:]
chosen = Config(s3={"addressing_style": "path"})
client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1", config=chosen)
found = 0
for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="data/"):
    found += len([(one["Key"], one["Size"], one["LastModified"], one["ETag"], one["StorageClass"]) for one in page["Contents"]])
assert found == int(count), found
"""


def measure(asked: Asked) -> list[Row]:
    """The rows of the CPU that a listing takes, of its time, and of its memory. The server's own CPU is not counted."""
    python = peers.python_with("obstore", "arro3.core", "boto3")
    count, server = asked.size(OBJECTS), stores.weed()
    bucket = server.bucket()
    say(f"{server.name}: {count:,} objects")
    script = [python, "-c"]
    given = [bucket, str(count), server.endpoint, stores.KEY, stores.SECRET]
    run(Command((*script, _FILL + _START, *given)))
    for key in _ODD:
        server.client.put_object(Bucket=bucket, Key=os.fsdecode(key), Body=b"content")
    made = _estate(asked.scratch / "bucket", server.declared(bucket))
    contenders = {
        "scan alone": lambda: _ours(made, count, scan=alone.scan),
        "lastcopy scan": lambda: _ours(made, count),
        "pages by obstore": lambda: run(Command((*script, _OBSTORE + _START, *given))),
        "a loop of boto3": lambda: run(Command((*script, _BOTO3, *given))),
    }
    used = interleaved(contenders, asked.runs)
    peak = _ours(made, count, lambda made: run(made.scan("off"), sample_memory=True)).peak_bytes
    us, whole, pages, loop = used.values()
    what = f"{count:,} objects into the catalog"
    note = f"{_note(us, pages)}; with start and derivation CPU {whole.cpu_seconds:.2f} s"
    return [
        ratio(f"{what}: CPU", "pages by obstore", 1.5, us.cpu_seconds, pages.cpu_seconds, note, asked=asked),
        ratio(f"{what}: wall", "a loop of boto3", 0.2, whole.wall_seconds, loop.wall_seconds, _note(whole, loop), asked=asked),
        limit(f"{what}: memory", 400, peak / 1e6, "MB", "the whole command, from start to the report of what changed", asked=asked),
    ]


def _note(us: Usage, them: Usage) -> str:
    return f"CPU {us.cpu_seconds:.2f} s against {them.cpu_seconds:.2f} s, wall {us.wall_seconds:.2f} s against {them.wall_seconds:.2f} s"


def _estate(folder: Path, declared: dict[str, object]) -> Estate:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = ["[catalog]", 'path = "catalog"', "[volumes.bucket]", *(f"{key} = {json.dumps(value)}" for key, value in declared.items())]
    (folder / "lastcopy.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return Estate(folder)


def _ours(made: Estate, count: int, scan: Callable[[Estate], Usage] = lambda made: run(made.scan("off"))) -> Usage:
    """A scan into an empty catalog. Raises VoidError unless it has every key, to the byte."""
    shutil.rmtree(made.root, ignore_errors=True)
    usage = scan(made)
    rows = table.read(made.root, "entries", ["dir", "name", "type"]).to_pylist()
    found = {names.unescape(row["dir"] + row["name"]) for row in rows if row["type"] != "dir"}
    wanted = {f"data/project{number // 1000:04}/file{number:07}.bin".encode() for number in range(count)} | set(_ODD)
    if found != wanted:
        raise VoidError(f"of {len(wanted)} keys {len(wanted - found)} are missing, and {len(found - wanted)} are others: {sorted(found ^ wanted)[:5]}")
    return usage
