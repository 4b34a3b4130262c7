"""What the clients sent and what they were told. Pure."""

import re
from collections.abc import Iterator, Sequence

import msgspec

Transport = str
TOKEN = re.compile(rb"T\d+T")


class Sent(msgspec.Struct):
    """One input.

    Attributes:
        token: Stands in its text, and nowhere else.
        instance: ``agent/id``.
        sent, told: When it was sent, and when the first word of its acceptance came (0 = never). Monotonic.
        result: The text of the answer, if one came.
        refused: It was answered with an error: what it says.
        aborted: Its sender was told that it is to be aborted.
    """

    token: str
    instance: str
    transport: Transport
    sent: float
    told: float = 0
    result: str | None = None
    refused: str | None = None
    aborted: bool = False


class Book:
    """Everything sent so far."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def enter(self, instance: str, transport: Transport, at: float) -> Sent:
        """A new input, with a token of its own."""
        sent = Sent(f"T{len(self.sent)}T", instance, transport, at)
        self.sent.append(sent)
        return sent

    def accepted(self) -> list[Sent]:
        """What somebody was told is accepted."""
        return [each for each in self.sent if each.told]

    def overtaken(self, order: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Pairs that were accepted the other way round.

        Args:
            order: The tokens of one instance, as they were accepted.
        """
        place = {token: number for number, token in enumerate(order)}
        known = [each for each in self.accepted() if each.token in place]
        latest_sent: Sent | None = None
        for each in sorted(known, key=lambda sent: place[sent.token]):
            # Whoever is behind somebody in the order must not have been told before that one was even sent.
            if latest_sent is not None and each.told < latest_sent.sent:
                yield latest_sent.token, each.token
            if latest_sent is None or each.sent > latest_sent.sent:
                latest_sent = each


def token_of(payload: bytes) -> str:
    """The token in a stored input; empty if there is none."""
    found = TOKEN.search(payload)
    return found.group().decode() if found else ""
