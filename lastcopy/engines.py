"""What does the work: this machine, or a cluster that is reached by Spark Connect."""

from lastcopy import extras
from lastcopy.settings import Engine


def remote(engine: Engine) -> str | None:
    """The address of the cluster that is to do it; None = this machine. Raises ConfigError, MissingExtraError."""
    if engine == "local":
        return None
    from catalog import spark

    extras.need("spark", "pyspark", "grpc")
    return spark.address()
