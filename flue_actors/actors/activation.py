"""`Activation`: everything a system keeps of one actor while it is in memory, and the state machine of its life.

    cold --message--> activating --on_start returned--> ready <--> running
     ^                    | raised                        | idle, evicted, stopped, restarted, parent_done, shutdown
     |                    v                               v
     |                  gone <--nothing waits--------- passivating (on_stop)
     `--------------------------messages wait-------------'

* ``running`` is ready with a message at work; it is derived, never stored. A message starts when its lane is free.
* The record outlives the actor object. What waits in the mailbox while an actor passivates, restarts or is fenced goes
  to the next incarnation, which has a higher ``epoch``.
* A cancelled message that does not end within the grace is *fenced*: its Task is orphaned, its asker answered, the
  actor object replaced. Messages of other lanes end undisturbed on the old object.
* Abort and stop (`control`) act at once, past the mailbox: no backlog can hold them up.
"""

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from flue_actors.actors.actor import Actor, overrides
from flue_actors.actors.address import Address, DropReason, Kind, LeaveReason
from flue_actors.actors.children import Children
from flue_actors.actors.context import ActorContext
from flue_actors.actors.deadlines import arm, earliest
from flue_actors.actors.deadlock import reaches
from flue_actors.actors.envelope import Envelope
from flue_actors.actors.handling import CREATED, ENTERED, FENCED, Handling
from flue_actors.actors.lanes import ask_lane, blocking, conflicts
from flue_actors.actors.mailbox import Mailbox
from flue_actors.actors.performing import start_hook, start_message
from flue_actors.actors.refusals import backing_off, given_up, not_started, reason_of
from flue_actors.actors.reply import Reply
from flue_actors.actors.statistics import State
from flue_actors.errors import (
    ActorStoppedError,
    CallCycleError,
    DeadlineExceededError,
    FlueError,
    MailboxFullError,
    SessionBusyError,
)

if TYPE_CHECKING:
    from flue_actors.actors.core import Core

log = logging.getLogger(__name__)


