"""Where things stand in the repository, and how its tools are run."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def tool(name: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run one of the development tools, in the repository's root unless told otherwise."""
    return subprocess.run([str(BIN / name), *arguments], cwd=cwd, capture_output=True, text=True, check=False)
