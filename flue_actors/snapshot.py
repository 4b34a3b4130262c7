"""A whole runtime at one moment."""

from typing import Literal

import msgspec

from flue_actors.actors import SystemSnapshot
from flue_actors.models.limiter import LimiterStatistics
from flue_actors.storage import StoreStatistics

State = Literal["new", "starting", "running", "draining", "stopped"]


class RuntimeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The whole runtime at one moment.

    Attributes:
        pending: Accepted inputs that are not settled.
        backlog: Instances that have not begun with what an earlier process left.
        parked: Inputs whose agent is not defined any more; `Runtime.parked` lists them.
    """

    state: State
    agents: tuple[str, ...]
    instances: int
    pending: int
    backlog: int
    parked: int
    actors: SystemSnapshot
    store: StoreStatistics
    models: dict[str, LimiterStatistics]
