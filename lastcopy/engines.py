"""What does the work: this machine, or a cluster that is reached by Spark Connect."""

from pathlib import Path

from catalog.errors import RefusedError
from lastcopy import extras
from lastcopy.settings import Engine


def remote(engine: Engine, root: Path) -> str | None:
    """The address of the cluster that is to do it, with the catalog at `root`; None = this machine.

    Raises ConfigError, MissingExtraError, RefusedError for a catalog that only this host can see.
    """
    if engine == "local":
        return None
    from catalog import place, spark

    if place.of(root) is not None:
        raise RefusedError("--engine spark: the catalog lies on an object store, and a cluster reaches one that is a folder, at the same place for all")
    extras.need("spark", "pyspark", "grpc")
    return spark.address()
