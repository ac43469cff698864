"""Who acts."""

import os
import pwd

from catalog import names


def actor() -> str:
    """The login of the real user, `uid-N` where none is known.

    Under sudo it is the user who called it: SUDO_UID is believed only of the superuser, who could act under any name anyway.
    """
    uid, sudo = os.getuid(), os.environ.get("SUDO_UID", "")
    if uid == 0 and sudo.isascii() and sudo.isdigit() and len(sudo) <= 10:
        uid = int(sudo)
    try:
        return names.escape(os.fsencode(pwd.getpwuid(uid).pw_name))
    except (KeyError, OverflowError):
        return f"uid-{uid}"
