"""Names and ids of tool calls as every provider takes them back. Pure.

A conversation may go on with another model: an id like ``functions.add:0``, which one server gives, is one that another
refuses, and a name that a model made up need not be a name at all.
"""

import re
import zlib
from typing import Final

_LONGEST: Final = 64
_OTHER: Final = re.compile(r"[^a-zA-Z0-9_-]")


def safe_name(name: str) -> str:
    """The name of letters, digits, ``_`` and ``-`` that stands for this one; itself where it is one."""
    return _OTHER.sub("_", name)[:_LONGEST] or "_"


def safe_id(id: str) -> str:
    """As `safe_name`; different ids stay different."""
    safe = safe_name(id)
    return safe if safe == id else f"{safe[: _LONGEST - 9]}_{zlib.crc32(id.encode()):08x}"
