"""Which instance a path names, exactly. Pure.

A path is split on ``/`` before anything is decoded, so ``a%2Fstatus`` is the id ``a/status`` and never a route, and
``..`` is two dots. Each segment is then percent-decoded as strict UTF-8. Ids are opaque: control characters are data.
"""

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import msgspec

from flue_actors.errors import InvalidRequestError, RouteNotFoundError
from flue_actors.ids import AgentKey, check_instance_id

ROOT: Final = b"agents"

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class RawPath(msgspec.Struct, frozen=True):
    """``/agents/{name}/{id}`` and the segments that follow, all as they stand in the request line."""

    name: bytes
    id: bytes
    tail: tuple[bytes, ...] = ()


def split_path(raw: bytes, prefix: str) -> RawPath:
    """The parts of a path below ``prefix``.

    Raises:
        RouteNotFoundError: It is not ``{prefix}/agents/{name}/{id}...``.
    """
    root, *parts = raw.split(b"/")[1 + prefix.count("/") :] or [b""]
    if root != ROOT or len(parts) < 2:
        raise RouteNotFoundError
    return RawPath(parts[0], parts[1], tuple(parts[2:]))


def instance_key(path: RawPath) -> AgentKey:
    """The name (perhaps an alias) and id a path spells.

    Raises:
        InvalidRequestError: Not percent-encoded UTF-8, blank, or longer than an id may be.
    """
    name = decode_segment(path.name)
    if not name.strip():
        raise InvalidRequestError("The agent's name is blank.", details="Send /agents/{name}/{id}.")
    return AgentKey(name, check_instance_id(decode_segment(path.id)))


def public_path(root: str, prefix: str, key: AgentKey) -> str:
    """The instance's path as clients write it: ``root`` (decoded) is where a server or framework mounted us."""
    base = quote(root.rstrip("/") + prefix)
    return f"{base}/{ROOT.decode()}/{quote(key.agent, safe='')}/{quote(key.id, safe='')}"


def decode_segment(raw: bytes) -> str:
    """Percent-decode one segment.

    Raises:
        InvalidRequestError: A ``%`` without two hex digits, or bytes that are not UTF-8.
    """
    try:
        if b"%" not in raw:
            return raw.decode()
        if _BAD_ESCAPE.search(raw) is None:
            return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        pass
    raise InvalidRequestError("The path is not percent-encoded UTF-8.", details="Encode every part of the path.")
