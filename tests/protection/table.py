"""The truth table: `truth_table.csv` read into tiny estates and what must be found of their one asset.

Times are relative to the as-of time. Volume `a` holds the asset `docs/a.txt`: 1000 bytes, changed 100 days ago, seen by a scan
a day ago, read ten days ago; primary, system s1, site p1, region r1, admin m1, device d1, a disk that is online and not immutable.
Volumes `b` and `c` are backups that keep versions for 60 days, with numbers 2 and 3, scanned half a day ago. A cell says what differs:

* volume: a role; `s1 p1 m1 d1` domains, `s?` undeclared, `detect=d1`; `media=tape`, `offline`, `nearline`, `access=?`; `keeps=0`, `keeps=?`;
  `lock=compliance`, `lock=?`, `until=+60d`; `of=a`, `of=-` (nobody); `on=a`, `inside=a`, `key=a+c` (where its key is kept);
  `map=x>a:docs`, `exclude=docs/`;
* its scan: `points=-60d+-1d` (recovery points of all of it), `out=.txt/` or `out=/docs/` (what the newest left out: a text of a path, at its begin);
  `scan=-3d`, `never`, `failed`, `incomplete`, `problem=docs`, `denied=docs/a.txt` (its content could not be read at that time;
  `denied=docs/a.txt:11`: that of the version with this number);
* the asset: `unread`, `attested`, `sampled`, `rewritten` (read before its changed time changed), `empty`, `carried`, `modified=-2h`,
  `changed=-2h`, `flagged=modified`, `flagged=both`, `first=-2h` (an earlier scan had not seen it), `twin`, `link`,
  `stub=b` (it is a stub of 300 bytes that stands for the asset's content at the same path of b);
* the copy: `same` (content), `listed` (same size and time, not read), `sampled`, `sample-differs`, `attested`, `stale-digest`, `differs`,
  `touched`, `stored-later`, `stored-earlier` (both only listed),
  `older`, `older-listed`, `older-empty`, `older-attested`, `hardlink`, `stub-text` (what the stub is, in a file that is none),
  `none`; with `at=path`, `read=-100d`, `broken=-2d` (a reading failed then, for an earlier scan), `shows=b` (it is the very file that b shows),
  `point=-2h` (all these are versions in a backup, held by a recovery point of that time; `whole`: all of them is stored),
  `own=compliance:+60d` (its object says that it is locked so, until then; `governance:`, `hold`, `none`, `compliance:?` for no end),
  `beside=compliance:+60d` (another file there has the same content, and was read, or is `beside-attested`; it says that it is locked so),
  `stored` (its time is that when its storage got it), `deleted` (all these are versions in a bucket, which shows none; `outdated`: and an older one,
  with number 19), `replaced` (which shows another),
  `looked=-2d`, `wholly=-2d` (a program looked at all of the backup, or read it, and found no error), `wrong=-1d` (it found some),
  `thirds=-9d+-5d+-2d` (it read these parts of three), `restored=-2d`, `unrestored=-1d` (it gave the copy back, or failed to), `again=-3d` (we read the
  copy then), `numbered` (versions have numbers, of the place that was looked at, `elsewhere`: of another),
  `told=-400d` (somebody else's word of that time, in a listing of `listing=-2d`, else of that time), `worth=0` (its level), `sizeless` (without a size),
  `touched-since` (it then had another changed time), `written=-20h` (an older version), `carried`, `flagged=modified`, `stub=c` (the file is a stub);
* the class: `requires=ndsa-2` (`+` joins several), `copies=3`, `systems`, `sites`, `regions`, `admins`, `media`, `safe` (offline or immutable),
  `age`, `level`, `check` (verification age), `retention`, `accept`, `waive=ransomware`, `named=label` or `named=select`, `accepted=all` or
  `accepted=ransomware`, `until=+30d`.
"""

import csv
import datetime
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from catalog.config import parse
from tests.protection.plain import Check, Estate, File, Read, Scan, Stub

