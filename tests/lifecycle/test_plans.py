"""Plans over real folders: what they hold, that they are frozen, and who may agree to them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalog import names
from catalog.errors import ConfigError, NotFoundError, RefusedError
from lifecycle import plan
from lifecycle.manifest import REFUSALS, STEPS
from lifecycle.plan import Plan
from tests.lastcopy.conftest import HOSTILE
from tests.lastcopy.program import environment, run
from tests.lifecycle.grounds import DAY_US, Grounds, paths, refusals, steps


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Grounds:
    made = Grounds(tmp_path_factory.mktemp("grounds"))
    for name in ("a/one", "a/two", "b/three"):
        made.write("data", name, name.encode() * 100)
    made.write("far", "kept/one", b"a/one" * 100)
    return made.scanned().prepared("data", "vault")


@pytest.fixture
def grounds(scanned: Grounds) -> Grounds:
    """The same folders for all tests, which change nothing in them; plans are each test's own."""
    shutil.rmtree(scanned.root / "plans", ignore_errors=True)
    scanned.configure()
    scanned.now_us += 1_000_000
    return scanned


def test_a_step_says_all_that_the_catalog_knows_of_its_source_and_its_other_copies(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault", to_dir="safe/2026/", where="path = 'a/one'")
    [step] = steps(made)
    status = os.stat(grounds.at("data", "a/one"))
    assert (step.volume, step.path, step.target_volume, step.target_path) == ("data", b"a/one", "vault", b"safe/2026/a/one")
    assert (step.fingerprint.inode, step.fingerprint.modified_ns, step.fingerprint.changed_ns) == (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    assert step.sha256 is not None
    assert [(copy.volume, copy.path) for copy in step.evidence] == [("far", b"kept/one")]
    assert step.evidence[0].fingerprint.inode == os.stat(grounds.at("far", "kept/one")).st_ino
    assert step.evidence[0].verified_us is not None
    assert step.reason.startswith("assets: ")


def test_the_files_of_a_plan_have_the_columns_of_the_contract(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault")
    assert pq.read_schema(made.folder / "steps.parquet").equals(STEPS)
    assert pq.read_schema(made.folder / "refusals.parquet").equals(REFUSALS)
    assert [step.step for step in steps(made)] == [1, 2, 3]
    assert [step.step for batch in made.steps(first=2) for step in batch] == [2, 3]


def test_a_plan_is_read_again_as_it_was_made(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault", with_effect=True)
    assert plan.load(grounds.root, made.id) == made
    assert [one.id for one in plan.plans(grounds.root)] == [made.id]
    assert not list((grounds.root / "plans").glob(".*"))


def test_the_same_plan_made_twice_at_the_same_time_is_one_plan(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault")
    assert grounds.plan("copy", to="vault") == made
    assert [path.name for path in (grounds.root / "plans").iterdir()] == [made.id]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("file", ["steps.parquet", "refusals.parquet", "plan.json"])
def test_a_plan_that_was_altered_is_refused(grounds: Grounds, file: str) -> None:
    made = grounds.plan("copy", to="vault")
    _flip(made.folder / file)
    with pytest.raises(RefusedError, match=made.id):
        plan.load(grounds.root, made.id)
    assert grounds.ask("plan", "show", made.id, code=5)
    assert grounds.ask("plan", "approve", made.id, code=5)


def test_a_plan_whose_header_says_something_else_is_refused_even_if_it_says_it_well(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault")
    header = json.loads((made.folder / "plan.json").read_bytes())
    header["policy"]["needs_approval"] = False
    (made.folder / "plan.json").write_text(json.dumps(header))
    with pytest.raises(RefusedError, match="altered"):
        plan.load(grounds.root, made.id)


def test_a_plan_under_another_name_is_refused(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault")
    shutil.copytree(made.folder, made.folder.with_name("pother"))
    with pytest.raises(RefusedError, match="altered"):
        plan.load(grounds.root, "pother")
    with pytest.raises(NotFoundError, match=made.id):
        plan.load(grounds.root, "../catalog")


@pytest.mark.slow
def test_hostile_names_survive_in_a_plan_and_are_escaped_in_every_output(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    for number, name in enumerate(HOSTILE):
        grounds.write("data", b"dir/" + name, b"%d" % number)
    grounds.scanned().prepared("vault")
    made = grounds.plan("copy", to="vault")
    assert sorted(paths(made)) == sorted(b"dir/" + name for name in HOSTILE)
    assert all(step.target_path == step.path for step in steps(made))
    for form in ("table", "csv", "json", "jsonl", "md"):
        for listing in ((), ("--steps",), ("--refusals",)):
            out = grounds.ask("plan", "show", made.id, *listing, "--format", form).out.decode()
            assert not any(letter < " " and letter != "\n" for letter in out)
            assert not any(letter in out for letter in "\u202e\u2066\u2028\u200b\u009b\x7f")
    listed = grounds.ask("plan", "show", made.id, "--steps", "--format", "jsonl").out.decode().splitlines()
    assert sorted(names.unescape(json.loads(line)["path"]) for line in listed) == sorted(paths(made))


def _approved(grounds: Grounds, made: Plan) -> plan.Ranges:
    with grounds.journal() as journal:
        return made.approved(journal)


def test_nothing_is_approved_until_somebody_says_so(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault")
    assert _approved(grounds, made) == ()
    with grounds.journal() as journal:
        assert made.state(journal, grounds.now_us) == "waiting"
        plan.approve(made, journal, actor="eve", at_us=grounds.now_us, steps=((3, 3), (1, 1)))
        assert made.approved(journal) == ((1, 1), (3, 3))
        assert made.state(journal, grounds.now_us) == "partly approved"
        plan.approve(made, journal, actor="eve", at_us=grounds.now_us)
        assert made.approved(journal) == ((1, 3),)
        assert made.state(journal, grounds.now_us) == "approved"


def test_a_policy_that_needs_no_approval_has_all_its_steps_approved(grounds: Grounds) -> None:
    assert _approved(grounds, grounds.plan("copy", to="vault", needs_approval=False)) == ((1, 3),)


def test_two_persons_are_two_persons(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault", two_persons=True)
    with grounds.journal() as journal:
        with pytest.raises(RefusedError, match="somebody else"):
            plan.approve(made, journal, actor="ada", at_us=grounds.now_us)
        journal.approve(made.id, made.hash, "ada", grounds.now_us, None)  # by another way: it does not count
        assert made.approved(journal) == ()
        plan.approve(made, journal, actor="eve", at_us=grounds.now_us)
        assert made.approved(journal) == ((1, 3),)


def test_an_approval_of_another_hash_counts_for_nothing(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault")
    with grounds.journal() as journal:
        journal.approve(made.id, "0" * 64, "eve", grounds.now_us, None)
        assert made.approved(journal) == ()


def test_an_expired_or_cancelled_plan_is_not_approved(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault", expires="1d")
    with grounds.journal() as journal:
        with pytest.raises(RefusedError, match="expired"):
            plan.approve(made, journal, actor="eve", at_us=grounds.now_us + DAY_US)
        assert made.state(journal, grounds.now_us + DAY_US) == "expired"
        plan.cancel(made, journal, actor="eve", at_us=grounds.now_us, why="no")
        with pytest.raises(RefusedError, match="cancelled"):
            plan.approve(made, journal, actor="eve", at_us=grounds.now_us)
        assert made.state(journal, grounds.now_us) == "cancelled"


def test_steps_are_approved_by_a_condition(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault")
    assert plan.where(made, "path LIKE 'a/%'") == ((1, 2),)
    assert plan.where(made, "path <> 'a/two'") == ((1, 1), (3, 3))
    with pytest.raises(ConfigError, match="IN takes a list"):
        plan.where(made, "path IN (SELECT path FROM read_text('/etc/passwd'))")
    with grounds.journal() as journal, pytest.raises(RefusedError, match="1 to 3"):
        plan.approve(made, journal, actor="eve", at_us=grounds.now_us, steps=((1, 4),))


def test_the_command_line_plans_shows_approves_and_cancels(grounds: Grounds) -> None:
    grounds.configure('[policies.keep]\nreport = "assets"\naction = "copy"\nto = "vault"\nquiet = "0s"\n')
    made = grounds.ask("plan", "create", "keep", "--format", "json").data
    assert (made["state"], made["totals"]["steps"], made["policy_name"]) == ("waiting", 3, "keep")
    plan_id = made["id"]
    assert [row["id"] for row in grounds.ask("plan", "list", "--format", "json").data] == [plan_id]
    assert b"takes 3 files" in grounds.ask("plan", "show", plan_id).out
    assert grounds.ask("plan", "show", plan_id, "--format", "csv").out.splitlines()[0] == b'"what","files","bytes","meaning"'
    assert grounds.ask("plan", "approve", plan_id, "--steps", "1,3", "--format", "json").data["approved_steps"] == "1,3"
    assert grounds.ask("plan", "approve", plan_id, "--where", "path = 'a/two'", "--format", "json").data["approved_steps"] == "1-3"
    assert grounds.ask("plan", "cancel", plan_id, "--reason", "later").code == 0
    assert grounds.ask("plan", "approve", plan_id, code=5)
    assert grounds.ask("plan", "show", "pnothing", code=6)


def test_the_command_line_plans_without_a_policy_and_says_what_is_wrong(grounds: Grounds) -> None:
    made = grounds.ask("plan", "create", "--action", "restore", "--to", "vault", "--where", "path LIKE 'a/%'", "--format", "json", "--no-effect").data
    assert (made["totals"]["steps"], made["policy"]["needs_approval"], made["effect"]) == (2, True, None)
    assert "--action" in grounds.ask("plan", "create", code=2).err
    assert "no volume 'nowhere'" in grounds.ask("plan", "create", "--action", "restore", "--to", "nowhere", code=2).err
    assert "needs 'to'" in grounds.ask("plan", "create", "--action", "copy", "--report", "assets", code=2).err
    assert "no files" in grounds.ask("plan", "create", "--action", "copy", "--report", "coverage", "--to", "vault", code=2).err
    assert "below the volume's root" in grounds.ask("plan", "create", "--action", "copy", "--report", "assets", "--to", "vault", "--to-dir", "../x", code=2).err
    assert "known are" in grounds.ask("plan", "create", "--action", "shred", "--report", "assets", code=6).err


def test_a_plan_of_nothing_but_refusals_ends_with_exit_5(grounds: Grounds) -> None:
    ended = grounds.ask("plan", "create", "--action", "copy", "--report", "assets", "--to", "vault", "--quiet-time", "9d", "--format", "json", code=5)
    assert ended.data["totals"]["refusals"]["too_young"]["files"] == 3
    assert grounds.ask("plan", "approve", ended.data["id"], code=5)


_CHANGES = (
    "mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,truncate,ftruncate,chmod,fchmod,fchmodat,chown,"
    "fchown,fchownat,lchown,utimensat,futimesat,setxattr,fsetxattr,lsetxattr,removexattr,fremovexattr,write,pwrite64,writev,pwritev,fallocate,"
    "copy_file_range,mknod,mknodat,open,openat,openat2,creat"
)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_planning_writes_to_no_volume(grounds: Grounds) -> None:
    trace = grounds.folder / "trace"
    command = [sys.executable, "-m", "lastcopy", "plan", "create", "--action", "archive", "--report", "assets", "--to", "vault", "--quiet-time", "0s"]
    subprocess.run(
        ["strace", "-f", "-y", "-s", "0", "-o", trace, "-e", f"trace={_CHANGES}", *command],
        cwd=grounds.folder,
        env=environment(grounds.folder),
        check=True,
        capture_output=True,
    )
    places = [str(grounds.folder / volume) for volume in ("data", "vault", "far", "mirror")]
    touched = [line for line in trace.read_text().splitlines() if any(place in line for place in places)]
    opened = [line for line in touched if " open" in line]
    assert opened
    assert [line for line in touched if line not in opened] == []
    assert [line for line in opened if "O_WRONLY" in line or "O_RDWR" in line or "O_CREAT" in line or "O_TRUNC" in line] == []


def test_a_killed_planning_leaves_no_plan_and_is_tidied_up_later(grounds: Grounds) -> None:
    left = grounds.root / "plans" / ".making-left"
    left.mkdir(parents=True)
    os.utime(left, (1_577_836_800, 1_577_836_800))
    assert plan.plans(grounds.root) == []
    grounds.plan("copy", to="vault")
    assert not left.exists()


def test_an_action_over_no_rows_makes_an_empty_plan(grounds: Grounds) -> None:
    made = grounds.plan("copy", to="vault", where="path = 'nothing'")
    assert (steps(made), refusals(made), made.header.totals["steps"]) == ([], {}, 0)
    assert run("plan", "show", made.id, folder=grounds.folder).code == 0


@pytest.mark.slow
def test_chunks_are_full_at_128_steps_and_never_part_the_names_of_one_file(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    for number in range(125):
        grounds.write("data", f"many/{number:04}", b"%d" % number)
    first = grounds.write("data", "many/link 0", b"linked")
    for number in range(1, 8):
        os.link(first, grounds.at("data", f"many/link {number}"))
    grounds.write("data", "many/names later", b"later")
    grounds.scanned().prepared("vault")
    made = steps(grounds.plan("copy", to="vault"))
    linked = [step for step in made if step.link_group is not None]
    assert len(linked) == 8
    assert len({(step.link_group, step.chunk) for step in linked}) == 1
    assert {step.chunk for step in made} == {1, 2}
    assert len([step for step in made if step.chunk == 1]) <= 128 + 8


@pytest.mark.slow
def test_only_some_names_of_one_file_are_not_approved(tmp_path: Path) -> None:
    grounds = Grounds(tmp_path)
    first = grounds.write("data", "a/first", b"linked")
    os.link(first, grounds.at("data", "second"))
    grounds.write("data", "b/alone", b"alone")
    made = grounds.scanned().prepared("data", "vault").plan("copy", to="vault")
    linked = [step.step for step in steps(made) if step.link_group is not None]
    [alone] = [step.step for step in steps(made) if step.link_group is None]
    with grounds.journal() as journal:
        with pytest.raises(RefusedError, match="names of one file"):
            plan.approve(made, journal, actor="eve", at_us=grounds.now_us, steps=((linked[0], linked[0]), (alone, alone)))
        assert made.approved(journal) == ()
        plan.approve(made, journal, actor="eve", at_us=grounds.now_us, steps=tuple((step, step) for step in linked))
        assert sum(last - first + 1 for first, last in made.approved(journal)) == 2
