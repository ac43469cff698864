"""How the derivation joins: as its steps are written, whatever the engine guesses of tables without statistics."""

from pathlib import Path

from catalog import config, derive


def test_a_join_holds_its_right_table_in_memory_also_where_that_is_guessed_to_be_larger(tmp_path: Path) -> None:
    connection = derive._open(tmp_path, config.parse({}))
    connection.execute("CREATE TEMP TABLE few AS SELECT range AS n FROM range(10)")
    connection.execute("CREATE TEMP TABLE many AS SELECT range AS n FROM range(100000)")
    for kind in ("INNER", "LEFT"):
        [(_, plan)] = connection.execute(f"EXPLAIN SELECT few.n, many.n FROM few {kind} JOIN many ON few.n = many.n").fetchall()
        left, right = (plan.index(f"main.{name}") for name in ("few", "many"))
        assert kind in plan
        assert left < right, plan
