"""Accepted inputs in this process: what was sent, who waits for it, and how much is under way per instance.

The durable side of a submission is a row (`storage.Submission`); here live the handle its sender holds, and the counts
that bound how much may wait.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from flue_actors.clock import iso
from flue_actors.conversation.approval import Approval, Verdict
from flue_actors.definition.guards import Principal
from flue_actors.definition.results import ResultShape
from flue_actors.definition.tools import Tool
from flue_actors.errors import FlueError, SubmissionNotFoundError
from flue_actors.events import PromptResult
from flue_actors.ids import TASK_PREFIX, AgentKey, is_below
from flue_actors.lifetime import Lifetime
from flue_actors.observing import Feed, Feeds, Subscription, watched
from flue_actors.session import Session
from flue_actors.storage import Submission


class Pending:
    """One accepted input until it is settled: the `agent_ref.Submitted` its sender holds.

    Attributes:
        principal: Who sent it.
        first: Nothing of its session is stored or under way.
        seq: The seq of its session's newest entry when it was accepted.
        arrived_at: Loop time of its arrival here.
        started_at: Milliseconds since the epoch; 0 until it is worked on.
        resumed: An earlier attempt left something behind, here or in another process.
        abort: Somebody wants it aborted, for this reason.
        host: The one whose turn it joined, and is settled with.
        settled: Its outcome is known here.
        approvals: Its calls that need somebody's decision, by their rows' names in the journal.
        decided: What was decided on its calls in this process, by their approvals' ids.
        suspended: It is not worked on until those are decided.
        due: It was suspended, and is handed to its actor again.
        held: The suspended input before it, because of which its actor left it alone.
        holds: Others were left alone because of it.
        posted: How often it is in its actor's hands.
        tools: Tools for this input alone; gone after a restart.
        shape: The type of the structured result its sender wants, if it is sent from here.
    """

    __slots__ = (
        "_instances",
        "_outcome",
        "_subscription",
        "abort",
        "approvals",
        "arrived_at",
        "decided",
        "due",
        "first",
        "held",
        "holds",
        "host",
        "instance",
        "posted",
        "principal",
        "resumed",
        "seq",
        "settled",
        "shape",
        "started_at",
        "submission",
        "suspended",
        "tools",
    )

    def __init__(
        self, submission: Submission, instances: "LiveInstances", *, principal: Principal | None, watch: bool
    ) -> None:
        self._instances = instances
        self._outcome: asyncio.Future[PromptResult] | None = None
        self.submission = submission
        self.instance = instance = instances.enter(self)
        self.principal = principal
        self.first = instance.pending_in(submission.session) == 1
        self.seq = 0
        self.arrived_at = asyncio.get_running_loop().time()
        self.started_at = 0
        self.resumed = submission.attempt > 0
        self.abort = submission.abort
        self.host: Pending | None = None
        self.settled = False
        self.suspended = submission.status == "waiting"
        self.due = False
        self.held: Pending | None = None
        self.holds = False
        self.posted = 0
        self.approvals: dict[str, Approval] = {}
        self.decided: dict[str, Verdict] = {}
        self.tools: tuple[Tool, ...] = ()
        self.shape: ResultShape[Any] | None = None
        self._subscription = instance.feed.subscribe(submission.id) if watch else None

    @property
    def submission_id(self) -> str:
        """``sub_...``."""
        return self.submission.id

    @property
    def dispatch_id(self) -> str:
        """A UUID; blank unless it was dispatched."""
        return self.submission.dispatch_id or ""

    @property
    def accepted_at(self) -> str:
        """ISO timestamp."""
        return iso(self.submission.accepted_at)

    @property
    def offset(self) -> str:
        """Where its session stood when it was accepted: behind what ended the input before it, if that had ended."""
        return f"{self.seq}-1" if self.seq else "0-0"

    @property
    def is_waiting(self) -> bool:
        """True while it is recorded, wanted, and nobody has begun to work on it."""
        return bool(self.submission.seq) and not (self.has_begun or self.abort or self.settled)

    @property
    def has_begun(self) -> bool:
        """True once it is worked on, or was before a restart."""
        return self.started_at > 0 or self.resumed

    @property
    def feed(self) -> Subscription:
        """Its events from the first on; only when submitted with ``watch=True``."""
        return watched(self._subscription)

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
        """It is settled ``failed`` or ``aborted``, or left to the next start. What settles first counts."""
        if self._settle():
            self.outcome.set_exception(error)

    def pause(self, error: FlueError) -> None:
        """It cannot go on now, but will: who waits at the moment is told, who asks again waits for the outcome."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)
            self._outcome = None

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
        self.due = False
        self.instance.running.append(self)

    @property
    def is_decided(self) -> bool:
        """True when it had calls that needed a decision, and all of them have one."""
        return bool(self.approvals) and all(each.decision for each in self.approvals.values())

    @property
    def joins(self) -> bool:
        """True while it is a part of another one's turn: whatever becomes of that becomes of it."""
        return self.submission.host is not None and self.submission.host in self.instance.unsettled

    def joined(self) -> "list[Pending]":
        """Those that are a part of its turn."""
        return [each for each in self.instance.unsettled.values() if each.submission.host == self.submission_id]

    def suspend(self) -> None:
        """Its actor let go of it until somebody has decided on its approvals."""
        self.suspended = True
        self.resumed = True
        self.started_at = 0
        if self in self.instance.running:
            self.instance.running.remove(self)

    def join(self, host: "Pending") -> None:
        """It is worked on as a part of another one's turn."""
        self.host = host
        self.started_at = host.started_at

    def reread(self, row: Submission) -> None:
        """Go on from what the store says of it."""
        self.submission = row
        self.first = False
        self.resumed = row.attempt > 0
        self.suspended = row.status == "waiting"
        if row.host is None and self.host is not None:
            self.host = None
            self.started_at = 0

    def refuse(self) -> None:
        """It was never admitted. Nobody has seen it but who wants to erase all there is, and waits for it."""
        self.unwatch()
        self._instances.leave(self)
        if not self.outcome.done():
            self.outcome.set_exception(SubmissionNotFoundError())

    def linger(self) -> Callable[[], None]:
        """Keep its instance live though it will be settled: something is done behind that. Call what is returned then."""
        self.instance.lingering += 1
        return lambda: self._instances.tidy(self.instance, lingered=1)

    def unwatch(self) -> None:
        """Its sender left: nobody will read its events."""
        if self._subscription is not None:
            self._subscription.close()


