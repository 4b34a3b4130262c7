"""Short spellings of operations, for the tests of this room."""

from flue_actors.ids import AgentKey
from flue_actors.storage import Append, Entry

KEY = AgentKey("joke-teller", "user-1")


def append(seq: int, body: bytes = b"{}", key: AgentKey = KEY) -> Append:
    """One entry of the default session."""
    return Append(key=key, session="default", entries=(Entry(seq=seq, kind="message", at=seq, body=body),))
