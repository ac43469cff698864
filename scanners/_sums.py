"""Lines of checksums: of sha256sum, b2sum, md5sum and their kin (GNU coreutils, both forms), and of the manifests of a bag (RFC 8493)."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from scanners._told import EMPTY, RefusedPathError, Source

LONGEST_LINE = 64 << 10
_PLAIN = re.compile(rb"(\\?)([0-9A-Fa-f]{32,128}) [ *](.+)", re.DOTALL)
_TAGGED = re.compile(rb"(\\?)([A-Za-z0-9][A-Za-z0-9/-]{0,19}) \((.+)\) = ([0-9A-Fa-f]{32,128})", re.DOTALL)
_BAG_LINE = re.compile(rb"([0-9A-Fa-f]{32,128})[ \t]+\*?(.+)", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.?)", re.DOTALL)
_ESCAPES = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}
_PERCENT = re.compile(rb"%(0[AaDd]|25)")
_DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
SHA256_DIGITS = 64
_OF_NOTHING = {  # the digests of no bytes, by which other algorithms tell an empty file
    "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f", EMPTY.hex(),
    "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce",
}  # fmt: skip


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file with their numbers, without their ends; None for one that is longer than any, or that has no end, as of a file that was cut off."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if line.endswith(b"\n"):
            yield number, line[:-1]
            continue
        yield number, None
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)


def read(source: Source, file: BinaryIO, *, called: str, told_us: int, level: int) -> int:
    """Take the lines of a file of checksums; gives how many of them have 64 digits and do not say of which algorithm.

    64 digits without the name of their algorithm are SHA-256 only if the file is `called` so: BLAKE2 and SHA-3 write the same lines.
    """
    dos, unclear, is_sha256 = None, 0, "sha256" in called.lower()
    usual = next((name for name in _DIGITS if name in called.lower()), "")
    for number, raw in lines(file):
        if raw is None:
            source.refuse(number, f"a line that does not end, as of a file that was cut off, or of more than {LONGEST_LINE} bytes")
            continue
        dos = raw.endswith(b"\r") if dos is None else dos
        line = raw.removesuffix(b"\r") if dos else raw
        if not line.strip() or line.startswith(b"#"):
            continue
        found = _parsed(line)
        if found is None:
            source.refuse(number, "no line of checksums")
            continue
        algorithm, digits, path = found
        unclear += algorithm is None and len(digits) == SHA256_DIGITS and not is_sha256
        known = algorithm == "sha256" or (algorithm is None and is_sha256 and len(digits) == SHA256_DIGITS)
        other = algorithm or (usual if _DIGITS.get(usual) == len(digits) else f"{len(digits)} digits")
        take(source, number, path, digits, algorithm="sha256" if known else other, told_us=told_us, level=level)
    return unclear


def read_bag(source: Source, file: BinaryIO, algorithm: str, *, percent: bool, told_us: int, level: int) -> int:
    """Take the lines of a bag's manifest of its payload; gives their number. `percent`: whether `%25` stands for a percent sign, as since version 1.0."""
    count = 0
    for number, line in lines(file):
        found = _BAG_LINE.fullmatch(line.removesuffix(b"\r")) if line is not None else None
        if line is not None and not line.strip():
            continue
        count += 1
        path = _PERCENT.sub(lambda part: bytes.fromhex(part[1].decode()) if percent or part[1] != b"25" else part[0], found[2]) if found else b""
        if found is None or not path.startswith(b"data/"):
            source.refuse(number, "no line of a manifest of a payload")
            continue
        digits = found[1].decode().lower()
        if _DIGITS.get(algorithm, len(digits)) != len(digits):
            source.refuse(number, f"{len(digits)} digits are no {algorithm}", path)
            continue
        take(source, number, path, digits, algorithm=algorithm, told_us=told_us, level=level)
    return count


def take(source: Source, number: int, path: bytes, digits: str, *, algorithm: str, told_us: int, level: int) -> None:
    """Take one line: a SHA-256 is a digest, others can but contradict what else is told."""
    is_sha256 = algorithm == "sha256"
    try:
        source.add(
            path,
            told_us=told_us,
            level=level,
            digest=bytes.fromhex(digits) if is_sha256 else None,
            others={} if is_sha256 else {algorithm: digits},
            size_bytes=0 if digits in _OF_NOTHING else None,
        )
    except RefusedPathError as error:
        source.refuse(number, str(error))


def _parsed(line: bytes) -> tuple[str | None, str, bytes] | None:
    """The algorithm where the line names it, the digits in lower case, and the path; None where it is no such line."""
    if tagged := _TAGGED.fullmatch(line):
        escaped, name, path, digits = tagged.groups()
        algorithm = name.decode().lower().replace("-", "", 1) if name.lower() == b"sha-256" else name.decode().lower()
    elif plain := _PLAIN.fullmatch(line):
        (escaped, digits, path), algorithm = plain.groups(), None
    else:
        return None
    if len(digits) % 2 or (algorithm in _DIGITS and _DIGITS[algorithm] != len(digits)):
        return None
    if escaped:
        if any(found not in _ESCAPES for found in _ESCAPE.findall(path)):
            return None
        path = _ESCAPE.sub(lambda found: _ESCAPES[found[1]], path)
    return algorithm, digits.decode().lower(), path
