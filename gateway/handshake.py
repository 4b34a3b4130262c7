"""Decisions about a WebSocket handshake: is its origin welcome, and which token does it carry. Pure.

Browsers send cookies with a handshake to any site and offer no way to set a header. So a page's origin is checked, and a
token may come as a subprotocol: ``bearer.<base64url>`` beside ``flue.v1``, of which only the latter is ever echoed.
"""

import base64
import binascii
from collections.abc import Collection, Sequence
from typing import Final

from flue_actors.errors import ForbiddenOriginError, InvalidRequestError
from flue_actors.gateway.wire import SUBPROTOCOL

BEARER: Final = "bearer."


def check_origin(origin: str | None, host: str | None, allowed: Collection[str]) -> None:
    """Let pass what is no browser page, a page of this very host, or one of an allowed origin (``*`` = any).

    Raises:
        ForbiddenOriginError: Another site's page.
    """
    if origin is None or origin in allowed or "*" in allowed:
        return
    scheme, _, where = origin.lower().partition("://")
    if scheme not in {"http", "https"} or host is None or where != host.lower():
        raise ForbiddenOriginError


def accepted_subprotocol(offered: Sequence[str]) -> str | None:
    """What to answer to the client's offer."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def offered_token(offered: Sequence[str]) -> str | None:
    """The token among the subprotocols.

    Raises:
        InvalidRequestError: It is not base64url of printable text.
    """
    encoded = next((entry[len(BEARER) :] for entry in offered if entry.startswith(BEARER)), None)
    if encoded is None:
        return None
    try:
        token = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        token = ""
    if not token or not token.isprintable():
        raise InvalidRequestError('The subprotocol "bearer." must carry a token as base64url.')
    return token
