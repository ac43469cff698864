"""What holds for every report: its header is its SQL, its order is full, and other engines could run it."""

import duckdb
import pytest
import sqlglot
from sqlglot import exp

import reports
from catalog import far_views, portable
from catalog.errors import ConfigError, NotFoundError
from tests.reports.conftest import Estate

NAMES = reports.names()
PROMISED = {
    "coverage": "by name threat assets bytes covered_assets covered_bytes unknown_assets unknown_bytes covered_pct covered_bytes_pct",
    "assets": "volume path size_bytes counted_bytes data_class owner status user_error ransomware system_failure facility_outage reasons copies systems sites "
    "offline_or_immutable_copies newest_copy_at verification_level verified_at",
    "duplicates": "digest size_bytes members reclaimable_bytes volume path link_count modified_at accessed_at",
    "dormant-copies": "volume path size_bytes dormant_days clock last_active_at role other_copies is_last_copy status cost_per_month",
    "problems": "volume scan_id path stage error errno",
    "volumes": "volume kind role state scanned_at entries bytes problems",
}
PROMISED["unprotected"] = PROMISED["assets"]
FIRST_SET = (
    "coverage assets unprotected dormant-copies duplicates ageing largest types owners growth changes labels problems volumes fixity costs folders exceptions"
)
VIEWS = {
    "entries",
    "digests",
    "files",
    "assets",
    "copies",
    "duplicate_groups",
    "duplicates_by_scope",
    "rollup",
    "history",
    "problems",
    "volumes",
    "classes",
    "snapshot",
    "files_before",
    "exceptions",
    "controls",
    "excepted",
    "mappings",
    "omissions",
    "preservation",
    "orphans",
    "elsewhere",
    "scans",
    "snapshot_before",
    "recovery_points",
    "verifications",
}
_FUNCTIONS = (
    "hash now today list_slice list_sum list_filter list_transform quantile_cont quantile_disc approx_quantile to_days epoch epoch_ms epoch_us age isodow "
    "time_bucket histogram format_bytes parse_dirname strlen median mode random uuid generate_series range glob datesub date_sub columns struct_pack "
    "arg_min arg_max first last any_value read_parquet"
)
REFUSED_FUNCTIONS = set(_FUNCTIONS.split())
_NODES = (
    "Glob SimilarTo Slice Bracket Lambda Pivot Star Qualify CurrentTimestamp CurrentDate PercentileCont PercentileDisc ArrayAgg Anonymous Unnest Lateral "
    "AnyValue First Last Quantile Rand TimestampDiff ILike ApproxDistinct"
)
REFUSED_NODES = tuple(getattr(exp, name) for name in _NODES.split())


def tree_of(name: str) -> exp.Select:
    tree = sqlglot.parse_one(reports.load(name).sql, dialect="duckdb")
    assert isinstance(tree, exp.Select)
    return tree


