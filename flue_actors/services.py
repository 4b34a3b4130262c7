"""What the runtime hands to its actors: everything a turn needs from outside, injectable as one."""

import random
from collections.abc import Awaitable, Callable

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
from flue_actors.storage import Fence, Store

Sent = tuple[AgentKey, str, Input, Principal | None, str]
"""Key, session, input, principal and idempotency key."""

Send = Callable[[AgentKey, str, Input, Principal | None, str], Awaitable[None]]
"""Raises FlueError."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Shared by all actors of one runtime.

    Attributes:
        fence: The store's answer to `Store.open`.
        stopping: True from the beginning of the runtime's stop on.
        shared_texts: Hashes of the instructions that are known to be stored.
        equipment: The tools of the definitions.
        send: Accepts an input from inside: a detached task, and what comes of it.
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
    send: Send
