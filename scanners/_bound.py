"""Run as a file: becomes another program, which ends when the process that started it does, and may write nothing but what lies in one folder.

Arguments: the id of that process, the folder ('' = what it writes is not limited), then the program and its arguments. Imports nothing that is slow.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# landlock(7): the bits of writing a file, of removing it and making each type of it; then of moving it elsewhere and of cutting it off, with the version of
# the kernel's interface since which it is known.
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_WRITES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))
_LATER = ((2, 1 << 13), (3, _TRUNCATE))
_REFUSED = 125


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # what packs, from Python 3.14 on
    _fields_ = (("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def landlock() -> int:
    """The version of the kernel's interface; 0 = there is none."""
    return max(0, _call(_CREATE_RULESET, None, 0, 1))


def _call(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None).syscall(ctypes.c_long(number), *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)))


def _confine(folder: str) -> bool:
    """Take from this process, and all that it becomes, the right to write anywhere else; whether that was done."""
    handled = _WRITES | sum(bit for since, bit in _LATER if landlock() >= since)
    ruleset = _call(_CREATE_RULESET, ctypes.byref(ctypes.c_uint64(handled)), 8, 0)
    if ruleset < 0 or ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    for place, allowed in ((folder, handled), (os.devnull, handled & (_WRITE_FILE | _TRUNCATE))):
        rule = _Beneath(allowed, os.open(place, os.O_PATH | os.O_CLOEXEC))
        if _call(_ADD_RULE, ruleset, 1, ctypes.byref(rule), 0):
            return False
    return _call(_RESTRICT_SELF, ruleset, 0) == 0


def main() -> None:
    """Become the program."""
    parent, folder, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)  # stays over execve
    if os.getppid() != int(parent):
        sys.exit(1)
    if folder and not _confine(folder):
        sys.exit(_REFUSED)
    os.execv(command[0], command)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
