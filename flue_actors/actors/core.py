"""`Core`: what the activations of one system share. The machinery behind `ActorSystem`; not for users.

Everything here runs on the loop's thread, but for `post`, which hands what comes from other threads to one deque with
one armed wake-up: 60 times cheaper than a wake-up for each message.
"""

import asyncio
import contextvars
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future as ThreadFuture
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flue_actors.actors.activation import Activation
from flue_actors.actors.address import Address, DropReason, Kind
from flue_actors.actors.children import Children
from flue_actors.actors.control import abort_messages, fence_all, free_lost, interrupt_all, stop_activation
from flue_actors.actors.dead_letters import DeadLetter, DeadLetters
from flue_actors.actors.deadlines import earliest
from flue_actors.actors.directory import Directory
from flue_actors.actors.envelope import Envelope
from flue_actors.actors.handling import Handling, current
from flue_actors.actors.limits import ActorLimits
from flue_actors.actors.ref import ActorRef
from flue_actors.actors.refusals import backing_off, stopping
from flue_actors.actors.reply import Reply
from flue_actors.actors.statistics import ActorStatus
from flue_actors.actors.status import status_of
from flue_actors.actors.supervision import RestartRecord, after_failure, is_forgiven
from flue_actors.clock import Clock
from flue_actors.errors import (
    ActorError,
    ActorStoppedError,
    ActorUnavailableError,
    DepthLimitError,
    FlueError,
    MailboxFullError,
)

if TYPE_CHECKING:
    from flue_actors.actors.actor import Actor
    from flue_actors.actors.system import ActorSystem

T = TypeVar("T")

log = logging.getLogger(__name__)

_BATCH = 1_024
"""Foreign messages, and passivations, handled in one go before the loop may do something else."""


