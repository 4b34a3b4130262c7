"""The generic actor layer: pykka's actor types on asyncio. It knows nothing about agents.

An `ActorSystem` holds actors by `Address`; an `ActorRef` sends to one, whether it is in memory or not.
"""

from flue_actors.actors.actor import Actor
from flue_actors.actors.address import Address, DropReason, LeaveReason
from flue_actors.actors.context import ActorContext
from flue_actors.actors.dead_letters import DeadLetter, DeadLetters
from flue_actors.actors.limits import ActorLimits
from flue_actors.actors.ref import ActorRef, IfBusy
from flue_actors.actors.reply import Reply
from flue_actors.actors.statistics import ActorStatus, BlockingStatistics, RunningMessage, State, SystemSnapshot
from flue_actors.actors.system import ActorSystem

__all__ = [
    "Actor",
    "ActorContext",
    "ActorLimits",
    "ActorRef",
    "ActorStatus",
    "ActorSystem",
    "Address",
    "BlockingStatistics",
    "DeadLetter",
    "DeadLetters",
    "DropReason",
    "IfBusy",
    "LeaveReason",
    "Reply",
    "RunningMessage",
    "State",
    "SystemSnapshot",
]
