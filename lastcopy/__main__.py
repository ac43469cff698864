"""The program `lastcopy`."""

import sys


def main() -> None:
    """Run the command line and end with its exit code."""
    from lastcopy import cli

    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
