"""The hash of paths that joins use. It is no proof of anything: names are compared too."""

from xxhash import xxh3_64_intdigest

MASK = (1 << 48) - 1  # what is stored of 64 bits


def of_path(raw: bytes) -> int:
    """The `path_hash` of a path's raw bytes: the lower 48 bits of xxh3-64."""
    return xxh3_64_intdigest(raw) & MASK
