"""What the configuration and the scans say, as small tables that the derivation joins: pure functions, no file is read."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pyarrow as pa

from catalog import domains, glob, recovery, verification
from catalog.config import Config, DataClass
from catalog.recovery import RecoveryPoint
from catalog.snapshot import ScanRow
from catalog.verification import Check
from catalog.words import REASONS, THREATS

DEFAULT_LEVEL = 1
CONTROLS = (
    *THREATS,
    "copies",
    "systems",
    "sites",
    "regions",
    "admins",
    "media",
    "offline_or_immutable",
    "max_copy_age",
    "min_verification_level",
    "max_verification_age",
    "retention",
)
_STATUSES = ("protected", "excepted", "unknown", "partly", "unprotected")  # from good to bad
_END_OF_TEXT = "\U0010ffff"

# state of a volume's evidence: (usable 0 no, 1 unknown, 2 yes; its reason). What a state means is said in evidence.sql and absences.sql.
_STATES = {
    0: (domains.NO, "never_copied"),
    1: (domains.YES, None),
    2: (domains.UNKNOWN, "scan_incomplete"),
    3: (domains.UNKNOWN, "metadata_match_only"),
    4: (domains.UNKNOWN, "never_verified"),
    5: (domains.UNKNOWN, "verification_too_old"),
    6: (domains.UNKNOWN, "volume_not_scanned"),
    7: (domains.UNKNOWN, "scan_incomplete"),
    8: (domains.NO, "conflict"),
    9: (domains.NO, "changed_since_copy"),
    10: (domains.UNKNOWN, "volume_not_scanned"),
    11: (domains.UNKNOWN, "scan_incomplete"),
    12: (domains.UNKNOWN, "path_not_mapped"),
    13: (domains.NO, "excluded_by_backup"),
    14: (domains.UNKNOWN, "metadata_match_only"),
}
_NEVER_SCANNED = 10
_CLOCKS_DIFFER = datetime.timedelta(hours=1)  # between the machine that read and the one that asks
_PER_WORD = 15  # states of four bits in a signed 64-bit word


@dataclass(frozen=True)
class Inputs:
    """All that a derivation depends on besides the rows of the catalog."""

    config: Config
    scans: Mapping[str, ScanRow]  # newest good scan of each volume
    first_scanned: Mapping[str, datetime.datetime]  # start of each volume's first good scan
    classes: Sequence[str]  # the number of a class is its place here; 'default' is among them
    as_of: datetime.datetime
    points: Mapping[str, Sequence[RecoveryPoint]] = field(default_factory=dict)  # of volumes that are backups
    checks: Mapping[str, Sequence[Check]] = field(default_factory=dict)  # runs of programs over their repositories


def tables(inputs: Inputs) -> dict[str, pa.Table]:
    """The small tables by name."""
    return {
        "volume_facts": _volumes(inputs),
        "mappings": _mappings(inputs),
        "class_facts": _classes(inputs),
        "class_controls": _class_controls(inputs),
        **_pairs(inputs),
        **_checks(inputs),
        "states": _rows([{"state": n, "usable": u, "reason_order": _order(reason)} for n, (u, reason) in _STATES.items()]),
        "reasons": _rows([{"reason": r, "reason_order": _order(r), "same_volume_order": _order("same_volume_only")} for r in REASONS]),
        "threats": _rows([{"threat": t} for t in THREATS]),
        "status_badness": _rows([{"status": status, "badness": badness} for badness, status in enumerate(_STATUSES)]),
    }


def prefix_end(prefix: str) -> str:
    """The least text that follows all texts beginning with a directory prefix ('' or with a trailing slash)."""
    return prefix[:-1] + "0" if prefix else _END_OF_TEXT


def control_bits(controls: Sequence[str] | None) -> int:
    """The bits of some controls; None = all."""
    return sum(1 << CONTROLS.index(control) for control in controls or CONTROLS)


def _volumes(inputs: Inputs) -> pa.Table:
    rows, doubled = [], _doubled(inputs)
    for v, (name, volume) in enumerate(inputs.config.volumes.items()):
        scan = inputs.scans.get(name)
        base = _base_words(inputs, name) if volume.role in ("primary", "archive") else [0] * 4
        rows.append(
            {
                "v": v,
                "volume": name,
                "role": volume.role,
                "scope": "primary" if volume.role == "primary" else name,
                "scope_no": -1 if volume.role == "primary" else v,
                "scan_id": scan.scan_id if scan else None,
                "scanned_at": scan.known_at if scan else None,
                "first_scanned_at": inputs.first_scanned.get(name),
                "clock": scan.clock if scan else None,
                "offline": volume.access == "offline",
                "doubled": name in doubled,
                "exclude_regex": f"^{glob.regex(list(volume.exclude))}$" if volume.exclude else None,
                **{f"base_{word}": base[word] for word in range(4)},
            }
        )
    return _rows(rows, {"v": pa.int32(), "scope_no": pa.int32(), "scanned_at": pa.timestamp("us"), "first_scanned_at": pa.timestamp("us")})


def _doubled(inputs: Inputs) -> frozenset[str]:
    """Volumes that others tell of, whose storage another one shows: the inventory of a bucket that is scanned. They count for nothing."""
    shown = [(name, inputs.scans[name]) for name in inputs.config.volumes if name in inputs.scans and inputs.scans[name].root_fs_id is not None]
    first = {scan.root_fs_id: name for name, scan in reversed(sorted(shown, key=lambda one: one[1].is_hearsay))}
    return frozenset(name for name, scan in shown if scan.is_hearsay and first[scan.root_fs_id] != name)


def _base_words(inputs: Inputs, name: str) -> list[int]:
    words = [0] * 4
    for place, protector in enumerate(domains.protectors(inputs.config, name)):
        if protector not in inputs.scans:
            words[place // _PER_WORD] += _NEVER_SCANNED * 16 ** (place % _PER_WORD)
    return words


def _mappings(inputs: Inputs) -> pa.Table:
    number = {name: v for v, name in enumerate(inputs.config.volumes)}
    rows, doubled = [], _doubled(inputs)
    for name, volume in inputs.config.volumes.items():
        for source, target in volume.path_map.items():
            asset, _, prefix = target.partition(":")
            if name in doubled or name not in domains.protectors(inputs.config, asset) or not recovery.holds(inputs.points.get(name, ()), source):
                continue  # what was never backed up under that path is not mapped
            rows.append(
                {"a": number[asset], "v": number[name], "v_prefix": _folder(source), "a_prefix": _folder(prefix), "a_prefix_end": prefix_end(_folder(prefix))}
            )
    return _rows(rows, {"a": pa.int32(), "v": pa.int32(), "v_prefix": pa.string(), "a_prefix": pa.string(), "a_prefix_end": pa.string()})


def _folder(path: str) -> str:
    return path.strip("/") + "/" if path.strip("/") else ""


def _classes(inputs: Inputs) -> pa.Table:
    rows = []
    for number, name in enumerate(inputs.classes):
        data_class = inputs.config.data_class(name)
        rows.append(
            {
                "class_no": number,
                "data_class": name,
                "min_level": DEFAULT_LEVEL if data_class.min_verification_level is None else data_class.min_verification_level,
                "verified_since": _before(inputs.as_of, data_class.max_verification_age),
                "verified_until": None if data_class.max_verification_age is None else inputs.as_of + _CLOCKS_DIFFER,
                "current_since": _before(inputs.as_of, data_class.max_copy_age),
                "locked_least": domains.locked_least(data_class, inputs.as_of),
                "locked_now": inputs.as_of,
                "fresh_since": _before(inputs.as_of, data_class.max_copy_age) or inputs.as_of,
            }
        )
    stamp = pa.timestamp("us")
    times = ("verified_since", "verified_until", "current_since", "fresh_since", "locked_least", "locked_now")
    return _rows(rows, {"class_no": pa.int32()} | dict.fromkeys(times, stamp))


def _checks(inputs: Inputs) -> dict[str, pa.Table]:
    """What stands of all that repositories held: `checks` of it without an error, `doubts` where errors were found that no file is known of."""
    rows = [
        ({"v": v, "fs_id": one.fs_id, "level": one.level, "checked_at": one.at}, one.in_doubt)
        for v, name in enumerate(inputs.config.volumes)
        for one in verification.standing(inputs.checks.get(name, ()))
    ]
    types = {"v": pa.int32(), "fs_id": pa.string(), "level": pa.int32(), "checked_at": pa.timestamp("us")}
    return {name: _rows([row for row, in_doubt in rows if in_doubt is wanted], types) for name, wanted in (("checks", False), ("doubts", True))}


def _before(as_of: datetime.datetime, seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else as_of - datetime.timedelta(seconds=seconds)


def _class_controls(inputs: Inputs) -> pa.Table:
    rows = []
    for number, name in enumerate(inputs.classes):
        data_class = inputs.config.data_class(name)
        for order, control in enumerate(CONTROLS):
            if _is_set(data_class, control):
                need = 0 if control in THREATS else int(getattr(data_class, control))
                rows.append(
                    {"class_no": number, "control": control, "control_order": order, "control_bit": 1 << order, "is_threat": control in THREATS, "need": need}
                )
    return _rows(
        rows,
        {"class_no": pa.int32(), "control": pa.string(), "control_order": pa.int32(), "control_bit": pa.int64(), "is_threat": pa.bool_(), "need": pa.int64()},
    )


def _is_set(data_class: DataClass, control: str) -> bool:
    return control not in data_class.waive if control in THREATS else getattr(data_class, control) is not None


def _pairs(inputs: Inputs) -> dict[str, pa.Table]:
    effective = domains.effective(inputs.config, {name: scan.device for name, scan in inputs.scans.items()})
    number = {name: v for v, name in enumerate(inputs.config.volumes)}
    media = {name: frozenset([volume.media] if volume.media else []) for name, volume in inputs.config.volumes.items()}
    grouped = {
        "device": domains.groups({name: d.devices for name, d in effective.items()}),
        "system": domains.groups({name: d.systems for name, d in effective.items()}),
        "site": domains.groups({name: d.sites for name, d in effective.items()}),
        "region": domains.groups({name: d.regions for name, d in effective.items()}),
        "admin": domains.groups({name: d.admins for name, d in effective.items()}),
        "media": domains.groups(media),
    }
    perhaps = {name: d.perhaps for name, d in effective.items()}
    apart = {
        "system": domains.certain_groups({name: d.systems for name, d in effective.items()}, perhaps),
        "site": domains.certain_groups({name: d.sites for name, d in effective.items()}, perhaps),
        "region": domains.certain_groups({name: d.regions for name, d in effective.items()}, perhaps),
        "admin": grouped["admin"],
        "media": grouped["media"],
    }
    certain = domains.certain_devices(effective)
    kept = {name: recovery.kept_seconds(inputs.config, name, points) for name, points in inputs.points.items()}
    facts, places, exclusions, doubled = [], [], list[dict[str, Any]](), _doubled(inputs)
    for asset, volume in inputs.config.volumes.items():
        if volume.role not in ("primary", "archive"):
            continue
        near = [asset, *domains.protectors(inputs.config, asset)]
        known = {**apart, "device": domains.known_devices(effective, certain, near)}
        bits = {axis: _bits(near, known[axis], groups) for axis, groups in grouped.items()}
        for place, name in enumerate(near[1:]):
            place_row = {"a": number[asset], "v": number[name], "word": place // _PER_WORD, "power": 16 ** (place % _PER_WORD), "volume_bit": 2 << place}
            places.append(place_row | {"mapped": bool(inputs.config.volumes[name].path_map), "scanned": name in inputs.scans and name not in doubled})
        for name in near[1:]:
            texts = recovery.left_out(inputs.config, asset, name, inputs.points.get(name, ()))
            exclusions += [{"a": number[asset], "v": number[name], "at_begin": at_begin, "text": text} for at_begin, text in texts]
        for pair in domains.pairs_of(inputs.config, effective, asset, inputs.classes, inputs.as_of, kept):
            row: dict[str, Any] = {
                "a": number[asset],
                "v": number[pair.protector],
                "class_no": list(inputs.classes).index(pair.data_class),
                "is_self": pair.protector == asset,
                "user_error": pair.user_error,
                "user_error_order": _order(pair.user_error_reason),
                "ransomware": pair.ransomware,
                "ransomware_order": _order(pair.ransomware_reason),
                "system_failure": pair.system_failure,
                "system_failure_order": _order(pair.system_failure_reason),
                "facility_outage": pair.facility_outage,
                "facility_outage_order": _order(pair.facility_outage_reason),
                "volume_bit": 1 << near.index(pair.protector),
                **asdict(pair.beside),
                "not_immutable_order": _order("not_immutable_or_offline"),
                "key_order": _order("key_lost"),
            }
            for axis in grouped:
                row[f"{axis}_bit"], row[f"{axis}_possible"] = bits[axis][pair.protector]
            facts.append(row)
    place_types = {
        "a": pa.int32(),
        "v": pa.int32(),
        "word": pa.int32(),
        "power": pa.int64(),
        "volume_bit": pa.int64(),
        "mapped": pa.bool_(),
        "scanned": pa.bool_(),
    }
    all_places = _rows(places, place_types)
    fact_types = {name: pa.int64() for name in ("volume_bit", *(f"{axis}_{kind}" for axis in grouped for kind in ("bit", "possible")))}
    parts = (*(part.name for part in fields(domains.Beside)), "not_immutable_order", "key_order")
    numbers = {name: pa.int32() for name in ("a", "v", "class_no", *THREATS, *(f"{threat}_order" for threat in THREATS), *parts)}
    return {
        "pair_facts": _rows(facts, numbers | {"is_self": pa.bool_()} | fact_types),
        "pair_places": all_places,
        "exclusions": _rows(exclusions, {"a": pa.int32(), "v": pa.int32(), "at_begin": pa.bool_(), "text": pa.string()}),
        "pair_list": _rows([row for row in places if row["scanned"] and volume_is_scanned(inputs, row["a"])], place_types),
    }


def volume_is_scanned(inputs: Inputs, v: int) -> bool:
    """Whether the volume of that number has a good scan."""
    return list(inputs.config.volumes)[v] in inputs.scans


def _bits(near: Sequence[str], apart: Mapping[str, int | None], groups: Mapping[str, int | None]) -> dict[str, tuple[int, int]]:
    """Of each volume: the bit of its group among those known to be apart (0 = unknown), and the bit it could add: its group's, or one of its own."""
    known, possible = _leaders(near, apart), _leaders(near, groups)
    return {name: (known[name], possible[name] or 1 << place) for place, name in enumerate(near)}


def _leaders(near: Sequence[str], groups: Mapping[str, int | None]) -> dict[str, int]:
    leader = {groups[name]: place for place, name in reversed(list(enumerate(near)))}
    return {name: 0 if groups[name] is None else 1 << leader[groups[name]] for name in near}


def _order(reason: str | None) -> int | None:
    return None if reason is None else REASONS.index(reason)


def _rows(rows: list[dict[str, Any]], types: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    given = dict(types or {})
    if not rows:
        return pa.schema(list(given.items())).empty_table()
    inferred = pa.Table.from_pylist(rows).schema
    return pa.Table.from_pylist(rows, pa.schema([(field.name, given.get(field.name, field.type)) for field in inferred]))
