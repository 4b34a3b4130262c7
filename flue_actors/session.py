"""One named conversation of an active instance: what of it is in memory, and how it is loaded and written."""

import asyncio
from collections.abc import Sequence
from typing import Final, Self

from flue_actors.conversation.entries import Source, message_entry
from flue_actors.conversation.frozen import Frozen, decode_frozen
from flue_actors.conversation.transcript import Transcript
from flue_actors.ids import AgentKey
from flue_actors.messages import Message, is_illustrated
from flue_actors.places import Position
from flue_actors.storage import Entry, Store

MANY: Final = 500
"""Entries that are read on the loop, 4 us each; more of them would hold up everybody else."""


class Session:
    """The session's transcript and position. Written by its actor only; dropped when a write fails.

    Attributes:
        frozen: What it keeps telling the model unchanged; None until the first turn.
        system: The instructions it keeps telling, where they are not the definition's any more.
        illustrated: True once one of its messages has a picture or a file.
        read_from: The seq of the first entry that has to be read to load it.
        too_long: About how many tokens it had when no summary of it came about; 0 = one did.
    """

    __slots__ = (
        "frozen",
        "illustrated",
        "key",
        "name",
        "position",
        "read_from",
        "seq",
        "system",
        "too_long",
        "transcript",
    )

    def __init__(
        self,
        key: AgentKey,
        name: str,
        entries: Sequence[Entry] = (),
        frozen: Frozen | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        self.key = key
        self.name = name
        self.seq = entries[-1].seq if entries else 0
        self.position = Position(self.seq)
        if entries and entries[-1].kind == "settled":
            self.position.n = 1  # two events tell an outcome
        self.transcript = Transcript.of(entries) if transcript is None else transcript
        self.frozen = frozen
        self.system: str | None = None
        self.illustrated = any(map(is_illustrated, self.transcript.context()))
        self.read_from = frozen.read_from if frozen is not None else 1
        self.too_long = 0

    @classmethod
    async def load(cls, store: Store, key: AgentKey, name: str) -> tuple[Self, Sequence[Entry]]:
        """Read the session, what is summarised apart; empty when it has no entries yet. Also what was read.

        Raises:
            StoreError: The store refused.
        """
        stored = (await store.kv(key, "frozen")).get(name)
        frozen = None if stored is None else decode_frozen(stored)
        entries = await store.entries(key, name, after=0 if frozen is None else frozen.read_from - 1)
        if not entries:
            return cls(key, name), entries
        transcript = await asyncio.to_thread(Transcript.of, entries) if len(entries) > MANY else None
        return cls(key, name, entries, frozen, transcript), entries

    def next_seq(self) -> int:
        """The seq of the next entry; counts it as taken."""
        self.seq += 1
        return self.seq

    def add(
        self, message: Message, source: Source, *, submission_id: str | None = None, turn_id: str | None = None
    ) -> Entry:
        """Take a message into the transcript; the returned entry has to be committed in this order."""
        entry = message_entry(self.seq + 1, message, source, submission_id=submission_id, turn_id=turn_id)
        self.seq = entry.seq
        self.illustrated = self.illustrated or is_illustrated(message)
        self.transcript.add(message, entry.seq)
        return entry
