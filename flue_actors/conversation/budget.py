"""What an operation may still use up, shared with its tasks. Pure."""

from typing import Final, Protocol, Self

from flue_actors.conversation.outcome import ZERO, add_usage
from flue_actors.errors import CostLimitError, InstanceLimitError, TokenLimitError, TurnError, TurnLimitError
from flue_actors.messages import Usage


class Caps(Protocol):
    """What of `definition.limits.Limits` matters here."""

    @property
    def turns(self) -> int | None:
        """Model calls."""
        ...

    @property
    def tokens(self) -> int | None:
        """Tokens in and out."""
        ...

    @property
    def cost(self) -> float | None:
        """US dollars."""
        ...

    @property
    def total_tokens(self) -> int | None:
        """Of the instance, in its whole life."""
        ...

    @property
    def total_cost(self) -> float | None:
        """The same in US dollars."""
        ...


class Budget:
    """What was used, and what of it is too much. A task's counts for its parent's too.

    Args:
        turns, usage: What earlier attempts used.
        before: What the instance used before this operation, where its caps ask for that.
    """

    __slots__ = ("_before", "_caps", "_open", "_parent", "tasks", "turns", "usage")

    def __init__(
        self,
        caps: Caps,
        *,
        turns: int = 0,
        usage: Usage = ZERO,
        tasks: Usage = ZERO,
        before: Usage | None = None,
        parent: Self | None = None,
    ) -> None:
        self._caps: Final = caps
        self._parent = parent
        self._before = before
        self._open = parent is None and before is None and caps.turns is caps.tokens is caps.cost is None
        self.turns = turns
        self.usage = usage
        self.tasks = tasks

    @property
    def counts_cost(self) -> bool:
        """True when there is a cap on cost, so that everything that is paid for needs a price."""
        caps, parent = self._caps, self._parent
        capped = caps.cost is not None or caps.total_cost is not None
        return capped or (parent is not None and parent.counts_cost)

    @property
    def total(self) -> Usage:
        """With its tasks and compactions."""
        return self.usage if self.tasks is ZERO else add_usage(self.usage, self.tasks)

    def count(self, usage: Usage) -> None:
        """One more model call of the operation itself."""
        self.usage = usage if self.usage is ZERO and usage.cost is not None else add_usage(self.usage, usage)
        self.turns += 1
        if self._parent is not None:
            self._parent.count_below(usage, turns=1)

    def count_below(self, usage: Usage, *, turns: int = 0) -> None:
        """Something that was used for it elsewhere: by a task, or for a summary."""
        self.tasks = add_usage(self.tasks, usage)
        self.turns += turns
        if self._parent is not None:
            self._parent.count_below(usage, turns=turns)

    def crossed(self) -> TurnError | None:
        """The cap that does not allow a further model call, if one does not."""
        if self._open:
            return None
        caps, total = self._caps, self.total
        if caps.turns is not None and self.turns >= caps.turns:
            return TurnLimitError(meta={"maxTurns": caps.turns})
        if caps.tokens is not None and tokens_of(total) >= caps.tokens:
            return TokenLimitError(meta={"maxTokens": caps.tokens})
        if caps.cost is not None and _dollars(total) >= caps.cost:
            return CostLimitError(meta={"maxCost": caps.cost})
        return self._crossed_for_good() or (self._parent.crossed() if self._parent is not None else None)

    def _crossed_for_good(self) -> TurnError | None:
        """The same for the caps on the instance's whole life."""
        if self._before is None:
            return None
        caps, total = self._caps, add_usage(self._before, self.total)
        if caps.total_tokens is not None and tokens_of(total) >= caps.total_tokens:
            return InstanceLimitError(meta={"maxTokens": caps.total_tokens})
        if caps.total_cost is not None and _dollars(total) >= caps.total_cost:
            return InstanceLimitError(meta={"maxCost": caps.total_cost})
        return None


def tokens_of(usage: Usage) -> int:
    """Everything that went in and came out, from the provider's cache or not."""
    return usage.input + usage.output + usage.cache_read + usage.cache_write


def _dollars(usage: Usage) -> float:
    """An unknown price is refused where a cap on cost is set: nothing is unknown there."""
    return usage.cost.total if usage.cost is not None else 0.0
