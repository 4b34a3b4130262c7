"""A seeded random walk over everything a sender can do, against a small reference model.

Each message gets a number. The actors write what happens to it; at the end the model checks that nothing was lost,
unsettled, settled twice, started after it should not have been, or started out of order within its lane.
"""

import asyncio
import contextvars
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from flue_actors.actors import Actor, ActorLimits, ActorRef, ActorSystem, Address, Reply
from flue_actors.errors import FlueError
from tests.actors.helpers import now

ACTORS = 5
GRACE = 3.0
LANES = (None, None, "x", "y")


class Message:
    def __init__(self, number: int, lane: Any, plan: str, target: "Address") -> None:
        self.number = number
        self.lane = lane
        self.plan = plan
        self.target = target
        self.is_fenced: Callable[[], bool] = lambda: False

    def __repr__(self) -> str:
        return f"<{self.number} {self.plan} to {self.target}>"


class Walk:
    """One random walk. ``faults`` lists, in the end, everything that went wrong."""

    def __init__(self, seed: int, operations: int) -> None:
        self.rng = random.Random(seed)
        self.operations = operations
        self.numbers = 0
        self.faults: list[str] = []
        self.sent: dict[Address, list[Message]] = defaultdict(list)  # in order of acceptance
        self.started: dict[Address, list[Message]] = defaultdict(list)
        self.running: dict[Address, list[Message]] = defaultdict(list)
        self.ended: set[int] = set()
        self.dropped: dict[int, str] = {}
        self.asked: list[tuple[Message, asyncio.Task[Any]]] = []
        self.replies: dict[int, Reply[Any]] = {}
        self.deadlines: dict[int, float] = {}
        self.due: dict[int, float] = {}  # when a message that had not started was aborted
        self.settled_at: dict[int, float] = {}
        self.abandoned: set[int] = set()
        self.children_at_work: Counter[int] = Counter()

    async def run(self) -> None:
        limits = ActorLimits(
            mailbox_size=6, passivate_after=5, max_active=4, cancel_grace=GRACE, max_children=2, restart_budget=10_000
        )
        self.system = ActorSystem(limits=limits, rng=random.Random(1))
        self.system.register("plain", lambda address: Walker(self, address), undelivered=self.undelivered)
        self.system.register("laned", lambda address: LanedWalker(self, address), undelivered=self.undelivered)
        await self.system.start()
        for _ in range(self.operations):
            self.step()
            await asyncio.sleep(self.rng.choice((0, 0, 0, 0, 0.1, 0.5, 2, 8)))
        await self.settle()
        self.check()

    def step(self) -> None:
        roll = self.rng.random()
        ref = self.any_ref()
        if roll < 0.45:
            self.ask(ref)
        elif roll < 0.65:
            self.tell(ref)
        elif roll < 0.75:
            self.abort(ref, self.rng.randrange(max(1, self.numbers - 10), self.numbers + 2))
        elif roll < 0.80:
            self.abort(ref, None)
        elif roll < 0.85:
            ref.stop()
        elif roll < 0.93 and self.asked:
            self.abandon(self.rng.choice(self.asked[-8:])[0])
        else:
            for _ in range(self.rng.randrange(8)):
                self.ask(ref)

    def abort(self, ref: ActorRef, number: int | None) -> None:
        for message in self.sent[ref.address]:
            if number in (None, message.number) and message not in self.started[ref.address]:
                self.due.setdefault(message.number, now())
        ref.abort(number)

    def abandon(self, message: Message) -> None:
        running = self.system.ref(message.target.kind, message.target.id).status().running
        if message.number not in [started.message_id for started in running]:
            self.abandoned.add(message.number)
        self.replies[message.number].cancel()

    def any_ref(self) -> ActorRef:
        return self.system.ref(self.rng.choice(("plain", "laned")), str(self.rng.randrange(ACTORS)))

    def message(self, ref: ActorRef) -> Message:
        self.numbers += 1
        plans = ("now", "now", "pause", "sleep", "fail", "stubborn", "ask", "child", "children", "detached", "restart")
        return Message(self.numbers, self.rng.choice(LANES), self.rng.choice(plans), ref.address)

    def options(self, message: Message) -> dict[str, Any]:
        options: dict[str, Any] = {"message_id": message.number}
        if self.rng.random() < 0.3:
            options["deadline"] = self.deadlines[message.number] = now() + self.rng.choice((0, 0.1, 1, 5))
        if self.rng.random() < 0.1:
            options["if_busy"] = "reject"
        return options

    def tell(self, ref: ActorRef) -> None:
        message = self.message(ref)
        self.sent[ref.address].append(message)
        try:
            ref.tell(message, **self.options(message))
        except FlueError:
            if message.number not in self.dropped:
                self.faults.append(f"{message}: refused without notice")

    def ask(self, ref: ActorRef) -> asyncio.Task[Any]:
        message = self.message(ref)
        self.sent[ref.address].append(message)
        reply = self.replies[message.number] = ref.ask(message, **self.options(message))
        reply.future.add_done_callback(lambda _: self.settled(message))
        task = asyncio.ensure_future(self.answer(reply))
        self.asked.append((message, task))
        return task

    async def answer(self, reply: Reply[Any]) -> Any:
        return await reply

    def settled(self, message: Message) -> None:
        self.settled_at[message.number] = now()
        if self.children_at_work[message.number] and not self.replies[message.number].future.cancelled():
            self.faults.append(f"{message}: settled before its children")

    def undelivered(self, address: Address, message: Message, reason: str) -> None:
        if message.number in self.dropped:
            self.faults.append(f"{message}: dropped twice, {self.dropped[message.number]} and {reason}")
        if message in self.started[address]:
            self.faults.append(f"{message}: dropped ({reason}) after it had started")
        self.dropped[message.number] = reason

    def enter(self, address: Address, message: Message) -> None:
        if message.number in self.dropped:
            self.faults.append(f"{message}: started though dropped ({self.dropped[message.number]})")
        if message in self.started[address]:
            self.faults.append(f"{message}: started twice")
        if message.number in self.abandoned:
            self.faults.append(f"{message}: started though abandoned")
        if now() > self.deadlines.get(message.number, now()):
            self.faults.append(f"{message}: started after its deadline")
        lane = message.lane if address.kind == "laned" else None
        for other in self.running[address]:
            if other.is_fenced():
                continue
            other_lane = other.lane if address.kind == "laned" else None
            if lane is None or other_lane is None or lane == other_lane:
                self.faults.append(f"{message}: started while {other} ran")
        self.started[address].append(message)
        self.running[address].append(message)

    def leave(self, address: Address, message: Message) -> None:
        if message in self.running[address]:
            self.running[address].remove(message)
        self.ended.add(message.number)

    async def settle(self) -> None:
        await asyncio.sleep(400)
        self.faults += [f"{message}: unsettled" for message, task in self.asked if not task.done()]
        await self.system.stop(timeout=10)
        await asyncio.sleep(100)

    def check(self) -> None:
        for message, task in self.asked:
            self.check_times(message)
            if not task.done():
                self.faults.append(f"{message}: unsettled after the stop")
                task.cancel()
            elif not task.cancelled() and not self.is_expected(task.exception()):
                self.faults.append(f"{message}: {task.exception()!r}")
        for address, messages in self.sent.items():
            for message in messages:
                if message not in self.started[address] and message.number not in self.dropped:
                    self.faults.append(f"{message}: lost")
            self.check_order(address)
        if self.system.snapshot().actors:
            self.faults.append(f"left behind: {self.system.snapshot().actors}")

    def is_expected(self, error: BaseException | None) -> bool:
        return error is None or isinstance(error, FlueError) or str(error) == "planned"

    def check_times(self, message: Message) -> None:
        number = message.number
        settled_at = self.settled_at.get(number, 1e9)
        begun = message in self.started[message.target]
        if not begun and settled_at > self.due.get(number, 1e9):
            self.faults.append(f"{message}: aborted late")
        deadline = self.deadlines.get(number, 1e9)
        if settled_at > (deadline + GRACE + 0.01 if begun else deadline + 0.01):
            self.faults.append(f"{message}: late")

    def check_order(self, address: Address) -> None:
        lanes: dict[Any, list[int]] = defaultdict(list)
        for message in self.started[address]:
            lanes[message.lane if address.kind == "laned" else None].append(message.number)
            if message.lane is None:
                self.check_barrier(address, message)
        for lane, numbers in lanes.items():
            if numbers != sorted(numbers):
                self.faults.append(f"{address} lane {lane}: reordered {numbers}")

    def check_barrier(self, address: Address, barrier: Message) -> None:
        at = self.started[address].index(barrier)
        for position, message in enumerate(self.started[address]):
            if (message.number < barrier.number) != (position < at) and message is not barrier:
                self.faults.append(f"{message}: passed {barrier}, which runs alone")


