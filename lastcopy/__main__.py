"""The program `lastcopy`."""

import gc
import os
import sys

_PAGES = {"serve", "dashboard"}  # the commands whose pages are drawn with pandas


def main() -> None:
    """Run the command line and end with its exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy starts its threads when it is imported; nothing here multiplies matrices
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # they are looked for in all that is installed, and we have none
    gc.set_threshold(100_000)  # what is imported stays
    from catalog import lean
    from lastcopy import cli

    if not _PAGES & set(sys.argv[1:]):
        lean.without_pandas()
    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