class Activation:
    """The record of one actor in memory.

    Attributes:
        mailbox: None while nothing waits: an idle actor holds no queue.
        running: What runs now, hooks included.
        state: Never "running" (see `status.state_of`).
        leaving: Set once it was told to leave; nothing more starts.
        scope: The children of the message that spawned it, unless detached.
        nesting: How deep it is below an actor nobody spawned.
        last_used: The core's coarse clock when it last came to rest.
        stoppers: Who waits for it to leave.
    """

    __slots__ = (
        "actor",
        "address",
        "core",
        "epoch",
        "failed",
        "kind",
        "laned",
        "last_error",
        "last_used",
        "leaving",
        "mailbox",
        "nesting",
        "running",
        "scope",
        "served",
        "state",
        "stoppers",
    )

    def __init__(self, core: "Core", address: Address, kind: Kind, scope: Children | None, nesting: int) -> None:
        self.core = core
        self.address = address
        self.kind = kind
        self.scope = scope
        self.nesting = nesting
        self.state: State = "cold"
        self.actor: Actor | None = None
        self.epoch = 0
        self.laned = False
        self.mailbox: Mailbox | None = None
        self.running: tuple[Handling, ...] = ()
        self.leaving: LeaveReason | None = None
        self.stoppers: list[Reply[bool]] | None = None
        self.served = 0
        self.failed = 0
        self.last_error: str | None = None
        self.last_used = core.tick

    # -- taking messages ------------------------------------------------------------------------------------------

    def post(self, envelope: Envelope, reject_if_busy: bool) -> FlueError | None:
        """Start the message, or let it wait, or refuse it: then the error is returned, and the asker has it too."""
        if envelope.asker is not None and self._closes_cycle(envelope, envelope.asker):
            return self.drop(envelope, "cycle", CallCycleError())
        if self.scope is not None:
            envelope.deadline = earliest(envelope.deadline, self.scope.deadline)
        if envelope.deadline is not None and (expired := arm(self, envelope)) is not None:
            return expired
        actor = self.actor
        if (
            actor is not None
            and not self.running
            and self.mailbox is None
            and self.state == "ready"
            and self.leaving is None
            and self.scope is None
        ):
            if self.laned:
                envelope.lane = ask_lane(actor, envelope)
            start_message(self, actor, envelope)
            return None
        return self._queue(envelope, reject_if_busy)

    def _queue(self, envelope: Envelope, reject_if_busy: bool) -> FlueError | None:
        if self.laned:
            envelope.lane = self._lane_of(envelope)
        if reject_if_busy and self._is_busy(envelope):
            return self.drop(envelope, "busy", SessionBusyError())
        if self.state == "cold" and (pause := self.core.pause_left(self.address)) > 0:
            return self._refuse_backing_off(envelope, pause)
        if self.leaving is not None and not self._comes_back():
            return self.drop(envelope, "stopped", ActorStoppedError())
        if not self._offer(envelope):
            self.drop_waiting("abandoned", given_up, lambda waiting: waiting.abandoned)
            if not self._offer(envelope):
                return self.drop(envelope, "overflow", MailboxFullError("Too many messages wait for this actor."))
        envelope.where = self
        self.pump()
        return None

    def _offer(self, envelope: Envelope) -> bool:
        if self.mailbox is None:
            self.mailbox = Mailbox(self.kind.capacity)
        return self.mailbox.offer(envelope)

    def pump(self) -> None:
        """Start what may start: the actor itself when it is cold, then every waiting message whose lane is free."""
        if self.mailbox is None or self.leaving is not None or self.state not in ("cold", "ready"):
            return
        if self.scope is not None and not self.scope.acquire(self):
            return
        if self.state == "cold":
            self.activate()
            return
        while (mailbox := self.mailbox) is not None:
            envelope = mailbox.take({handling.lane for handling in self.running} if self.running else ())
            if not mailbox:
                self.mailbox = None
            if envelope is None:
                return
            if self.actor is not None and not self._is_stale(envelope):
                start_message(self, self.actor, envelope)

    def reschedule(self) -> None:
        """Ask for every lane again, of running and of waiting messages, and start what may start now."""
        self._ask_lanes()
        self._break_cycles()
        self.pump()

    def _ask_lanes(self) -> None:
        for handling in self.running:  # of a fresh actor: what still runs on the one before it
            if handling.envelope is not None:
                handling.lane = handling.envelope.lane = self._lane_of(handling.envelope)
        for envelope in self.mailbox or ():
            envelope.lane = self._lane_of(envelope)

    def _is_stale(self, envelope: Envelope) -> bool:
        if envelope.abandoned:
            self.drop(envelope, "abandoned", given_up())
            return True
        if envelope.deadline is not None and envelope.deadline <= self.core.loop.time():
            self.drop(envelope, "expired", DeadlineExceededError())
            return True
        return False

    def _is_busy(self, envelope: Envelope) -> bool:
        waiting = self.mailbox or ()
        return bool(self.blocking(envelope)) or any(conflicts(envelope.lane, other.lane) for other in waiting)

    def _lane_of(self, envelope: Envelope) -> Hashable | None:
        return None if self.actor is None else ask_lane(self.actor, envelope)

    def blocking(self, envelope: Envelope) -> Sequence[Handling]:
        """What runs now and must end before ``envelope`` may start, whether it waits already or is about to."""
        if self.leaving is not None:
            return self.running
        return blocking(envelope, self.running, self.mailbox or ())

    def _closes_cycle(self, envelope: Envelope, asker: Handling) -> bool:
        if self.laned:
            envelope.lane = self._lane_of(envelope)
        if self._waits_for_its_asker(envelope):
            return True
        asker.ask_made(envelope)
        return False

    def _waits_for_its_asker(self, envelope: Envelope) -> bool:
        asker = envelope.asker
        return asker is not None and reaches(self.blocking(envelope), asker, Handling.waits_for)

    def _break_cycles(self) -> None:
        """What waits came to wait for more than it did when it was sent."""
        self.drop_waiting("cycle", CallCycleError, self._waits_for_its_asker)

    # -- running them ---------------------------------------------------------------------------------------------

    def ended(self, handling: Handling, value: Any, error: BaseException | None) -> None:
        """A run is over: settle its message, free its lane, and start what waited for it."""
        if handling.phase == FENCED:
            self.core.orphans.discard(handling)
            return
        never_entered = handling.phase == CREATED
        handling.over()
        if len(self.running) == 1:
            self.running = ()
        else:
            self._forget(handling)
        envelope = handling.envelope
        if envelope is None:
            self._hook_ended(error)
            return
        if never_entered and handling.interrupted is not None:
            self.drop(envelope, reason_of(handling.interrupted), handling.interrupted)
        else:
            self.served += 1
            envelope.settle(value, error)
        if self.mailbox is not None:
            self.pump()
        if not self.running:
            self._rest()

    def count_failure(self, error: BaseException) -> None:
        """Note that a message failed."""
        self.failed += 1
        self.last_error = type(error).__name__

    def restart(self) -> None:
        """Put a fresh actor in the place of this one once what runs has ended; counts against the budget."""
        self.core.record_failure(self.address)
        self.leave("restarted")

    def _forget(self, handling: Handling) -> None:
        running = self.running
        self.running = () if len(running) == 1 else tuple(other for other in running if other is not handling)

    def _rest(self) -> None:
        core = self.core
        if self.leaving is not None:
            self._leave()
        elif self.mailbox is None:
            if self.state == "cold":
                self._retire()
            else:
                self.last_used = core.tick
                core.directory.entries.move_to_end(self.address)
            if self.scope is not None:
                self.scope.rest(self)
        if core.draining:
            core.came_to_rest()

    def fence(self, handling: Handling) -> None:
        """The grace is over and ``handling`` still runs: orphan it and put a fresh actor in its place."""
        if handling.phase != ENTERED:
            return
        handling.fence()
        self.core.orphaned(handling)
        self._forget(handling)
        log.error("A message to %s ignored its cancellation and was fenced", self.address)
        if handling.envelope is None:
            self._hook_ended(handling.interrupted)
            return
        self.served += 1
        if handling.interrupted is not None:
            self.count_failure(handling.interrupted)
        handling.envelope.settle(None, handling.interrupted)
        self.core.record_failure(self.address)
        self._become_cold()

    # -- coming and going -----------------------------------------------------------------------------------------

    def activate(self) -> None:
        """Build the actor and run its `on_start`; what waits is started after it."""
        core = self.core
        self.state = "activating"
        self.epoch = core.next_epoch()
        try:
            actor = core.context.copy().run(self.kind.factory, self.address)
        except BaseException as exc:  # noqa: BLE001  # user code: even SystemExit must not stop the loop
            self._start_failed(exc)
            return
        actor.context = ActorContext(self)
        self.actor = actor
        self.laned = overrides(actor, "lane_of")
        if overrides(actor, "on_start"):
            start_hook(self, lambda _: actor.on_start(), None, core.limits.start_timeout)
        else:
            self._ready()

    def leave(self, reason: LeaveReason) -> None:
        """Leave memory once what runs has ended. Nothing more starts; what waits goes to the next incarnation."""
        if self.leaving is None and self.state not in ("passivating", "gone"):
            self.leaving = reason
            if not self.running:
                self._leave()
            elif self.mailbox is not None:
                self._break_cycles()

    def leave_when_idle(self, reason: LeaveReason) -> None:
        """Leave now if nothing runs and nothing waits; else nothing happens."""
        if not self.running and self.mailbox is None:
            self.leave(reason)

    def drop(self, envelope: Envelope, reason: DropReason, error: FlueError) -> FlueError:
        """Settle a message that will never be handled, and make it known."""
        envelope.settle(None, error)
        self.core.undeliverable(self.kind, self.address, envelope, reason)
        return error

    def drop_waiting(
        self,
        reason: DropReason,
        make_error: Callable[[], FlueError],
        wanted: Callable[[Envelope], bool] = lambda _: True,
    ) -> int:
        """Drop the waiting messages for which ``wanted`` holds; returns how many."""
        if self.mailbox is None:
            return 0
        dropped = self.mailbox.remove(wanted)
        if not self.mailbox:
            self.mailbox = None
        for envelope in dropped:
            self.drop(envelope, reason, make_error())
        if dropped:
            self.pump()  # what was dropped may have held back a lane
        return len(dropped)

    def _hook_ended(self, error: BaseException | None) -> None:
        if self.state == "passivating":
            if error is not None:
                log.error("on_stop() of %s failed", self.address, exc_info=error)
            self._left()
        elif error is not None:
            self._start_failed(error)
        else:
            self._ready()

    def _ready(self) -> None:
        self.state = "ready"
        if self.laned:
            self._ask_lanes()
        self.pump()
        if not self.running:
            self._rest()

    def _start_failed(self, error: BaseException) -> None:
        log.error("%s could not start", self.address, exc_info=error)
        self.last_error = type(error).__name__
        self.core.record_failure(self.address)
        self.actor = None
        self.state = "cold"
        waiting, self.mailbox = self.mailbox, None
        for envelope in waiting or ():
            self.drop(envelope, "start_failed", not_started(error))
        if not self.running and self.mailbox is None:
            self._rest()

    def _become_cold(self) -> None:
        self.actor = None
        self.state = "cold"
        if (pause := self.core.pause_left(self.address)) > 0:
            self.drop_waiting("unavailable", lambda: backing_off(pause))
        if self.mailbox is not None and self.leaving is None:
            self.pump()
        elif not self.running:
            self._rest()

    def _leave(self) -> None:
        actor, reason = self.actor, self.leaving
        if actor is None or reason is None or not overrides(actor, "on_stop"):
            self._left()
            return
        self.state = "passivating"
        start_hook(self, actor.on_stop, reason, self.core.limits.stop_timeout)

    def _left(self) -> None:
        comes_back = self._comes_back()
        self.core.left += 1
        self.actor = None
        self.state = "cold"
        self.leaving = None
        for reply in self.stoppers or ():
            reply.set(True)
        self.stoppers = None
        if not comes_back:
            self._gone()
        elif self.mailbox is not None:
            self._become_cold()
        else:
            self._rest()

    def _comes_back(self) -> bool:
        if self.core.draining or self.leaving in ("shutdown", "parent_done"):
            return False
        return self.kind.permanent or self.leaving == "restarted"

    def _retire(self) -> None:
        # A child stays, cold, until its parent's message is over: made anew it would be attached to nobody.
        if self.kind.permanent and self.scope is None:
            self._gone()

    def _gone(self) -> None:
        self.state = "gone"
        self.core.forget(self)
        waiting, self.mailbox = self.mailbox, None
        for envelope in waiting or ():
            self.drop(envelope, "stopped", ActorStoppedError())
        if self.scope is not None:
            self.scope.left(self)

    def _refuse_backing_off(self, envelope: Envelope, pause: float) -> FlueError:
        refusal = self.drop(envelope, "unavailable", backing_off(pause))
        if not self.running and self.mailbox is None:
            self._retire()
        return refusal
