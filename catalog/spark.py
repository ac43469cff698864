"""The way to a cluster: a session of Spark Connect, and its errors as ours. Nothing of Spark is imported before one is asked for."""

import contextlib
import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from catalog import lean
from catalog.errors import CatalogError, ConfigError, MissingExtraError, RefusedError, UnreachableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

VARIABLE = "SPARK_REMOTE"  # by which every client of Spark Connect finds its server; the address may hold a token, so no file of ours has it
_PORT = 15002
_PATIENCE_SECONDS = 20.0
_TRIES = 6  # while the cluster does not answer, each after four times as long as the last: a minute and some in all
_DETAILS = re.compile(r'^\s*details = "(.*)"$', re.MULTILINE)
_LAST_LINE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Warning): .*", re.MULTILINE)


def address() -> str:
    """The address of the cluster. Raises ConfigError where none is given, or it is none of Spark Connect."""
    found = os.environ.get(VARIABLE, "")
    if not found:
        raise ConfigError(f"--engine spark: {VARIABLE} does not say where the cluster is; set it to the address of its Spark Connect, as sc://host:{_PORT}")
    if not found.startswith("sc://") or not urlsplit(found).hostname:
        raise ConfigError(f"{VARIABLE}: it is no address of Spark Connect, as sc://host:{_PORT}")
    return found


@contextmanager
def connected(remote: str) -> "Iterator[SparkSession]":
    """A session of its own, whose work ends with it. Raises MissingExtraError, UnreachableError, RefusedError where the cluster runs a task twice at a time."""
    _look(remote)
    session = _begun(remote)
    try:
        _check(session)
        yield session
    except BaseException:
        with contextlib.suppress(Exception):  # another error is on its way already, perhaps that the cluster cannot hear us any more
            session.interruptAll()
        raise
    finally:
        with contextlib.suppress(Exception):  # likewise; a session that nobody ends the cluster ends by itself
            session.stop()


def _begun(remote: str) -> "SparkSession":
    program = sys.modules["__main__"].__dict__
    unnamed = "__file__" not in program  # then the client would take us for its own tests, and end the process
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that pandas is newer than Spark knows: no data goes through it
        try:
            program.setdefault("__file__", "")
            lean.with_pandas()
            from pyspark.sql import SparkSession
            from pyspark.sql.connect.client.retries import DefaultPolicy
        except ImportError as error:
            raise MissingExtraError(f"the client of Spark Connect is not installed ({error}): pip install 'lastcopy[spark]'") from error
        finally:
            if unnamed:
                del program["__file__"]
        logging.getLogger("SQLQueryContextLogger").disabled = True  # it writes pages to stderr of what we say in a line
        with foreseen("the cluster cannot be asked"):
            session: SparkSession = SparkSession.builder.remote(remote).create()
            session.client.set_retry_policies([DefaultPolicy(max_retries=_TRIES)])
            return session


def _look(remote: str) -> None:
    """Knock at the door: Spark's own client would try for ten minutes. Raises UnreachableError."""
    place = urlsplit(remote)
    try:
        socket.create_connection((str(place.hostname), place.port or _PORT), _PATIENCE_SECONDS).close()
    except OSError as error:
        raise UnreachableError(f"the cluster at {place.hostname}:{place.port or _PORT} ({VARIABLE}) cannot be reached: {error.strerror or error}") from error


def _check(session: "SparkSession") -> None:
    """Raise RefusedError where the cluster runs slow tasks a second time."""
    with foreseen("the cluster cannot be asked"):
        twice = session.conf.get("spark.speculation", "false")
        session.conf.set("spark.sql.session.timeZone", "UTC")
    if str(twice).lower() == "true":
        raise RefusedError("the cluster has spark.speculation on: it would read the storage twice at a time; turn it off for this work")


@contextmanager
def foreseen(what: str) -> Iterator[None]:
    """The cluster's errors as ours: CatalogError that begins with `what` and says why the cluster could not."""
    import grpc
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, grpc.RpcError) as error:
        raise CatalogError(f"{what}: {_told(str(error))}") from error


def _told(text: str) -> str:
    """The line of a cluster's long answer that says what was wrong: the last error of Python in it, that of the network, else its first line."""
    errors = _LAST_LINE.findall(text) or _DETAILS.findall(text)
    return errors[-1] if errors else next((line.strip() for line in text.splitlines() if line.strip()), "it does not say why")
