"""What `flue-actors init` writes: the smallest project that runs, without a key and without network."""

import re
from pathlib import Path
from typing import Final

from flue_actors.errors import ConfigError

_AGENT: Final = '''\
"""The agent `joke-teller`: POST /agents/joke-teller/<id>, or a WebSocket on the same path."""

import os

from flue_actors import create_agent, public

# Open to everyone: put a check of your own here before you deploy.
guard = public

agent = create_agent(
    model=os.environ.get("FLUE_MODEL", "scripted/jokes"),
    instructions="Tell a short joke in response to each message.",
)
'''

_PYPROJECT: Final = """\
[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["flue-actors"]

[tool.flue-actors]
port = 3583
"""

_ENV: Final = """\
# Copy to .env: read by `flue-actors dev` and `connect --local`, never by `serve`.
# Without FLUE_MODEL the offline scripted model answers.
FLUE_MODEL=anthropic/claude-haiku-4-5
ANTHROPIC_API_KEY=
"""

_IGNORED: Final = """\
.env
.venv/
__pycache__/
data/
"""


def project_files(name: str) -> dict[str, str]:
    """Path and text of every file of a new project; ``name`` becomes its distribution name."""
    distribution = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "my-agents"
    return {
        "agents/joke_teller.py": _AGENT,
        "pyproject.toml": _PYPROJECT.format(name=distribution),
        ".env.example": _ENV,
        ".gitignore": _IGNORED,
    }


def write_project(folder: Path) -> list[str]:
    """Write a new project into ``folder``, made if missing; returns what was written.

    Raises:
        ConfigError: One of the files exists already; then nothing is written.
    """
    files = project_files(folder.resolve().name)
    if taken := [path for path in files if (folder / path).exists()]:
        raise ConfigError(
            f"{folder} already has {', '.join(taken)}.",
            details="Nothing was written. Choose an empty folder, or add an agents/ folder to your project by hand.",
        )
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return list(files)
