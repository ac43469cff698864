"""What policies select, which select nothing, and what none covers."""

from pathlib import Path

import pytest

from tests.lifecycle.grounds import Grounds

POLICIES = """
[classes.contracts]
select = "path LIKE 'contracts/%'"

[policies.keep]
data_class = "contracts"
action = "copy"
to = "vault"

[policies.nothing]
report = "largest"
where = "size_bytes > 1000000000"
action = "archive"
to = "vault"

[policies.broken]
report = "largest"
where = "no_such_column = 1"
action = "archive"
to = "vault"

[policies.empty]
action = "purge"
"""


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    made = Grounds(tmp_path, POLICIES)
    for name in ("contracts/one", "contracts/two", "other"):
        made.write("data", name, name.encode())
    made.write("mirror", "contracts/one", b"contracts/one")
    return made.scanned()


def test_the_check_says_what_each_policy_selects_and_what_none_covers(grounds: Grounds) -> None:
    ended = grounds.ask("policy", "check", "--format", "json", code=2)
    selected = {one["policy"]: one for one in ended.data["policies"]}
    assert (selected["keep"]["files"], selected["keep"]["bytes"]) == (2, 26)
    assert (selected["nothing"]["files"], selected["nothing"]["problem"]) == (0, None)
    assert "no_such_column" in selected["broken"]["problem"]
    assert selected["empty"]["files"] == 0
    assert [(one["data_class"], one["volume"], one["files"], one["bytes"]) for one in ended.data["uncovered"]] == [
        ("contracts", "mirror", 1, 13),
        ("default", "data", 1, 5),
    ]
    assert "policy nothing selects nothing" in ended.err


def test_the_check_is_a_table_of_one_shape(grounds: Grounds) -> None:
    lines = grounds.ask("policy", "check", "--format", "csv", code=2).out.decode().splitlines()
    assert lines[0] == '"by","action","data_class","volume","files","bytes","problem"'
    assert lines[1].startswith('"policy keep","copy"')
    assert '"no policy",,"default","data",1,5,' in lines


def test_a_class_is_taken_with_a_condition(grounds: Grounds) -> None:
    made = grounds.prepared("vault").plan("copy", data_class="contracts", to="vault", where="path <> 'contracts/two'")
    assert made.header.totals["steps"] == 1


def test_the_policies_are_listed(grounds: Grounds) -> None:
    rows = grounds.ask("policy", "list", "--format", "json").data
    assert [(row["policy"], row["action"], row["takes"], row["to"]) for row in rows[:2]] == [
        ("keep", "copy", "class contracts", "vault"),
        ("nothing", "archive", "largest", "vault"),
    ]


def test_a_policy_that_is_not_there_is_told_with_those_that_are(grounds: Grounds) -> None:
    assert "keep, nothing" in grounds.ask("plan", "create", "keeep", code=6).err


def test_a_policy_takes_a_report_or_a_class_and_not_both(grounds: Grounds) -> None:
    grounds.configure(POLICIES.replace('data_class = "contracts"', 'data_class = "contracts"\nreport = "largest"'))
    assert "not both" in grounds.ask("policy", "list", code=2).err
