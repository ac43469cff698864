"""Somebody who wants to write into a file that a job holds under a lease."""

import os
import subprocess
import sys
import time
from pathlib import Path

_WRITES = "import sys; file = open(sys.argv[1], 'r+b'); file.write(sys.argv[2].encode()); file.close()"


def writer(path: bytes, text: str) -> "subprocess.Popen[bytes]":
    """A program that begins to open the file, and writes as soon as it may; gives it once it waits.

    No fork of ours: that would hold the lease, too, and only the kernel could end it, after 45 seconds.
    """
    started = subprocess.Popen([sys.executable, "-c", _WRITES, path, text])
    inode = str(os.stat(path).st_ino)
    while not any("LEASE  BREAKING" in line and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines()):
        assert started.poll() is None, "nothing kept it waiting"
        time.sleep(0.01)
    return started
