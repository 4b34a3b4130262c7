"""What models call the tools of MCP servers. Pure."""

import hashlib
import re
from typing import Final

LONGEST: Final = 64
"""Characters that every provider takes in a tool's name."""


def tool_name(server: str, tool: str) -> str:
    """``mcp__<server>__<tool>``, of letters, digits, ``_`` and ``-`` only.

    What is longer than `LONGEST` is cut and ends in eight digits of a hash of the whole, so different tools keep
    different names.
    """
    name = f"mcp__{_part(server)}__{_part(tool)}"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(f"{server}\0{tool}".encode(errors="replace")).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}_{digest}"


def _part(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name).strip("_") or "unnamed"
