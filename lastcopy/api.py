"""The Python API: a catalog to ask from scripts and notebooks."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from catalog import config, snapshot
from lastcopy import asking, settings

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from reports.explain import Explanation
    from reports.simulate import Simulation


class Catalog:
    """The catalog of one folder at one snapshot. Only reads. Closes its connection as a context, or by `close`."""

    def __init__(self, root: Path, wanted: str | None = None) -> None:
        """Opens nothing yet. Raises NotFoundError if there is no such snapshot."""
        self.root = root
        self.snapshot = snapshot.find(root, wanted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Catalog {str(self.root)!r} at {self.snapshot.snapshot_id}>"

    def report(self, name: str, *, where: str | None = None, limit: int | None = None, **params: object) -> "pl.DataFrame":
        """The answer of a report, its parameters given by name. Raises NotFoundError, ConfigError."""
        import reports

        return _frame(reports.load(name).run(self._connection, params, where=where, limit=limit))

    def sql(self, query: str) -> "pl.DataFrame":
        """The answer of one SELECT over the views of the snapshot. Raises ConfigError for anything else."""
        return _frame(asking.relation(self._connection, query))

    def explain(self, path: str) -> "list[Explanation]":
        """Every file at a path, or at VOLUME:PATH, each with its copies and controls. Raises NotFoundError."""
        return asking.explain(self._connection, path)

    def simulate(self, lose: str | Sequence[str] = (), threat: str | None = None, mounted: Sequence[str] = ()) -> "Simulation":
        """What a loss would leave, as `lose="site=paris"`. Raises ConfigError, NotFoundError."""
        from reports import simulate

        loss = simulate.parse([lose] if isinstance(lose, str) else lose, threat, mounted)
        return simulate.simulate(self._connection, self.snapshot.config, loss)

    def single_losses(self, mounted: Sequence[str] = ()) -> "pl.DataFrame":
        """One row each site, system, device, admin, volume and threat: what its loss alone would take, the worst first. Raises NotFoundError."""
        import polars as pl

        from reports import single_losses

        frame: pl.DataFrame = pl.DataFrame(single_losses.ranked(self._connection, self.snapshot.config, mounted))
        return frame

    def snapshots(self) -> list[snapshot.Snapshot]:
        """Every published snapshot, oldest first."""
        return snapshot.snapshots(self.root)

    def close(self) -> None:
        """Let go of the connection; the next question opens another."""
        opened = self.__dict__.pop("_connection", None)
        if opened is not None:
            opened.close()

    @cached_property
    def _connection(self) -> "DuckDBPyConnection":
        return asking.opened(self.root, self.snapshot)


def open_catalog(path: str | Path, wanted: str | None = None) -> Catalog:
    """A catalog from its folder or from a configuration file. Raises ConfigError, NotFoundError."""
    given = Path(path)
    return Catalog(given if given.is_dir() else settings.root_of(config.load(given.absolute())), wanted)


def _frame(relation: "DuckDBPyRelation") -> "pl.DataFrame":
    import polars as pl

    found: Any = pl.from_arrow(relation.to_arrow_table())
    frame: pl.DataFrame = found
    return frame
