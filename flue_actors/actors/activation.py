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
* Abort and stop act at once, past the mailbox: no backlog can hold them up.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from flue_actors.actors.actor import Actor, overrides
from flue_actors.actors.address import Address, DropReason, Kind, LeaveReason
from flue_actors.actors.children import Children
from flue_actors.actors.context import ActorContext
from flue_actors.actors.deadlock import reaches
from flue_actors.actors.envelope import Envelope
from flue_actors.actors.handling import CREATED, ENTERED, FENCED, JOINING, Handling, enter
from flue_actors.actors.mailbox import Mailbox
from flue_actors.actors.reply import Reply
from flue_actors.actors.statistics import State
from flue_actors.errors import (
    AbortedError,
    ActorStoppedError,
    ActorUnavailableError,
    CallCycleError,
    DeadlineExceededError,
    FlueError,
    InterruptedTurnError,
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
        if envelope.deadline is not None and (expired := self._arm(envelope)) is not None:
            return expired
        if self.state == "ready" and not self.running and self.mailbox is None and self.leaving is None:
            if self.laned:
                envelope.lane = self._lane_of(envelope)
            if self.scope is None:
                self._start(envelope)
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
            self.drop_waiting("abandoned", AbortedError, lambda waiting: waiting.abandoned)
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
            if not self._is_stale(envelope):
                self._start(envelope)

    def reschedule(self) -> None:
        """Ask for every lane again, of running and of waiting messages, and start what may start now."""
        for handling in self.running:
            if handling.envelope is not None:
                handling.lane = handling.envelope.lane = self._lane_of(handling.envelope)
        self._ask_lanes()
        self._break_cycles()
        self.pump()

    def _ask_lanes(self) -> None:
        for envelope in self.mailbox or ():
            envelope.lane = self._lane_of(envelope)

    def _is_stale(self, envelope: Envelope) -> bool:
        if envelope.abandoned:
            self.drop(envelope, "abandoned", AbortedError("The reply was given up."))
            return True
        if envelope.deadline is not None and envelope.deadline <= self.core.loop.time():
            self.drop(envelope, "expired", DeadlineExceededError())
            return True
        return False

    def _is_busy(self, envelope: Envelope) -> bool:
        waiting = self.mailbox or ()
        return bool(self.blocking(envelope)) or any(conflicts(envelope.lane, other.lane) for other in waiting)

    def _lane_of(self, envelope: Envelope) -> Hashable | None:
        if self.actor is None:
            return None
        try:
            lane = self.actor.lane_of(envelope.message)
            hash(lane)
        except Exception:
            log.exception("lane_of() of %s raised; the message runs alone", self.address)
            return None
        return lane

    def blocking(self, envelope: Envelope) -> Sequence[Handling]:
        """What runs now and must end before ``envelope`` may start, be it here already or about to come."""
        if self.leaving is not None or envelope.lane is None:
            return self.running
        for ahead in self.mailbox or ():
            if ahead is envelope:
                break
            if ahead.lane is None:  # it waits for everything that runs, and ``envelope`` for it
                return self.running
        return [handling for handling in self.running if conflicts(envelope.lane, handling.lane)]

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

    def _arm(self, envelope: Envelope) -> FlueError | None:
        deadline = envelope.deadline
        assert deadline is not None
        loop = self.core.loop
        if deadline <= loop.time():
            return self.drop(envelope, "expired", DeadlineExceededError())
        envelope.timer = loop.call_at(deadline, self._expire, envelope)
        return None

    def _expire(self, envelope: Envelope) -> None:
        envelope.timer = None
        if isinstance(envelope.where, Handling):
            envelope.where.interrupt(DeadlineExceededError)
        else:
            self.drop_waiting("expired", DeadlineExceededError, lambda waiting: waiting is envelope)

    # -- running them ---------------------------------------------------------------------------------------------

    def _start(self, envelope: Envelope) -> None:
        actor = self.actor
        assert actor is not None
        core = self.core
        core.tick = now = core.loop.time()
        envelope.where = handling = Handling(self, envelope, now)
        self.running = (*self.running, handling) if self.running else (handling,)
        handling.task = asyncio.Task(
            self._run(handling, actor.receive, envelope.message),
            loop=core.loop,
            name=self.kind.name,
            context=core.context.copy(),
        )

    async def _run(self, handling: Handling, function: Callable[..., Any], argument: Any) -> None:
        enter(handling)
        value = None
        error: BaseException | None = handling.interrupted
        if error is None:
            handling.phase = ENTERED
            try:
                value = function(argument)
                if hasattr(value, "__await__"):
                    value = await value
            except BaseException as exc:  # noqa: BLE001  # the one place that catches everything: see Handling.failure
                error = handling.failure(exc)
        if handling.children is not None:
            error = await self._join(handling, handling.children, error)
        if handling.phase == FENCED:
            self.core.orphans.discard(handling)
        else:
            if error is not None and handling.envelope is not None and handling.phase != CREATED:
                handling.envelope.settle(None, error)
                await self._failed(handling, handling.envelope, error)
            self._end(handling, value, error)
        error = None  # or the traceback's frame would keep itself alive

    async def _join(self, handling: Handling, children: Children, error: BaseException | None) -> BaseException | None:
        if handling.phase == FENCED:
            return error
        handling.phase = JOINING
        if error is not None:
            children.abort(parent_failed)
        await children.join(parent_failed)
        return error if error is not None else handling.interrupted

    async def _failed(self, handling: Handling, envelope: Envelope, error: BaseException) -> None:
        self.failed += 1
        self.last_error = type(error).__name__
        if handling.interrupted is not None:
            return
        level = logging.ERROR if envelope.reply_to is None else logging.INFO
        log.log(level, "A message to %s failed", self.address, exc_info=error)
        actor = self.actor
        if actor is None or handling.epoch != self.epoch or not overrides(actor, "on_failure"):
            return
        try:
            directive = actor.on_failure(type(error), error, error.__traceback__)
            if hasattr(directive, "__await__"):
                directive = await directive
        except BaseException:
            log.exception("on_failure() of %s raised", self.address)
            return
        if directive == "restart" and handling.phase == ENTERED:
            self.core.record_failure(self.address)
            self.leave("restarted")

    def _end(self, handling: Handling, value: Any, error: BaseException | None) -> None:
        if handling.phase == FENCED:
            self.core.orphans.discard(handling)
            return
        never_entered = handling.phase == CREATED
        handling.over()
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
        self.failed += 1
        self.last_error = type(handling.interrupted).__name__
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
            self._run_hook(lambda _: actor.on_start(), core.limits.start_timeout)
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

    def stop(self, reply: Reply[bool]) -> None:
        """Drop what waits, let what runs end, then leave; ``reply`` gets True after `on_stop`."""
        self.stoppers = [*(self.stoppers or ()), reply]
        self.drop_waiting("stopped", ActorStoppedError)
        self.leave("stopped")

    def abort(self, message_id: Hashable | None, make_error: Callable[[], FlueError]) -> int:
        """Cancel or drop the messages with this id (None: all of them); returns how many."""
        hit = 0
        for handling in self.running:
            if handling.envelope is not None and message_id in (None, handling.envelope.message_id):
                hit += handling.interrupt(make_error)
        return hit + self.drop_waiting("aborted", make_error, lambda e: message_id in (None, e.message_id))

    def abort_all(self, make_error: Callable[[], FlueError]) -> None:
        """Cancel everything, hooks included, and leave."""
        self.drop_waiting("aborted", make_error)
        self.interrupt_all(make_error)
        self.leave("parent_done")

    def interrupt_all(self, make_error: Callable[[], FlueError]) -> None:
        """Cancel everything that runs, hooks included."""
        for handling in self.running:
            handling.interrupt(make_error)

    def fence_all(self) -> None:
        """Give up on everything that still runs after its cancellation."""
        for handling in self.running:
            self.fence(handling)

    def free_lost(self) -> None:
        """End what a foreign hand cancelled before its first step: its coroutine was never entered."""
        for handling in self.running:
            if handling.phase == CREATED and handling.task is not None and handling.task.done():
                handling.interrupt(lost)
                self._end(handling, None, handling.interrupted)

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

    def _run_hook(self, hook: Callable[[Any], Any], timeout: float) -> None:
        core = self.core
        handling = Handling(self, None, core.loop.time())
        self.running = (*self.running, handling)
        handling.timer = core.loop.call_later(timeout, handling.interrupt, DeadlineExceededError)
        handling.task = asyncio.Task(
            self._run(handling, hook, None), loop=core.loop, name=self.kind.name, context=core.context.copy()
        )

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

        def could_not_start() -> FlueError:
            refusal = ActorUnavailableError("The actor could not start.")
            refusal.__cause__ = error
            return refusal

        self.actor = None
        self.state = "cold"
        waiting, self.mailbox = self.mailbox, None
        for envelope in waiting or ():
            self.drop(envelope, "start_failed", could_not_start())
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
        self._run_hook(lambda _: actor.on_stop(reason), self.core.limits.stop_timeout)

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
            self._retire()

    def _comes_back(self) -> bool:
        if self.core.draining or self.leaving in ("shutdown", "parent_done"):
            return False
        return self.kind.permanent or self.leaving == "restarted"

    def _retire(self) -> None:
        if self.kind.permanent:
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


def conflicts(one: Hashable | None, other: Hashable | None) -> bool:
    """True when messages of these lanes must not run side by side."""
    return one is None or other is None or one == other


def earliest(one: float | None, other: float | None) -> float | None:
    """The earlier of two deadlines, either of which may be missing."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def reason_of(interruption: FlueError) -> DropReason:
    """Why a message was dropped that was cancelled between the start of its Task and its first step."""
    if isinstance(interruption, DeadlineExceededError):
        return "expired"
    return "stopped" if isinstance(interruption, InterruptedTurnError) else "aborted"


def lost() -> FlueError:
    """What the asker of a message gets whose Task was cancelled from outside before its first step."""
    return AbortedError("The work was cancelled from outside.")


def parent_failed() -> FlueError:
    """What the messages of a child get when the message that spawned it did not end well."""
    return AbortedError("The work this was part of has ended.")


def backing_off(pause: float) -> FlueError:
    """What a message gets while its actor must not start."""
    return ActorUnavailableError("The actor is pausing after failures.", retry_after=pause)
