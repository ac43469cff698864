"""The process of a scan worker: reads shards as lines of JSON, writes their records. Started by scanners.pool."""

import dataclasses
import importlib
import json
import os
import signal
import sys
from pathlib import Path

from catalog import lean
from scanners import Scanner, Segment, Settings, Shard, _kernel
from scanners.sink import ParquetSink, Target, read_places


def main() -> None:
    """Run shards until the input ends."""
    lean.without_pandas()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver ends us
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not speak to the driver
    start = json.loads(sys.stdin.readline())
    _kernel.die_with_parent(start["parent"])
    settings = Settings(**{**start["settings"], "skip": tuple(start["settings"]["skip"])})
    target = Target(Path(start["root"]), start["scan_id"], settings.volume)
    scanner: Scanner = importlib.import_module(start["module"]).Scanner(settings)
    for line in sys.stdin:
        told = json.loads(line)
        try:
            places = read_places(target.journal, [Segment(*segment) for segment in told["segments"]])
            sink = ParquetSink(target, told["number"], start["entries"], told["seconds"])
            record = scanner.run_shard(Shard(told["number"], tuple(places)), sink)
            reply = dataclasses.asdict(record)
        except Exception as error:  # whatever it is, the driver must hear of it and say so
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    main()
