"""What is kept of a file beside its content, as metadata of an object: headers of plain text within the 2 kB that stores take, every loss told.

Names are lower case, since some stores tell them so. Others read `mtime`, in seconds, as rclone does.
"""

import base64
import binascii
import json
import os
import re
import stat
from collections.abc import Mapping

from catalog import names
from lifecycle.stores import Metadata

OP = "x-amz-meta-lastcopy-op"
_OURS = "x-amz-meta-lastcopy-"
_OWN = "user.lastcopy."  # what only a job gives to a file, which then knows it by that
_MTIME = "x-amz-meta-mtime"
_MOST_BYTES = 2000  # of 2,048, names and values
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_PAIR = re.compile(r"(-?\d{1,20}):(-?\d{1,20})", re.ASCII)
_IDS, _TIMES = range(2**32 - 1), range(-(2**63), 2**63)


def headers(key: str, wanted: Metadata | None) -> tuple[dict[str, str], list[str]]:
    """The headers that keep a file's metadata and the operation that makes the object; what cannot be kept, a phrase each."""
    told = {OP: key}
    if wanted is None:
        return told, []
    lost = list(wanted.dropped)
    told[_OURS + "mode"] = f"{wanted.mode & ~_SPECIAL_BITS:04o}"
    told[_OURS + "owner"] = f"{wanted.uid}:{wanted.gid}"
    told[_OURS + "times"] = f"{wanted.modified_ns}:{wanted.accessed_ns}"
    told[_MTIME] = f"{'-' if wanted.modified_ns < 0 else ''}{abs(wanted.modified_ns) // 10**9}.{abs(wanted.modified_ns) % 10**9:09d}"
    if wanted.link_target is not None:
        told[_OURS + "type"] = "symlink"
    if wanted.mode & _SPECIAL_BITS and wanted.link_target is None:
        lost.append(f"mode {wanted.mode:04o}: set-user-ID, set-group-ID and sticky bits are never given to a copy")
    kept, too_large = _attributes(wanted.xattrs, _MOST_BYTES - _size(told) - len(_OURS + "xattrs"))
    lost += [f"{_told(name)}: does not fit into the metadata of an object" for name in too_large]
    if kept:
        told[_OURS + "xattrs"] = kept
    above = ",".join(f"{one.mode & 0o7777:o}:{one.uid}:{one.gid}" for one in wanted.parents)
    if above and _size(told) + len(_OURS + "folders") + len(above) > _MOST_BYTES:
        lost.append("modes and owners of its folders: they do not fit into the metadata of an object")
    elif above:
        told[_OURS + "folders"] = above
    if any(one.xattrs or one.dropped for one in wanted.parents):
        lost.append("extended attributes and access control lists of its folders: an object has none of these")
    return told, lost


def read(found: Mapping[str, str], modified_ns: int, link_target: bytes | None) -> Metadata:
    """The metadata that an object tells, as far as it can be understood; of one that another program stored its time, and rights for its owner alone."""
    mode, owner, times = (found.get(_OURS + name, "") for name in ("mode", "owner", "times"))
    uid, gid = _numbers(owner, _IDS) or (os.geteuid(), os.getegid())
    modified, accessed = _numbers(times, _TIMES) or (modified_ns, modified_ns)
    return Metadata(
        mode=int(mode, 8) & ~_SPECIAL_BITS if re.fullmatch(r"[0-7]{3,5}", mode) else 0o600,
        uid=uid,
        gid=gid,
        modified_ns=modified,
        accessed_ns=accessed,
        xattrs=_unpacked(found.get(_OURS + "xattrs", "")),
        link_target=link_target,
        parents=tuple(_folder(one, modified) for one in found.get(_OURS + "folders", "").split(",") if one),
    )


def is_link(found: Mapping[str, str]) -> bool:
    """Whether an object is a symbolic link that a job copied: its content is the link's text."""
    return found.get(_OURS + "type") == "symlink"


def _size(told: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in told.items())


def _attributes(wanted: Mapping[str, bytes], most_bytes: int) -> tuple[str, list[str]]:
    """As many of the attributes as there is room for, the smallest first, and the names of the others."""
    kept: dict[str, str] = {}
    lost = []
    for name, value in sorted(wanted.items(), key=lambda one: (len(one[0]) + len(one[1]), one[0])):
        more = {**kept, base64.b64encode(os.fsencode(name)).decode(): base64.b64encode(value).decode()}
        if len(_packed(more)) > most_bytes:
            lost.append(name)
        else:
            kept = more
    return _packed(kept) if kept else "", lost


def _packed(values: Mapping[str, str]) -> str:
    return json.dumps(values, separators=(",", ":"))


def _unpacked(text: str) -> dict[str, bytes]:
    """The attributes in a header; none where it is not what jobs write. Only those that jobs give to files."""
    try:
        found = {os.fsdecode(base64.b64decode(name, validate=True)): base64.b64decode(value, validate=True) for name, value in json.loads(text or "{}").items()}
    except (ValueError, AttributeError, TypeError, binascii.Error, RecursionError):
        return {}
    return {name: value for name, value in found.items() if name.startswith(("user.", "system.posix_acl_")) and "\0" not in name and not name.startswith(_OWN)}


def _numbers(text: str, within: range) -> tuple[int, int] | None:
    """Two numbers that a kernel takes; an object may say anything."""
    found = _PAIR.fullmatch(text)
    if not found or not (int(found[1]) in within and int(found[2]) in within):
        return None
    return int(found[1]), int(found[2])


def _folder(text: str, modified_ns: int) -> Metadata:
    mode, _, owner = text.partition(":")
    uid, gid = _numbers(owner, _IDS) or (os.geteuid(), os.getegid())
    return Metadata(int(mode, 8) & 0o777 if re.fullmatch(r"[0-7]{1,5}", mode) else 0o700, uid, gid, modified_ns, modified_ns)


def _told(name: str) -> str:
    return {"system.posix_acl_access": "access control list", "system.posix_acl_default": "default access control list"}.get(
        name, f"extended attribute {names.escape(os.fsencode(name))}"
    )
