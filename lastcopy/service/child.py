"""`python -m lastcopy.service.child PARENT ARGUMENTS…`: the command line, interrupted when its parent dies, so that nothing goes on unseen."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Run the rest of the arguments as a command line of its own."""
    parent, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.getppid() != int(parent):  # it died before
        sys.exit(130)
    from lastcopy import __main__

    sys.argv[1:] = arguments
    __main__.main()


if __name__ == "__main__":
    main()
