"""Where the examples' files are, whatever folder the server was started in."""

from pathlib import Path

PROJECT = Path(__file__).parents[1]
REPOSITORIES = PROJECT / "repositories"
POLICIES = PROJECT / "policies"
