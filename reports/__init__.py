"""Questions over a snapshot: one .sql file a question, and what renders the answers."""

import datetime
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import extensions
from catalog.errors import CatalogError, ConfigError, NotFoundError

if TYPE_CHECKING:
    import duckdb

Value = str | int | float
_INT64_MAX = 2**63 - 1
_COMMENT = re.compile(r"\A/\*(.*?)\*/\s*", re.DOTALL)


@dataclass(frozen=True)
class Parameter:
    """A value that a report asks for; its type is that of the default. `choices` is empty where any value will do, `least` None where any number will.

    Where it `names_a_volume`, every value but the default must be the name of one; where it is `a_day`, '' or a day as 2026-10-31.
    """

    name: str
    default: Value
    help: str
    choices: tuple[Value, ...] = ()
    least: int | None = None
    names_a_volume: bool = False
    a_day: bool = False

    def parse(self, given: object) -> Value:
        """A value as the report needs it, from text or from Python. Raises ConfigError that says what is accepted."""
        try:
            value = self._converted(given)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"parameter {self.name}: {given!r} is not {_ARTICLES[type(self.default)]}; {self.help}") from error
        if self.least is not None and not isinstance(value, str) and value < self.least:
            raise ConfigError(f"parameter {self.name}: {given!r} is less than {self.least}; {self.help}")
        if self.a_day and value and not _is_a_day(str(value)):
            raise ConfigError(f"parameter {self.name}: {given!r} is no day, as 2026-10-31; {self.help}")
        if self.choices and value not in self.choices:
            raise ConfigError(f"parameter {self.name}: {given!r} is not one of {', '.join(map(str, self.choices))}")
        return value

    def _converted(self, given: object) -> Value:
        if isinstance(self.default, int):
            return int(str(given))
        return float(str(given)) if isinstance(self.default, float) else str(given)


def _is_a_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


