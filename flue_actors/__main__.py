"""``python -m flue_actors``: the command line."""

from flue_actors.gateway.cli import main

if __name__ == "__main__":
    main()
