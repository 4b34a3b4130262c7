"""Numbers in a query string. Pure."""

import re
from typing import Final

from flue_actors.errors import InvalidRequestError

_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?\Z")


def whole_number(name: str, text: str | None, *, default: int, low: int, high: int) -> int:
    """The parameter ``name``, from ``low`` to ``high``.

    Raises:
        InvalidRequestError: It is something else.
    """
    if text is None:
        return default
    found = _NUMBER.match(text)
    if found is None or found[1] is not None or not low <= int(text) <= high:
        raise InvalidRequestError(f'The parameter "{name}" must be a whole number from {low} to {high}.')
    return int(text)


def seconds(name: str, text: str | None, *, default: float, high: float) -> float:
    """The parameter ``name``, from 0 to ``high``, perhaps with a fraction.

    Raises:
        InvalidRequestError: It is something else.
    """
    if text is None:
        return default
    if _NUMBER.match(text) is None or float(text) > high:
        raise InvalidRequestError(f'The parameter "{name}" must be a number of seconds from 0 to {high:g}.')
    return float(text)
