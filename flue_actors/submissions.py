"""Accepted inputs in this process: what was sent, who waits for it, and how much is under way per instance.

The durable side of a submission is a row (`storage.Submission`); here live the payload's shape, the handle its sender
holds, and the counts that bound how much may wait.
"""

import asyncio
from typing import Any

import msgspec

from flue_actors.clock import iso
from flue_actors.definition.guards import Principal
from flue_actors.errors import FlueError
from flue_actors.events import PromptResult
from flue_actors.ids import AgentKey
from flue_actors.observing import Feed, Subscription
from flue_actors.storage import Submission


class PromptInput(msgspec.Struct, frozen=True, tag_field="kind", tag="prompt"):
    """A message from a person or program, sent directly."""

    message: str


class DispatchInput(msgspec.Struct, frozen=True, tag_field="kind", tag="dispatch"):
    """An event handed over by the application: any JSON."""

    input: Any


Input = PromptInput | DispatchInput
encode_input = msgspec.json.Encoder().encode
decode_input = msgspec.json.Decoder(Input).decode


class Pending:
    """One accepted input until it is settled: the `agent_ref.Submitted` its sender holds."""

    __slots__ = (
        "_instances",
        "_outcome",
        "_subscription",
        "claimed",
        "first",
        "instance",
        "principal",
        "settled",
        "started_at",
        "submission",
    )

    def __init__(
        self, submission: Submission, instances: "LiveInstances", *, principal: Principal | None, watch: bool
    ) -> None:
        self._instances = instances
        self.submission = submission
        self.instance = instance = instances.enter(submission.key, submission.session)
        self.principal = principal
        self.first = instance.pending_in(submission.session) == 1  # nothing of its session is stored or under way
        self.started_at = 0  # milliseconds since the epoch; 0 until it runs
        self.claimed = False  # an attempt began: what it did is in the history
        self.settled = False  # its outcome is known here
        self._subscription = instance.feed.subscribe(submission.id) if watch else None
        self._outcome: asyncio.Future[PromptResult] | None = None

    @property
    def submission_id(self) -> str:
        """``sub_...``."""
        return self.submission.id

    @property
    def accepted_at(self) -> str:
        """ISO timestamp."""
        return iso(self.submission.accepted_at)

    @property
    def feed(self) -> Subscription:
        """Its events from the first on; only when submitted with ``watch=True``."""
        if self._subscription is None:
            raise ValueError("this submission is not watched: submit it with watch=True")
        return self._subscription

    @property
    def outcome(self) -> "asyncio.Future[PromptResult]":
        """Resolves when the outcome is durable; fails with the `TurnError` of a failed or aborted submission."""
        if self._outcome is None:
            self._outcome = asyncio.get_running_loop().create_future()
            self._outcome.add_done_callback(_retrieve)
        return self._outcome

    async def result(self) -> PromptResult:
        """Wait for the outcome; cancelling the wait does not stop the work. Raises TurnError."""
        return await asyncio.shield(self.outcome)

    def complete(self, result: PromptResult) -> None:
        """It is settled ``completed``. What settles first counts."""
        if self._settle():
            self.outcome.set_result(result)

    def fail(self, error: FlueError) -> None:
        """It is settled ``failed`` or ``aborted``. What settles first counts."""
        if self._settle():
            self.outcome.set_exception(error)

    def _settle(self) -> bool:
        """True when somebody may be told: what settles first counts, and an outcome that was given up is told to none."""
        if self.settled:
            return False
        self.settled = True
        self._instances.leave(self)
        return not self.outcome.done()

    def begin(self, at_ms: int) -> None:
        """Its actor took it up."""
        self.started_at = at_ms
        self.instance.running.append(self)

    def refuse(self) -> None:
        """It was never admitted: nobody has seen it."""
        self.unwatch()
        self._instances.leave(self)

    def unwatch(self) -> None:
        """Its sender left: nobody will read its events."""
        if self._subscription is not None:
            self._subscription.close()


def _retrieve(outcome: "asyncio.Future[PromptResult]") -> None:
    # Nobody has to wait for an outcome: it is in the store.
    if not outcome.cancelled():
        outcome.exception()


class LiveInstance:
    """What one instance has under way: created with its first input, dropped when nothing is left and nobody reads."""

    __slots__ = ("_sessions", "feed", "key", "pending", "running", "settling")

    def __init__(self, key: AgentKey) -> None:
        self.key = key
        self.pending = 0
        self.feed = Feed()
        self.running: list[Pending] = []
        self.settling: set[asyncio.Task[None]] = set()  # inputs that are settled past the actor
        self._sessions: dict[str, int] = {}

    def add(self, session: str) -> None:
        """One more input of this session is on its way."""
        self.pending += 1
        self._sessions[session] = self._sessions.get(session, 0) + 1

    def remove(self, session: str) -> None:
        """One of them is settled, or was refused."""
        self.pending -= 1
        left = self._sessions[session] - 1
        if left:
            self._sessions[session] = left
        else:
            del self._sessions[session]

    async def decided(self) -> None:
        """Wait until what is settled past the actor is: before that, an attempt that was fenced may still write."""
        while self.settling:
            await asyncio.wait(self.settling)

    def pending_in(self, session: str) -> int:
        """Inputs of one session under way."""
        return self._sessions.get(session, 0)


class LiveInstances:
    """Every instance with work under way: memory follows live work, never ids ever seen."""

    __slots__ = ("_instances", "_quiet", "pending")

    def __init__(self) -> None:
        self._instances: dict[AgentKey, LiveInstance] = {}
        self._quiet: asyncio.Future[None] | None = None
        self.pending = 0

    def __len__(self) -> int:
        return len(self._instances)

    def get(self, key: AgentKey) -> LiveInstance | None:
        """The instance, if it has work under way."""
        return self._instances.get(key)

    def enter(self, key: AgentKey, session: str) -> LiveInstance:
        """Count one more input of this instance."""
        instance = self._instances.get(key)
        if instance is None:
            instance = self._instances[key] = LiveInstance(key)
        instance.add(session)
        self.pending += 1
        return instance

    def leave(self, pending: Pending) -> None:
        """One input is settled or was refused. Readers keep the feed alive on their own."""
        instance = pending.instance
        if pending in instance.running:
            instance.running.remove(pending)
        instance.remove(pending.submission.session)
        instance.feed.forget(pending.submission_id)
        self.pending -= 1
        if instance.pending == 0:
            del self._instances[instance.key]
        if self.pending == 0 and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    async def quiet(self) -> None:
        """Wait until nothing is under way. For one waiter."""
        while self.pending:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet
