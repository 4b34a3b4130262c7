"""Where events stand in their session: ``<seq of the last durable entry>-<number of events behind it>``. Pure."""

from typing import NamedTuple, Self

from msgspec import UnsetType

from flue_actors.errors import InvalidRequestError


class Place(NamedTuple):
    """The place of one event; ordered."""

    seq: int
    n: int

    @classmethod
    def parse(cls, offset: str) -> Self:
        """The place an offset names.

        Raises:
            InvalidRequestError: It is none.
        """
        seq, dash, n = offset.partition("-")
        if not (dash and _is_number(seq) and _is_number(n)):
            raise InvalidRequestError(
                "The offset is not valid.", details='Send an offset as received: "<number>-<number>".'
            )
        return cls(int(seq), int(n))

    def __str__(self) -> str:
        return f"{self.seq}-{self.n}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def place_of(offset: str | UnsetType) -> Place | None:
    """The place of an event of ours; None when it stands nowhere."""
    if not isinstance(offset, str):
        return None
    seq, _, n = offset.partition("-")
    return Place(int(seq), int(n))


class Position:
    """Where a session's event order stands: the last durable entry, and how many ephemeral events since (``n``)."""

    __slots__ = ("n", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.n = 0

    def __str__(self) -> str:
        return f"{self.seq}-{self.n}"

    @property
    def place(self) -> Place:
        """Of the last event."""
        return Place(self.seq, self.n)

    def durable(self, seq: int) -> None:
        """What comes stands behind entry ``seq``."""
        if seq != self.seq:
            self.seq = seq
            self.n = 0