class Walker(Actor):
    def __init__(self, walk: Walk, address: Address) -> None:
        super().__init__()
        self.walk = walk
        self.address = address

    async def on_start(self) -> None:
        if self.walk.rng.random() < 0.5:
            await asyncio.sleep(self.walk.rng.choice((0, 0.5)))
        if self.walk.rng.random() < 0.05:
            raise ValueError("planned")

    async def on_stop(self, reason: str) -> None:
        await asyncio.sleep(self.walk.rng.choice((0, 0.5)))

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> str | None:
        return "restart" if str(exception_value) == "planned" and self.walk.rng.random() < 0.3 else None

    async def on_receive(self, message: Message) -> int:
        inside = contextvars.copy_context()
        message.is_fenced = lambda: inside.run(lambda: self.context.fenced)
        self.walk.enter(self.address, message)
        try:
            await self.act(message)
        finally:
            self.walk.leave(self.address, message)
        return message.number

    async def act(self, message: Message) -> None:
        rng = self.walk.rng
        match message.plan:
            case "pause":
                await asyncio.sleep(0)
            case "sleep":
                await asyncio.sleep(rng.choice((0.1, 1, 4)))
            case "fail" | "restart":
                await asyncio.sleep(rng.choice((0, 0.1)))
                raise ValueError("planned")
            case "stubborn":
                await self.stubborn()
            case "ask":
                await self.walk.ask(self.walk.any_ref())
            case "child" | "detached":
                ref = self.context.spawn(lambda _: Child(), detached=message.plan == "detached")
                await ref.ask(rng.choice((0, 1, 3)))
            case "children":
                refs = [self.context.spawn(lambda _: Child(self.walk, message.number)) for _ in range(4)]
                for ref in refs:
                    ref.tell(rng.choice((0, 1)))
            case _:
                pass

    async def stubborn(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.walk.rng.choice((1, 20))
        try:
            while loop.time() < end:
                try:
                    await asyncio.sleep(end - loop.time())
                except asyncio.CancelledError:
                    continue
        except GeneratorExit:
            return


class LanedWalker(Walker):
    def lane_of(self, message: Message) -> Any:
        return message.lane


class Child(Actor):
    def __init__(self, walk: Walk | None = None, parent: int = 0) -> None:
        super().__init__()
        self.walk = walk
        self.parent = parent

    async def on_receive(self, message: float) -> None:
        if self.walk is None:
            await asyncio.sleep(message)
            return
        self.walk.children_at_work[self.parent] += 1
        try:
            await asyncio.sleep(message)
        finally:
            self.walk.children_at_work[self.parent] -= 1