def _retrieve(outcome: "asyncio.Future[PromptResult]") -> None:
    # Nobody has to wait for an outcome: it is in the store.
    if not outcome.cancelled():
        outcome.exception()


class Attached:
    """Somebody else's hold on an accepted input: its sender's again, with the same idempotency key."""

    __slots__ = ("_pending", "_subscription")

    def __init__(self, pending: Pending, *, watch: bool) -> None:
        self._pending = pending
        self._subscription = pending.instance.feed.subscribe(pending.submission_id) if watch else None

    @property
    def submission_id(self) -> str:
        """``sub_...``."""
        return self._pending.submission_id

    @property
    def dispatch_id(self) -> str:
        """Blank unless it was dispatched."""
        return self._pending.dispatch_id

    @property
    def accepted_at(self) -> str:
        """ISO timestamp."""
        return self._pending.accepted_at

    @property
    def offset(self) -> str:
        """Where its session stood when it was accepted."""
        return self._pending.offset

    @property
    def feed(self) -> Subscription:
        """Its events from now on; only when submitted with ``watch=True``."""
        return watched(self._subscription)

    async def result(self) -> PromptResult:
        """Wait for the outcome. Raises TurnError."""
        return await self._pending.result()


class LiveInstance:
    """What one instance has under way: created with its first input, dropped when nothing is left and nobody reads.

    Attributes:
        unsettled: Its accepted inputs in the order of acceptance, by id.
        lifetime: What it used in its whole life.
        lingering: How many inputs are settled, and something of them is still to be done.
        running: Those its actor has taken up.
        settling: Inputs that are settled past the actor.
    """

    __slots__ = ("_sessions", "feed", "key", "lifetime", "lingering", "running", "settling", "unsettled")

    def __init__(self, key: AgentKey, feed: Feed) -> None:
        self.key = key
        self.feed = feed
        self.unsettled: dict[str, Pending] = {}
        self.lifetime = Lifetime(key)
        self.lingering = 0
        self.running: list[Pending] = []
        self.settling: set[asyncio.Task[None]] = set()
        self._sessions: dict[str, int] = {}

    @property
    def pending(self) -> int:
        """How many inputs have no outcome."""
        return len(self.unsettled)

    @property
    def at_rest(self) -> bool:
        """True when there is nothing to work on, or all of it waits for somebody's decision."""
        return all(each.suspended or each.held for each in self.unsettled.values())

    def add(self, pending: "Pending") -> None:
        """One more input is on its way."""
        session = pending.submission.session
        self.unsettled[pending.submission_id] = pending
        self._sessions[session] = self._sessions.get(session, 0) + 1

    def move_to_end(self, pending: "Pending") -> None:
        """It is accepted behind all that is on its way."""
        self.unsettled[pending.submission_id] = self.unsettled.pop(pending.submission_id)

    def remove(self, pending: "Pending") -> None:
        """One of them is settled, or was refused."""
        session = pending.submission.session
        del self.unsettled[pending.submission_id]
        left = self._sessions[session] - 1
        if left:
            self._sessions[session] = left
        else:
            del self._sessions[session]

    def place(self, session: Session) -> None:
        """Have a session that was read anew go on where its event order stands: no offset is used twice."""
        session.position = self.feed.place(session.name, session.position)

    async def decided(self) -> None:
        """Wait until what is settled past the actor is: before that, an attempt that was fenced may still write."""
        while self.settling:
            await asyncio.wait(self.settling)

    def pending_in(self, session: str) -> int:
        """Inputs of one session under way."""
        return self._sessions.get(session, 0)

    def lane(self, session: str, *, by_session: bool) -> "list[Pending]":
        """Those that are worked on one after the other with an input in this session, in the order of acceptance.

        Args:
            by_session: The agent has ``concurrency="session"``. A detached task has its session to itself in any case.
        """
        if by_session or session.startswith(TASK_PREFIX):
            return self.of(session)
        return [each for each in self.unsettled.values() if not each.submission.session.startswith(TASK_PREFIX)]

    def suspended_in(self, session: str, *, by_session: bool) -> "Pending | None":
        """The input in that lane that waits for a decision, or had one and was not taken up since, if there is one."""
        lane = self.lane(session, by_session=by_session)
        return next((each for each in lane if (each.suspended or each.due) and each.submission.host is None), None)

    def posted_before(self, pending: "Pending", *, by_session: bool) -> "Pending | None":
        """One of its lane that was accepted before it and comes to the actor behind it: it had been left alone."""
        for each in self.lane(pending.submission.session, by_session=by_session):
            if each is pending:
                return None
            if each.posted and not each.started_at and each.host is None:
                return each
        return None

    def of(self, session: str | None) -> "list[Pending]":
        """The inputs under way in one session, or (None) in all of them, in the order of acceptance."""
        return [each for each in self.unsettled.values() if session is None or each.submission.session == session]

    def below(self, session: str | None) -> "list[Pending]":
        """`of`, with the detached tasks that were given away there."""
        return [each for each in self.of(None) if session is None or is_below(each.submission.session, session)]


class LiveInstances:
    """Every instance with work under way: memory follows live work, never ids ever seen."""

    __slots__ = ("_instances", "_keys", "_quiet", "feeds", "pending")

    def __init__(self) -> None:
        self.feeds = Feeds()
        self._instances: dict[AgentKey, LiveInstance] = {}
        self._keys: dict[tuple[AgentKey, str, str], Pending] = {}
        self._quiet: asyncio.Future[None] | None = None
        self.pending = 0

    def __len__(self) -> int:
        return len(self._instances)

    def get(self, key: AgentKey) -> LiveInstance | None:
        """The instance, if it has work under way."""
        return self._instances.get(key)

    def keyed(self, key: AgentKey, session: str, idempotency_key: str) -> Pending | None:
        """The input under way that has this idempotency key."""
        return self._keys.get((key, session, idempotency_key))

    def enter(self, pending: Pending) -> LiveInstance:
        """Count one more input of this instance."""
        submission = pending.submission
        instance = self._instances.get(submission.key)
        if instance is None:
            feed = self.feeds.open(submission.key)
            feed.working = True
            instance = self._instances[submission.key] = LiveInstance(submission.key, feed)
        instance.add(pending)
        self.pending += 1
        if submission.idempotency_key is not None:
            self._keys.setdefault((submission.key, submission.session, submission.idempotency_key), pending)
        return instance

    def leave(self, pending: Pending) -> None:
        """One input is settled or was refused. Readers keep the feed alive on their own."""
        instance = pending.instance
        submission = pending.submission
        if pending in instance.running:
            instance.running.remove(pending)
        instance.remove(pending)
        instance.feed.forget(submission.id)
        self.pending -= 1
        if submission.idempotency_key is not None:
            named = (submission.key, submission.session, submission.idempotency_key)
            if self._keys.get(named) is pending:
                del self._keys[named]
        self.tidy(instance)
        if self.pending == 0 and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    def tidy(self, instance: LiveInstance, *, lingered: int = 0) -> None:
        """Drop it if nothing is under way there. ``lingered``: so many of those that lingered are done."""
        instance.lingering -= lingered
        if instance.pending == 0 and not instance.lingering:
            del self._instances[instance.key]
            instance.feed.working = False
            self.feeds.tidy(instance.key)

    def left_alone(self) -> list[Pending]:
        """Every input that nobody works on until a decision is made. What joined a turn goes on, or does not, with it."""
        unsettled = [(each, live) for live in self._instances.values() for each in live.unsettled.values()]
        hosts = [(each, live.unsettled.get(each.submission.host or "", each)) for each, live in unsettled]
        return [each for each, host in hosts if host.suspended or host.held]

    async def quiet(self) -> None:
        """Wait until nothing is under way. For one waiter."""
        while self.pending:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet
