"""What a request's headers ask for: an answer before the work is done, to be accepted only once, nothing known. Pure."""

import re
from typing import Final

from flue_actors.errors import InvalidRequestError

RESPOND_ASYNC: Final = "respond-async"
MAX_KEY: Final = 256

# An unfinished one takes the rest: so one pass does, whatever a header of 64 KiB looks like.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)', re.DOTALL)
_VISIBLE = re.compile(rf"[!-~]{{1,{MAX_KEY}}}\Z")


def prefers(header: str | None, name: str) -> bool:
    """True if a ``Prefer`` header (RFC 7240: a list, with values and parameters) asks for ``name``, which has no value."""
    for preference in _QUOTED.sub(_without_meaning, header or "").split(","):
        word, _, value = preference.partition(";")[0].partition("=")
        if word.strip().lower() == name and not value.strip():
            return True
    return False


def check_idempotency_key(key: str | None) -> str | None:
    """The key as it was sent: 1 to 256 visible ASCII characters.

    Raises:
        InvalidRequestError: It is something else.
    """
    if key is not None and _VISIBLE.match(key) is None:
        raise InvalidRequestError(
            f"The idempotency key must have 1 to {MAX_KEY} visible ASCII characters.",
            details="Send a key such as a UUID, a new one for every new message.",
        )
    return key


def has_already(header: str | None, tag: str) -> bool:
    """True if an ``If-None-Match`` header (RFC 9110) names this entity tag, quotes included."""
    return any(each.strip().removeprefix("W/") in {tag, "*"} for each in (header or "").split(","))


def _without_meaning(quoted: "re.Match[str]") -> str:
    """A quoted string's commas and semicolons divide nothing; an empty one is the same as no value."""
    return "x" if quoted[1] else ""
