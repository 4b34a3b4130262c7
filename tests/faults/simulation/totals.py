"""What the reference model knows of what instances used in their whole life."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from flue_actors.ids import AgentKey
from flue_actors.messages import Usage
from flue_actors.storage import Append, Op, PutKv

_decode: Final = msgspec.json.Decoder(Usage).decode


class Totals:
    """See the module. ``blame`` takes what is wrong."""

    def __init__(self, blame: Callable[[str], None]) -> None:
        self._blame = blame
        self._used: Counter[AgentKey] = Counter()
        self._untold: Counter[AgentKey] = Counter()
        self._counted: dict[AgentKey, int] = {}
        self.is_kept = False  # somebody wants to know

    def used(self, key: AgentKey, tokens: int, untold: int = 0) -> None:
        """An input that used this has its outcome, or a summary that is nobody's is stored.

        Args:
            untold: More, in tasks that were not ended, which may be known or not.
        """
        self._used[key] += tokens
        self._untold[key] += untold

    def committed(self, ops: Sequence[Op], *, unsure: int) -> None:
        """A commit is whole: what it says of the instance's life is what was used. Not told of after a write failed."""
        for op in ops:
            if isinstance(op, PutKv) and op.kind == "usage" and op.body is not None:
                self._counted[op.key] = _decode(op.body).output
        if not self.is_kept:
            return
        for key in dict.fromkeys([op.key for op in ops if isinstance(op, Append | PutKv)]):
            counted, used = self._counted.get(key, 0), self._used[key]
            if not 0 <= counted - used <= unsure + self._untold[key]:
                self._blame(f"{key} used {used} in its life, and {counted} is counted")

    def removed(self, key: AgentKey) -> None:
        """The instance is gone."""
        self._used.pop(key, None)
        self._untold.pop(key, None)
        self._counted.pop(key, None)
