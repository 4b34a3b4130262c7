"""What the runtime hands to its actors: everything a turn needs from outside, injectable as one."""

import random
from collections.abc import Callable
from typing import Protocol

import msgspec

from flue_actors.clock import Clock
from flue_actors.definition.guards import Principal
from flue_actors.definition.settings import Settings
from flue_actors.definition.tools import RunBlocking
from flue_actors.equipping import Equipment
from flue_actors.ids import AgentKey, Ids
from flue_actors.inputs import Input
from flue_actors.models.registry import ModelRegistry
from flue_actors.observing import Observers
from flue_actors.owed import Owed
from flue_actors.storage import Fence, Store


class Inside(Protocol):
    """Accepts inputs from inside."""

    async def send(
        self, key: AgentKey, session: str, given: Input, principal: Principal | None, idempotency_key: str
    ) -> None:
        """A detached task. Raises FlueError."""
        ...

    def owe(self, key: AgentKey, session: str, given: Input, principal: Principal | None) -> Owed:
        """What comes of one, to be written with its outcome."""
        ...


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Shared by all actors of one runtime.

    Attributes:
        fence: The store's answer to `Store.open`.
        stopping: True from the beginning of the runtime's stop on.
        shared_texts: Hashes of the instructions that are known to be stored.
        equipment: The tools of the definitions.
        inside: Accepts what running work hands over, as long as the runtime is open.
    """

    store: Store
    fence: Fence
    models: ModelRegistry
    settings: Settings
    observers: Observers
    clock: Clock
    ids: Ids
    rng: random.Random
    run_blocking: RunBlocking
    stopping: Callable[[], bool]
    shared_texts: set[str]
    equipment: Equipment
    inside: Callable[[], Inside]
