"""The command line, ``flue-actors``: `init`, `dev`, `serve`, `connect`."""

import sys


def main() -> None:
    """Run the command in ``sys.argv`` and exit: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    from flue_actors.gateway.cli.commands import run  # here, so that importing a sibling does not load every command

    sys.exit(run(sys.argv[1:]))
