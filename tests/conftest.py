"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("lastcopy", deadline=None)  # speed is judged in benchmarks/, not by a test on a busy machine
settings.load_profile("lastcopy")