def test_the_first_set_is_there() -> None:
    assert set(FIRST_SET.split()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_header_names_exactly_the_parameters_and_columns_of_the_sql(name: str, estate: Estate) -> None:
    report = reports.load(name)
    statements = duckdb.extract_statements(report.sql)
    assert len(statements) == 1
    assert statements[0].type == duckdb.StatementType.SELECT
    assert statements[0].named_parameters == {parameter.name for parameter in report.params}
    relation = report.run(estate())
    assert relation.columns == [column.name for column in report.columns]
    assert relation.to_arrow_table().num_rows >= 0


@pytest.mark.parametrize("name", NAMES)
def test_every_choice_of_every_parameter_runs(name: str, estate: Estate) -> None:
    report, connection = reports.load(name), estate()
    for parameter in report.params:
        for choice in parameter.choices or (parameter.default,):
            assert report.run(connection, {parameter.name: choice}, limit=1).to_arrow_table().num_columns == len(report.columns)


@pytest.mark.parametrize("name", PROMISED)
def test_the_columns_that_scripts_rely_on_come_first_and_in_their_order(name: str) -> None:
    promised = PROMISED[name].split()
    assert [column.name for column in reports.load(name).columns][: len(promised)] == promised


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_asks_and_what_each_column_means(name: str) -> None:
    report = reports.load(name)
    assert report.title
    assert report.question.endswith("?")
    assert all(column.meaning for column in report.columns)
    assert set(report.table) <= {column.name for column in report.columns}
    assert all(parameter.help for parameter in report.params)
    for column in report.columns:
        ending = column.name.rsplit("_", 1)[-1]
        wanted = {"bytes": "bytes", "at": "UTC", "days": "days", "pct": "%"}.get(ending)
        assert wanted in (None, column.unit), column.name


@pytest.mark.parametrize("name", NAMES)
def test_its_order_is_full_and_written_where_it_is_looked_for(name: str) -> None:
    report, tree = reports.load(name), tree_of(name)
    outer = report.sql.rstrip().rpartition("\nORDER BY")[2]
    assert tree.args["order"].sql("duckdb") == sqlglot.parse_one(f"SELECT 1 ORDER BY{outer}", dialect="duckdb").args["order"].sql("duckdb")
    columns = {column.name for column in report.columns}
    used = {column.name for column in tree.args["order"].find_all(exp.Column)}
    assert used <= columns
    assert all(ordered.args.get("desc") is not None for ordered in tree.args["order"].expressions)
    rows = {"path"} if "path" in columns else {"volume", "name", "owner", "folder", "type", "status", "condition", "position"} & columns
    assert rows & used


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_views_only(name: str) -> None:
    tree = tree_of(name)
    ours = {cte.alias for cte in tree.find_all(exp.CTE)}
    assert {table.name for table in tree.find_all(exp.Table)} <= {*VIEWS, *ours}


@pytest.mark.parametrize("name", NAMES)
def test_it_stays_in_the_subset_that_means_the_same_on_other_engines(name: str) -> None:
    tree = tree_of(name)
    for node in tree.walk():
        allowed_star = isinstance(node, exp.Star) and isinstance(node.parent, exp.Count)
        assert allowed_star or not isinstance(node, REFUSED_NODES), node.sql()
        if isinstance(node, exp.Func):
            assert node.sql_name().lower() not in REFUSED_FUNCTIONS, node.sql()
        if isinstance(node, exp.DateDiff):
            assert node.text("unit").lower() == "day", node.sql()
        if isinstance(node, exp.Cast):
            whole = node.to.is_type("int", "bigint", "smallint")
            assert not whole or isinstance(node.this, (exp.Column, exp.Floor)), f"a cast of a fraction rounds on one engine and cuts on another: {node.sql()}"
        if isinstance(node, exp.Interval):
            assert str(node.args["unit"]).upper() in ("DAY", "HOUR"), node.sql()
        if isinstance(node, exp.Group):
            assert not node.args.get("all"), "GROUP BY ALL"


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_written_for_spark(name: str) -> None:
    spark = tree_of(name).sql("spark", unsupported_level=sqlglot.ErrorLevel.RAISE)
    assert sqlglot.parse_one(spark, dialect="spark")


def test_an_unknown_report_is_not_found_and_the_known_ones_are_told() -> None:
    with pytest.raises(NotFoundError, match=r"there is no report 'cover'; known are ageing, assets, changes"):
        reports.load("cover")


def test_names_may_be_written_with_either_dash() -> None:
    assert reports.load("dormant_copies") == reports.load("dormant-copies")


def test_a_wrong_parameter_is_refused_with_what_is_accepted(estate: Estate) -> None:
    connection = estate()
    with pytest.raises(ConfigError, match="'soon' is not a whole number; days without use"):
        reports.load("dormant-copies").run(connection, {"days": "soon"})
    with pytest.raises(ConfigError, match="'site' is not one of class, volume, owner, folder"):
        reports.load("coverage").run(connection, {"by": "site"})
    with pytest.raises(ConfigError, match="there is no parameter 'day'; parameters are days"):
        reports.load("dormant-copies").run(connection, {"day": 3})


def test_a_condition_picks_rows_and_keeps_the_order_and_a_limit_comes_last(estate: Estate) -> None:
    connection = estate(files=[{"path": f"f{n}", "size_bytes": n} for n in range(10)])
    found = reports.load("largest").run(connection, where="size_bytes < 8 AND path <> 'f6'", limit=2)
    assert [row["path"] for row in found.to_arrow_table().to_pylist()] == ["f7", "f5"]


def test_a_condition_is_held_against_the_columns_of_the_report(estate: Estate) -> None:
    with pytest.raises(ConfigError, match="report largest, where: there is no column 'inode'; columns are volume, path"):
        reports.load("largest").run(estate(), where="inode = 3")


def test_a_sum_beyond_what_an_integer_holds_is_cut_and_blinds_no_report(estate: Estate) -> None:
    big = 2**63 - 1
    connection = estate(files=[{"path": "a", "size_bytes": big}, {"path": "b", "size_bytes": big}])
    rows = reports.load("coverage").run(connection).to_arrow_table().to_pylist()
    assert {row["bytes"] for row in rows} == {big}


@pytest.mark.parametrize("names", [("assets", "unprotected"), ("owners", "types")], ids="-".join)
def test_reports_that_say_the_same_say_it_in_the_same_columns_and_words(names: tuple[str, str]) -> None:
    one, two = ({column.name: column for column in reports.load(name).columns} for name in names)
    assert [one[name] for name in one if name in two] == [two[name] for name in two if name in one]
    assert len(one.keys() & two.keys()) >= len(one) - 2


@pytest.mark.parametrize("name", NAMES)
def test_it_stays_in_the_subset_that_a_cluster_answers_equally(name: str, estate: Estate) -> None:
    report, connection = reports.load(name), estate()
    for parameter in report.params or (None,):
        for choice in (parameter.choices or (parameter.default,)) if parameter else (None,):
            text, values = report.query(connection, {parameter.name: choice} if parameter else {})
            assert portable.to_spark(sqlglot.parse_one(text, dialect="duckdb"), far_views.schema_of(connection), values, name).startswith(("SELECT", "WITH"))
