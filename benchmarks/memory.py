"""Peak memory of a whole scan of generated entries, and of twice as many."""

from benchmarks import estate, trees
from benchmarks.measure import run, say
from benchmarks.table import Asked, Row, limit

ENTRIES = 4_000_000


def measure(asked: Asked) -> list[Row]:
    """The rows of memory."""
    half, whole = trees.generated(asked.scratch, asked.size(ENTRIES))
    rows = []
    for tree, entries in ((half, asked.size(ENTRIES) // 2), (whole, asked.size(ENTRIES))):
        made = estate.make(asked.scratch / "scanned-generated", {"tree": tree})
        used = run(made.scan("off"), made.reading(), sample_memory=True)
        estate.check_published(made)
        say(f"  {entries:,} entries: {used.peak_bytes / 1e6:,.0f} MB, {used.wall_seconds:.1f} s")
        note = f"proportional set size of all processes, sampled every 20 ms; {used.wall_seconds:.1f} s wall"
        rows.append(limit(f"scan of {entries:,} generated entries: peak memory", 600, used.peak_bytes / 1e6, "MB", note, asked=asked))
    return rows