AS_OF = datetime.datetime(2026, 11, 23, 12)
ASSET = "docs/a.txt"
ROWS = Path(__file__).with_name("truth_table.csv")
THREATS = ("user_error", "ransomware", "system_failure", "facility_outage")
_ROLES = {"primary", "replica", "backup", "archive"}
_DOMAINS = {"s": "system", "p": "site", "r": "region", "m": "admin", "d": "device"}
_CLASS_KEYS = {
    "copies": "copies", "systems": "systems", "sites": "sites", "regions": "regions", "admins": "admins", "media": "media", "safe": "offline_or_immutable",
    "age": "max_copy_age", "level": "min_verification_level", "check": "max_verification_age", "retention": "retention",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One case: its estate and the findings, as the table says them."""

    case: str
    estate: Estate
    expected: dict[str, str]


def rows() -> list[Row]:
    """All rows of the table."""
    with ROWS.open(encoding="utf-8", newline="") as source:
        lines = list(csv.DictReader(source, skipinitialspace=True, strict=True))
    return [Row(line["case"], _estate(line), {key: line[key].strip() for key in FINDINGS}) for line in lines]


FINDINGS = ("status", *THREATS, "freshness", "counts", "level", "not_met", "unknown")


def content(of: str) -> bytes:
    """The digest of a content that is named by a word."""
    return hashlib.sha256(of.encode()).digest()


def moment(relative: str) -> datetime.datetime:
    """The time that lies so far from the as-of time: '-2h', '+60d'."""
    count, unit = int(relative[:-1]), relative[-1]
    return AS_OF + count * {"h": datetime.timedelta(hours=1), "d": datetime.timedelta(days=1)}[unit]


class _Words:
    """The words of a cell: bare ones, and `key=value` ones."""

    def __init__(self, cell: str) -> None:
        words = cell.split()
        self.bare = {word for word in words if "=" not in word}
        self.valued = dict(word.split("=", 1) for word in words if "=" in word)

    def __contains__(self, word: str) -> bool:
        return word in self.bare

    def get(self, key: str, default: str) -> str:
        return self.valued.get(key, default)

    def time(self, key: str, default: str) -> datetime.datetime:
        return moment(self.valued.get(key, default))


def _estate(line: dict[str, str]) -> Estate:
    cells = {name: _Words(line[name]) for name in ("a", "b", "c") if line[name] or name == "a"}
    wanted = _Words(line["class"])
    data: dict[str, Any] = {"volumes": {name: _volume(name, words) for name, words in cells.items()}, **_classes(wanted)}
    asset, scans, reads = _asset(cells["a"])
    history = {"a": scans}
    for name, words in cells.items():
        if name != "a":
            history[name], more = _copy(name, words, asset)
            reads += more
    return Estate(parse(data), AS_OF, history, tuple(reads), tuple(check for name, words in cells.items() for check in _checks(name, words, history)))


def _checks(name: str, words: _Words, history: dict[str, tuple[Scan, ...]]) -> list[Check]:
    """What programs said of a backup."""
    place = f"fs-{name}" if "numbered" in words else None
    whole = [(key, level) for key, level in (("looked", 1), ("wholly", 2), ("wrong", 2)) if key in words.valued]
    found = [Check(name, words.time(key, ""), level, key != "wrong", fs=place) for key, level in whole]
    parts = words.get("thirds", "").split("+") if "thirds" in words.valued else []
    found += [Check(name, moment(time), 2, part=part, parts=3, fs=place) for part, time in enumerate(parts, 1)]
    copies = [file for scan in history[name][-1:] for file in scan.files if file.path == words.get("at", ASSET)]
    for key in ("restored", "unrestored"):
        found += [Check(name, words.time(key, ""), 4, key == "restored", file=file) for file in copies if key in words.valued]
    return found


def _volume(name: str, words: _Words) -> dict[str, Any]:
    number = {"a": "1", "b": "2", "c": "3"}[name]
    found: dict[str, Any] = {"url": f"/{words.get('inside', 'volumes')}/{name}" if "inside" in words.valued else f"/{name}", "access": "online"}
    found |= {"role": "primary" if name == "a" else "backup", "immutability": "none", "media": "disk"}
    found |= {"keeps_versions": "60d"} if name != "a" else {}
    found |= {domain: f"{letter}{number}" for letter, domain in _DOMAINS.items()}
    for word in words.bare:
        domain = re.fullmatch(r"([sprmd])(\d|\?)", word)
        if domain:
            found[_DOMAINS[domain[1]]] = word
        elif word in _ROLES:
            found["role"] = word
        elif word in ("offline", "nearline"):
            found["access"] = word
    for key, setting in (("keeps", "keeps_versions"), ("lock", "immutability"), ("access", "access"), ("media", "media"), ("on", "on")):
        if key in words.valued:
            found[setting] = words.valued[key] + ("s" if words.valued[key] == "0" else "")
    if "until" in words.valued:
        found["immutable_until"] = moment(words.valued["until"]).date()
    if "of" in words.valued:
        found["of"] = [one for one in words.valued["of"].split("+") if one != "-"]
    if "key" in words.valued:
        found["key_on"] = words.valued["key"].split("+")
    if "exclude" in words.valued:
        found["exclude"] = [words.valued["exclude"]]
    if "map" in words.valued:
        found["path_map"] = dict([words.valued["map"].split(">", 1)])
    return {key: value for key, value in found.items() if not (isinstance(value, str) and value.endswith("?"))}


def _classes(words: _Words) -> dict[str, Any]:
    rule: dict[str, Any] = {
        _CLASS_KEYS[key]: value if key in ("age", "check", "retention") else int(value) for key, value in words.valued.items() if key in _CLASS_KEYS
    }
    rule |= {"requires": words.valued["requires"].split("+")} if "requires" in words.valued else {}
    rule |= {"accept_declared": True} if "accept" in words else {}
    rule |= {"waive": words.valued["waive"].split("+")} if "waive" in words.valued else {}
    data: dict[str, Any] = {"classes": {"default": rule}}
    if words.get("named", "") == "select":
        data["classes"] = {
            "elsewhere": {"select": "path LIKE 'x/%'", "copies": 9},
            "chosen": {"select": "path LIKE 'docs/%'", **rule},
            "default": {"copies": 9},
        }
    if words.get("named", "") == "label":
        data["classes"] = {"chosen": rule, "core": {"select": "path LIKE 'docs/%'", "copies": 9}, "default": {"copies": 9}}
        data["labels"] = [{"where": "path LIKE 'docs/%'", "owner": "legal"}, {"where": "path LIKE 'docs/%'", "data_class": "chosen"}]
    if "accepted" in words.valued:
        finding: dict[str, Any] = {"where": "path LIKE 'docs/%'", "reason": "known", "owner": "board", "until": words.time("until", "+30d").date()}
        named = words.valued["accepted"]
        data["exceptions"] = [finding if named == "all" else {**finding, "controls": named.split("+")}]
    return data


def _asset(words: _Words) -> tuple[File, tuple[Scan, ...], list[Read]]:
    modified = words.time("modified", "-100d") + datetime.timedelta(microseconds=345_678 if "fraction" in words else 0)
    size = 0 if "empty" in words else 1000
    asset = File(ASSET, size, modified, max(words.time("changed", "-100d"), modified), flags=_flags(words), fs="fs-a", inode=1, carried="carried" in words)
    reads: list[Read] = []
    if "attested" in words:
        asset = replace(asset, attested=content("asset"))
    elif "sampled" in words:
        reads.append(Read("a", asset, moment("-10d"), sample=content("sample")))
    elif "rewritten" in words:
        reads.append(Read("a", replace(asset, changed=moment("-101d")), moment("-10d"), content("asset"), content("sample")))
    elif "unread" not in words:
        reads.append(Read("a", asset, moment("-10d"), content("asset"), content("sample")))
    found = asset
    if "broken" in words.valued:
        reads.append(Read("a", asset, words.time("broken", "-2d")))
    if "stub" in words.valued:
        found = replace(asset, size=300, stub=_stub(words))
        reads = [Read("a", found, moment("-10d"), content("stub"))]
    others = [File("docs/other.txt", 5, moment("-200d"), moment("-200d"), fs="fs-a", inode=2)]
    if "twin" in words or "link" in words:
        twin = replace(asset, path="docs/twin.txt", inode=1 if "link" in words else 3)
        others.append(twin)
        reads.append(Read("a", twin, moment("-10d"), content("asset")))
    files = tuple(sorted([found, *others], key=lambda file: file.place))
    before = files if "first" not in words.valued else tuple(others)
    earlier = [Scan(moment("-40d"), files=tuple(replace(file, carried=False) for file in before))] if "first" in words.valued or "carried" in words else []
    return asset, (*earlier, _scan(words, files, words.get("first", "-1d"))), reads


def _stub(words: _Words) -> Stub | None:
    return Stub(words.valued["stub"], ASSET, content("asset"), 1000) if "stub" in words.valued else None


def _flags(words: _Words) -> int:
    return (
        {"modified": 1, "both": 17}.get(words.get("flagged", ""), 0)
        | (64 if "coarse" in words else 0)
        | (128 if "rounded" in words.valued else 0)
        | (256 if "stored" in words else 0)
    )


def _copy(name: str, words: _Words, asset: File) -> tuple[tuple[Scan, ...], list[Read]]:
    other = File("zz/other.txt", 7, moment("-300d"), moment("-300d"), fs=f"fs-{name}", inode=99)
    path = words.get("at", ASSET)
    file = replace(asset, path=path, changed=moment("-90d"), flags=_flags(words), fs=f"fs-{name}", inode=7, attested=None, carried="carried" in words)
    file = replace(file, fs=f"fs-{words.get('shows', name)}", stub=_stub(words), modified=None if "timeless" in words else file.modified)
    if "coarse" in words and file.modified:
        file = replace(file, modified=file.modified.replace(microsecond=0) + datetime.timedelta(seconds=1 if "late" in words else 0))
    if "rounded" in words.valued and file.modified:
        file = replace(file, modified=file.modified + datetime.timedelta(microseconds=int(words.valued["rounded"])))
    text = replace(file, size=300)
    old = replace(file, size=900, modified=None if "timeless" in words else words.time("written", "-400d"))
    blank = replace(old, size=0)
    same, read_at = content("asset"), words.time("read", "-5d")
    kinds: dict[str, tuple[File, list[Read]]] = {
        "same": (file, [Read(name, file, read_at, same, content("sample"))]),
        "listed": (file, []),
        "stored-later": (replace(file, modified=moment("-3d")), []),
        "stored-earlier": (replace(file, modified=moment("-200d")), []),
        "sampled": (file, [Read(name, file, read_at, sample=content("sample"))]),
        "sample-differs": (file, [Read(name, file, read_at, sample=content("other"))]),
        "attested": (replace(file, attested=same), []),
        "stale-digest": (file, [Read(name, replace(file, changed=moment("-95d")), read_at, same)]),
        "differs": (file, [Read(name, file, read_at, content("other"))]),
        "touched": (replace(file, modified=moment("-3d")), [Read(name, replace(file, modified=moment("-3d")), read_at, same)]),
        "older": (old, [Read(name, old, read_at, content("old"))]),
        "older-listed": (old, []),
        "older-empty": (blank, []),
        "older-attested": (replace(old, attested=content("old")), []),
        "stub-text": (text, [Read(name, text, read_at, content("stub"))]),
        "hardlink": (replace(file, fs=asset.fs, inode=asset.inode, changed=asset.changed), []),
    }
    found = [kinds[word] for word in words.bare if word in kinds]
    if "broken" in words.valued:
        tried = [replace(one, changed=moment("-96d")) if "touched-since" in words else one for one, _ in found]
        found += [(one, [Read(name, one, words.time("broken", "-2d"))]) for one in tried]
    if "told" in words.valued:  # nobody has looked: nothing has an inode, or was read
        said = [replace(one, fs=None, inode=None, changed=None, size=None if "sizeless" in words else one.size) for one, _ in found]
        found = [(replace(one, told=words.time("told", ""), told_level=int(words.get("worth", "1"))), []) for one in said]
    if "point" in words.valued:  # a backup: nothing of it has an inode, and several versions may lie at one path
        number = {"fs": "fs-elsewhere" if "elsewhere" in words else f"fs-{name}", "inode": 7} if "numbered" in words else {"fs": None, "inode": None}
        said = [replace(one, point=words.time("point", ""), whole="whole" in words, **number) for one, _ in found]
        again = [Read(name, one, words.time("again", ""), content("asset")) for one in said[:1] if "again" in words.valued]
        found = [(one, again if one is said[0] else []) for one in said]
        held = [(one.path, one.size, one.modified) for one, _ in found]
    elif {"deleted", "replaced"} & words.bare:  # a bucket that keeps versions: several may lie at one path
        found = [(replace(one, latest=False, inode=10 + place), []) for place, (one, _) in enumerate(found)]
        found = [(one, [Read(name, one, read_at, same)] if "same" in words else []) for one, _ in found]
        found += [(replace(old, latest=False, inode=19), [])] if "outdated" in words else []
        found += [(replace(text, size=5000, modified=moment("-1d"), latest=True), [])] if "replaced" in words else []
        held = [(one.path, one.size, one.modified) for one, _ in found]
    else:
        held = [(one.path, 0, None) for one, _ in found]
    found = [(_locked(one, words.get("own", "")), reads) for one, reads in found]
    if "beside" in words.valued:
        other_file = _locked(replace(file, path="docs/b.txt", inode=8), words.valued["beside"])
        read = Read(name, other_file, words.time("beside-read", "-6d"), same)
        found.append((replace(other_file, attested=same), []) if "beside-attested" in words else (other_file, [read]))
        held = [*held, (other_file.path, 0, None)]
    by_version = {("", 0, None): other} | dict(zip(reversed(held), (one for one, _ in reversed(found)), strict=True))
    files = tuple(sorted(by_version.values(), key=lambda entry: entry.place))
    if "never" in words:
        return (), []
    if "failed" in words:
        return (Scan(moment("-12h"), "failed"),), []
    earlier = [Scan(moment("-40d"), files=tuple(replace(one, carried=False) for one in files))] if "carried" in words else []
    return (*earlier, _scan(words, files, "-12h")), [read for _, reads in found for read in reads]


def _locked(file: File, said: str) -> File:
    """A file whose object says something of a lock: its mode, or `hold`, and when it ends."""
    mode, _, until = said.partition(":")
    if mode == "hold":
        return replace(file, held=True)
    return replace(file, lock=mode or None, locked_until=moment(until) if until.strip("?") else None)


def _scan(words: _Words, files: tuple[File, ...], default: str) -> Scan:
    carried = any(file.carried for file in files)
    problems = [words.valued["problem"]] if "problem" in words.valued else ["docs"] if carried else []
    denied, _, number = words.get("denied", "").partition(":")
    state = "incomplete" if problems or denied or "incomplete" in words else "complete"
    found = (*((path, True) for path in problems), *([(denied, False)] if denied and not number else []))
    broken = ((denied, int(number)),) if number else ()
    points = tuple(moment(one) for one in words.valued["points"].split("+")) if "points" in words.valued else ()
    left_out = ((words.valued["out"].startswith("/docs"), words.valued["out"]),) if "out" in words.valued else ()
    told = words.time("listing", words.valued["told"]) if "told" in words.valued else None
    return Scan(words.time("scan", default), state, files, found, words.valued.get("detect"), points=points, left_out=left_out, told=told, broken=broken)