class Core:
    """See the module docstring.

    Attributes:
        tick: Loop time when a message last started or the sweeper last ran: free to read.
        context: The context every handler starts from, as it was when the system started.
        draining: Set while the system stops: only what running messages need is still taken.
        orphans: Fenced messages whose task still runs.
    """

    loop: asyncio.AbstractEventLoop = cast("asyncio.AbstractEventLoop", None)
    """Set by `start`; a Future made with None before takes the running loop, which is what a refusal needs."""

    def __init__(self, system: "ActorSystem", limits: ActorLimits, clock: Clock, rng: random.Random) -> None:
        self.system = system
        self.limits = limits
        self.clock = clock
        self.rng = rng
        self.kinds: dict[str, Kind] = {}
        self.directory = Directory()
        self.dead_letters = DeadLetters(limits.dead_letters)
        self.orphans: set[Handling] = set()
        self.context = contextvars.Context()
        self.started = False
        self.draining = False
        self.tick = 0.0
        self.activations = 0
        self.left = 0
        self.fenced = 0
        self.served = 0
        self.failed = 0
        self.now: Callable[[], float] = time.monotonic
        self._thread = -1
        self._restarts: dict[Address, RestartRecord] = {}
        self._ingress: deque[tuple[Address, Envelope, bool]] = deque()
        self._armed = False
        self._sweeper: asyncio.TimerHandle | None = None
        self._changed: asyncio.Future[None] | None = None
        self._patience = 0.0  # loop time until which a drain waits

    def start(self) -> None:
        """Take the running loop and the present context."""
        self.loop = loop = asyncio.get_running_loop()
        # asyncio's own loops read this clock through two Python calls: 70 ns a message.
        self.now = time.monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time
        self.context = contextvars.copy_context()
        self._thread = get_ident()
        self.tick = self.loop.time()
        self.started = True

    def ref(self, address: Address) -> ActorRef:
        """A ref to ``address``, whether there is an actor or not."""
        return ActorRef(self, address)

    # -- messages -------------------------------------------------------------------------------------------------

    def post(self, address: Address, envelope: Envelope, reject_if_busy: bool) -> FlueError | None:
        """Deliver a message; a refusal is returned, and the asker has it too."""
        if get_ident() != self._thread:
            return self._post_from_outside(address, envelope, reject_if_busy)
        activation = self.directory.entries.get(address)
        if activation is not None and not self.draining:
            return activation.post(envelope, reject_if_busy)
        admitted = self._admit(address, envelope)
        return admitted.post(envelope, reject_if_busy) if isinstance(admitted, Activation) else admitted

    def _admit(self, address: Address, envelope: Envelope) -> Activation | FlueError:
        kind, activation = self.kinds.get(address.kind), self.directory.entries.get(address)
        if self.started and self.draining and envelope.asker is None:
            return self._refuse(address, envelope, "unavailable", ActorUnavailableError("The system is stopping."))
        if activation is not None:
            return activation
        if not self.started or kind is None:
            return self._refuse(address, envelope, "stopped", ActorStoppedError())
        if (pause := self.pause_left(address)) > 0:
            return self._refuse(address, envelope, "unavailable", backing_off(pause))
        return self.enter(Activation(self, address, kind, None, 0))

    def _refuse(self, address: Address, envelope: Envelope, reason: DropReason, error: FlueError) -> FlueError:
        envelope.settle(None, error)
        self.undeliverable(self.kinds.get(address.kind), address, envelope, reason)
        return error

    def undeliverable(self, kind: Kind | None, address: Address, envelope: Envelope, reason: DropReason) -> None:
        """Make it known that a message will never be handled."""
        self.dead_letters.add(DeadLetter(address, envelope.message, reason, self.clock.now_ms()))
        if kind is None or kind.undelivered is None:
            return
        try:
            kind.undelivered(address, envelope.message, reason)
        except Exception:
            log.exception("The undelivered callback of %s raised", address.kind)

    def _post_from_outside(self, address: Address, envelope: Envelope, reject_if_busy: bool) -> FlueError | None:
        if not self.started:
            return self._refuse(address, envelope, "stopped", ActorStoppedError("The actor system is not running."))
        if len(self._ingress) >= self.limits.ingress:
            return self._refuse(address, envelope, "overflow", MailboxFullError("Too many messages from threads."))
        self._ingress.append((address, envelope, reject_if_busy))
        if not self._armed:
            self._armed = True
            self.loop.call_soon_threadsafe(self._take_ingress)
        return None

    def _take_ingress(self) -> None:
        for _ in range(min(len(self._ingress), _BATCH)):
            address, envelope, reject_if_busy = self._ingress.popleft()
            self.post(address, envelope, reject_if_busy)
        # Disarm before looking again: a thread that appended meanwhile saw "armed" and did not call.
        self._armed = False
        if self._ingress:
            self._armed = True
            self.loop.call_soon(self._take_ingress)

    def on_loop(self, function: Callable[[], T]) -> T:
        """Call ``function`` on the loop's thread and return its result; from any thread."""
        if get_ident() == self._thread:
            return function()
        done: ThreadFuture[T] = ThreadFuture()

        def call() -> None:
            try:
                done.set_result(function())
            except Exception as exc:  # noqa: BLE001  # carried to the calling thread
                done.set_exception(exc)

        self.loop.call_soon_threadsafe(call)
        return done.result()

    @property
    def ingress_depth(self) -> int:
        """Messages of foreign threads that wait for the loop."""
        return len(self._ingress)

    def limit(self, envelope: Envelope, deadline: float | None) -> None:
        """Have the message end by ``deadline`` too."""
        envelope.deadline = earliest(envelope.deadline, deadline)

    def abort(self, address: Address, message_id: Hashable | None, make_error: Callable[[], FlueError]) -> int:
        """See `ActorRef.abort`."""
        activation = self.directory.entries.get(address)
        return 0 if activation is None else abort_messages(activation, message_id, make_error)

    # -- actors ---------------------------------------------------------------------------------------------------

    def enter(self, activation: Activation) -> Activation:
        """Put a new activation into the directory, making room for it if there are too many."""
        self.directory.add(activation)
        if len(self.directory.entries) > self.limits.max_active:
            surplus = self.directory.least_used(among=8)
            if surplus is not None and surplus is not activation:
                surplus.leave("evicted")
        if self._sweeper is None:
            self.tick = self.loop.time()
            activation.last_used = self.tick
            self._sweeper = self.loop.call_later(self.limits.passivate_after / 10, self._sweep)
        return activation

    def forget(self, activation: Activation) -> None:
        """Take an activation that left out of the directory."""
        self.directory.remove(activation)
        self.served += activation.served
        self.failed += activation.failed
        self.came_to_rest()

    def wake(self, address: Address) -> Activation:
        """The activation at ``address``, made and started if there is none."""
        activation = self.directory.entries.get(address)
        if activation is None:
            kind = self.kinds.get(address.kind)
            if kind is None or not self.started or self.draining:
                raise ActorStoppedError
            activation = self.enter(Activation(self, address, kind, None, 0))
        if activation.state == "cold":
            activation.activate()
        return activation

    def stop_actor(self, address: Address, reply: Reply[bool]) -> None:
        """See `ActorRef.stop`."""
        activation = self.directory.entries.get(address)
        if activation is None:
            reply.set(False)
        else:
            stop_activation(activation, reply)

    def status(self, address: Address) -> ActorStatus:
        """See `ActorRef.status`."""
        activation = self.directory.entries.get(address)
        return ActorStatus(address=address, state="cold") if activation is None else status_of(activation)

    def reachable(self, address: Address) -> bool:
        """True when a message to ``address`` would be taken."""
        return self.started and (address.kind in self.kinds or address in self.directory.entries)

    def spawn(
        self, parent: Activation, what: "str | Callable[[Address], Actor]", id: str | None, *, detached: bool
    ) -> ActorRef:
        """See `ActorContext.spawn`."""
        nesting = parent.nesting + 1
        if nesting > self.limits.max_depth:
            raise DepthLimitError(f"Children nest deeper than {self.limits.max_depth}.")
        scope = None if detached else self._scope(parent)
        kind = self._kind_of_child(what)
        address = Address(kind.name, id if id is not None else f"{parent.address.id}/{self.next_epoch()}")
        if address in self.directory.entries:
            raise ActorError(f"There is an actor at {address} already.")
        child = self.enter(Activation(self, address, kind, scope, nesting))
        if scope is not None:
            scope.adopt(child)
        return self.ref(address)

    def _scope(self, parent: Activation) -> Children:
        handling = current()
        if handling is None or handling.activation is not parent:
            raise ActorError("An attached child belongs to a message: spawn it in the handler, or detached.")
        if handling.interrupted is not None:
            raise ActorError("The message is cancelled, and so would be its child.")
        if handling.children is None:
            handling.children = Children(handling, self.limits.max_children)
        return handling.children

    def _kind_of_child(self, what: "str | Callable[[Address], Actor]") -> Kind:
        if isinstance(what, str):
            return self.kinds[what]
        name = "~" + getattr(what, "__name__", type(what).__name__)
        return Kind(name, what, capacity=self.limits.mailbox_size, undelivered=None, permanent=False)

    def next_epoch(self) -> int:
        """Higher at each call: no address remembers its own."""
        self.activations += 1
        return self.activations

    def _sweep(self) -> None:
        """Passivate what has been idle for long, and free what a foreign hand cancelled before its first step."""
        limits = self.limits
        self.tick = now = self.loop.time()
        self._for_all(free_lost)
        idle = self.directory.idle_since(now - limits.passivate_after, _BATCH)
        for activation in idle:
            activation.leave("idle")
        for address in [a for a, record in self._restarts.items() if is_forgiven(record, now, limits)]:
            del self._restarts[address]
        pause = 0.0 if len(idle) == _BATCH else limits.passivate_after / 10
        again = self.directory.entries or self._restarts
        self._sweeper = self.loop.call_later(pause, self._sweep) if again else None

    # -- failures -------------------------------------------------------------------------------------------------

    def record_failure(self, address: Address) -> None:
        """Count a failure of the actor itself (not of a message) against its restart budget."""
        record = self._restarts.get(address, RestartRecord())
        self._restarts[address] = after_failure(record, self.loop.time(), self.limits, self.rng)

    def pause_left(self, address: Address) -> float:
        """Seconds for which the actor must not start; 0 when it may."""
        record = self._restarts.get(address)
        return 0.0 if record is None else max(0.0, record.until - self.loop.time())

    @property
    def backing_off(self) -> int:
        """How many actors must not start at present."""
        now = self.loop.time()
        return sum(record.until > now for record in self._restarts.values())

    def orphaned(self, handling: Handling) -> None:
        """A message was fenced; its task is kept until it ends."""
        self.fenced += 1
        self.orphans.add(handling)

    # -- stopping -------------------------------------------------------------------------------------------------

    async def drain(self, timeout: float) -> None:
        """Let what runs end, cancel it after ``timeout``, then let every actor leave; each step has its bound."""
        grace = self.limits.stop_grace
        self.draining = True
        self._for_all(lambda a: a.drop_waiting("stopped", stopping, lambda envelope: envelope.asker is None))
        await self._until(self._is_quiet, timeout)
        self._for_all(lambda a: interrupt_all(a, stopping))
        await self._until(self._is_quiet, grace)
        self._for_all(fence_all)
        for (
            orphan
        ) in self.orphans:  # once more: one that is patient with something outlives the system by that patience
            if orphan.task is not None:
                orphan.task.cancel()
        self._for_all(lambda a: a.leave("shutdown"))
        await self._until(lambda: not self.directory.entries, grace)
        self._for_all(lambda a: interrupt_all(a, stopping))
        self._for_all(fence_all)
        self.started = False
        self._take_ingress()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def hurry(self, timeout: float) -> None:
        """Shorten the wait of a drain that is under way."""
        self._patience = min(self._patience, self.loop.time() + timeout)
        self.came_to_rest()

    def came_to_rest(self) -> None:
        """Something changed that `drain` may wait for."""
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _for_all(self, action: Callable[[Activation], Any]) -> None:
        for activation in list(self.directory.entries.values()):
            action(activation)

    def _is_quiet(self) -> bool:
        return not any(activation.running for activation in self.directory.entries.values())

    async def _until(self, reached: Callable[[], bool], seconds: float) -> None:
        self._patience = self.loop.time() + seconds
        while not reached() and self.loop.time() < self._patience:
            self._changed = self.loop.create_future()
            try:
                async with asyncio.timeout_at(self._patience):
                    await self._changed
            except TimeoutError:
                return