_ARTICLES = {int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Column:
    """A column of a report's answer. `unit` is '' where the value is a word."""

    name: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class Report:
    """A question: what its file's header says of it, and its SQL, header and all. `table` names the columns that a table for people shows."""

    name: str
    title: str
    question: str
    params: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    table: tuple[str, ...]
    sql: str
    path: Path

    @property
    def compares(self) -> bool:
        """Whether the answer depends on an earlier snapshot, too."""
        return "files_before" in self.sql

    def values(self, given: Mapping[str, object]) -> dict[str, Value]:
        """A value for every parameter: given, else its default; '-' and '_' in names are one. Raises ConfigError for an unknown one."""
        named = {name.replace("-", "_"): value for name, value in given.items() if value is not None}
        known = {parameter.name: parameter for parameter in self.params}
        for name in named:
            if name not in known:
                raise ConfigError(f"report {self.name}: there is no parameter {name!r}; parameters are {', '.join(known) or 'none'}")
        return {name: parameter.parse(named.get(name, parameter.default)) for name, parameter in known.items()}

    def run(
        self, connection: "duckdb.DuckDBPyConnection", params: Mapping[str, object] | None = None, where: str | None = None, limit: int | None = None
    ) -> "duckdb.DuckDBPyRelation":
        """The answer as a relation that is computed when it is read, in the report's order.

        `where` is a condition over the report's columns, `limit` the most rows to give. Raises ConfigError for a wrong parameter or condition,
        NotFoundError for a volume that there is none of, CatalogError where the snapshot cannot answer (as `changes` without an earlier one).
        """
        import duckdb

        text, values = self.query(connection, params, where, limit)
        try:
            answer = connection.sql(text, params=values)
        except duckdb.CatalogException as error:
            raise self._unanswered(error) from error
        assert answer is not None  # noqa: S101  # sql() gives None only for statements that return nothing
        return answer

    def query(
        self, connection: "duckdb.DuckDBPyConnection", params: Mapping[str, object] | None = None, where: str | None = None, limit: int | None = None
    ) -> tuple[str, dict[str, Value]]:
        """The SQL that `run` runs, over the connection's views, and the values of its parameters; nothing is computed. Raises as `run`."""
        import duckdb

        values = self.values(params or {})
        self._check_volumes(connection, values)
        body, order = self._parts()
        try:
            found = connection.sql(body, params=values)
        except duckdb.CatalogException as error:
            raise self._unanswered(error) from error
        assert found is not None  # noqa: S101  # as above
        kinds = {name: str(kind) for name, kind in zip(found.columns, found.types, strict=True)}
        return self._wrapped(body, order, kinds, where, limit), values

    def _unanswered(self, error: Exception) -> CatalogError:
        return CatalogError(f"report {self.name}: this snapshot cannot answer it: {str(error).splitlines()[0]}")

    def _check_volumes(self, connection: "duckdb.DuckDBPyConnection", values: Mapping[str, Value]) -> None:
        named = {values[parameter.name] for parameter in self.params if parameter.names_a_volume and values[parameter.name] != parameter.default}
        known = [volume for (volume,) in connection.execute("SELECT volume FROM volumes ORDER BY position").fetchall()] if named else []
        for volume in named - set(known):
            raise NotFoundError(f"report {self.name}: there is no volume {volume!r}; volumes are {', '.join(known)}")

    def _parts(self) -> tuple[str, str]:
        # The last ORDER BY at the margin is the report's own (tests prove it): it moves outside of the condition.
        body, _, order = self.sql.rstrip().rpartition("\nORDER BY")
        return body, order

    def _wrapped(self, body: str, order: str, kinds: Mapping[str, str], where: str | None, limit: int | None) -> str:
        from catalog import predicate

        shown = ",\n    ".join(_output(name, kind) for name, kind in kinds.items())
        condition = f"\nWHERE {predicate.check(where, {n: _output_kind(k) for n, k in kinds.items()}, f'report {self.name}, where')}" if where else ""
        most = f"\nLIMIT {int(limit)}" if limit is not None else ""
        return f"SELECT\n    {shown}\nFROM (\n{body}\n) AS report{condition}\nORDER BY{order}{most}"


def names() -> list[str]:
    """The names of all reports, with '-', sorted; no report is read."""
    return extensions.names("reports", ".sql")


def load(name: str) -> Report:
    """The report of that name ('_' and '-' are one). Raises NotFoundError that lists the known ones."""
    file = extensions.path("reports", name.replace("_", "-"), ".sql")
    return read(file)


def read(file: Path) -> Report:
    """The report in a file. Raises ConfigError where its header is not as it must be."""
    text = file.read_text("utf-8")
    found = _COMMENT.match(text)
    if not found:
        raise ConfigError(f"{file}: a report begins with its header, TOML in a SQL comment")
    try:
        header = tomllib.loads(found[1])
        params = tuple(_parameter(name, fields) for name, fields in header.get("params", {}).items())
        columns = tuple(_column(name, fields) for name, fields in header["columns"].items())
        table = tuple(header.get("table", header["columns"]))
        return Report(file.stem.replace("_", "-"), header["title"], header["question"], params, columns, table, text, file)
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: the header is wrong: {error}") from error


def _parameter(name: str, fields: Mapping[str, Any]) -> Parameter:
    flags = {flag: fields.get(flag, False) for flag in ("names_a_volume", "a_day")}
    return Parameter(name, fields["default"], fields["help"], tuple(fields.get("choices", ())), fields.get("least"), **flags)


def _column(name: str, fields: str | Mapping[str, str]) -> Column:
    return Column(name, fields) if isinstance(fields, str) else Column(name, fields["meaning"], fields["unit"])


def _output(name: str, kind: str) -> str:
    if kind == "HUGEINT":  # sums; beyond 8 EiB the greatest number that a column of integers holds
        return f'CAST(CASE WHEN "{name}" > {_INT64_MAX} THEN {_INT64_MAX} ELSE "{name}" END AS BIGINT) AS "{name}"'
    return f'"{name}"'


def _output_kind(kind: str) -> str:
    return "BIGINT" if kind == "HUGEINT" else kind
