"""What holds for all tests."""

import signal

from hypothesis import settings

settings.register_profile("lastcopy", deadline=None)  # speed is judged in benchmarks/, not by a test on a busy machine
settings.load_profile("lastcopy")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore Ctrl-C, and so would every program that they start
