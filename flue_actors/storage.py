"""The store port: what the core asks of a store, and the records that cross it. This docstring is the contract.

A store keeps **instances** (agent, id), their **sessions**, the append-only **entries** of each session, every accepted
input (**submissions**), the **journal** of what a submission's running turn has come to, and a small **kv** per instance.
One process owns a store at a time.

* `commit` takes operations that belong together and applies all of them or none. It *enqueues at once* and returns a
  future: two commits are applied in the order of the calls, so a caller may leave the first unawaited and await only
  the last of a group. The future resolves after the writes are durable; if it is cancelled, the writes still happen.
* Every commit carries the owner's `Fence`; `Claim`, `Append`, `WriteJournal`, `Requeue`, `Suspend` and `Settle` also
  carry the submission's attempt. A commit of a replaced owner or attempt fails with `FencedError` and leaves nothing. The same for
  whatever else is *refused*: a known id, an unknown one, an entry whose ``seq`` is not the next.
* An input with an idempotency key that its session knows is no refusal: nothing of that commit is applied, and
  `Committed.known` names the submission that has the key. Such an `Admit` is refused where it is not the first operation.
* A failure that nobody awaits is silent, but what builds on it is refused in turn, by its attempt or by its first
  ``seq``. So let the commit that is awaited hold an entry: a `Settle` alone notices only a missing `Claim`.
* Instances and sessions come into being when `Admit`, `Append` or (instances) `PutKv` or `PutAttachment` first name them.
* A **waiting** submission (`Suspend`) is one without an outcome like a queued one that has been worked on: `Store.unsettled`
  lists it, its instance is not idle, `RequestAbort` notes the wish and leaves it waiting, `Settle` ends it at the attempt it
  has. `Decide` with ``resume`` makes it queued; `Claim` begins the next attempt of either.
* A full disk or an I/O error fails that commit with `StoreUnavailableError`; reads go on and later commits may succeed.
  It left nothing, so the same operations may be tried again; if they are refused then, it had left them after all.
* An `Erase` is applied in its turn like any other, and done when no byte of what it removed is left in any file of the
  store; later commits do not wait for that. One that failed is repeated, whether or not it had removed anything.
* Acceptance order is `Submission.seq`: assigned by `Admit`, rising in the order of the calls, over all instances.
* Reads see every commit whose future has resolved.

`flue_actors.store.contract` is this contract as a suite: every store runs it.
"""

import asyncio
from typing import Final, Literal, Protocol

import msgspec

from flue_actors.ids import AgentKey

FORMAT_VERSION: Final = 3
"""Version of the stored formats. Raised with a migration, never without."""

SubmissionKind = Literal["direct", "dispatch"]
SubmissionStatus = Literal["queued", "running", "waiting", "settled"]
Outcome = Literal["completed", "failed", "aborted"]
EntryKind = Literal["message", "resumed", "settled", "compaction"]
JournalKind = Literal["text", "step", "approval"]
KvKind = Literal["state", "frozen", "snapshot", "usage"]


class Fence(msgspec.Struct, frozen=True, gc=False):
    """Who writes: a partition's owner at an epoch. On one host both are constant for a store's life in a process."""

    part: int = 0
    epoch: int = 0


class Entry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row of a session. ``body`` is readable JSON, its shape given by ``kind`` (`conversation.entries`).

    Attributes:
        seq: 1, 2, 3, ... within the session, without gaps.
        at: Milliseconds since the epoch.
        submission_id: The input this entry belongs to.
    """

    seq: int
    kind: EntryKind
    at: int
    body: bytes
    submission_id: str | None = None


class Submission(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One accepted input and what became of it.

    Attributes:
        seq: Acceptance order (0 until admitted).
        payload: The input, JSON (`submissions.Input`).
        policy: What its sender wanted if the instance was busy, where that still matters while it waits
            (`agent_ref.IfBusy`).
        attempt: 0 until claimed, then the number of the current attempt.
        excused: How many of its attempts ended in a graceful stop: they do not count against the budget.
        spent_ms: Milliseconds of work in earlier attempts that are known to have been spent.
        host: The submission whose turn it joined: it is settled with that one.
        abort: Somebody wants it aborted, for this reason: it is never worked on again.
        idempotency_key: The sender's own name for it, unique in its session.
        started_at: When its first attempt began.
        deadline: Milliseconds since the epoch; informative, never enforced from the stored value.
        version: The definition's own version, at the last claim.
        fingerprint: Hash of model, instructions and tool schemas, at the last claim.
        principal: Who sent it, JSON, or None.
        result: JSON of the result when completed.
        error: JSON ``{type, message, details}`` otherwise: safe to show.
    """

    id: str
    key: AgentKey
    session: str
    kind: SubmissionKind
    payload: bytes
    accepted_at: int
    seq: int = 0
    status: SubmissionStatus = "queued"
    outcome: Outcome | None = None
    policy: str = "queue"
    attempt: int = 0
    excused: int = 0
    spent_ms: int = 0
    host: str | None = None
    abort: str | None = None
    idempotency_key: str | None = None
    dispatch_id: str | None = None
    principal: bytes | None = None
    started_at: int | None = None
    settled_at: int | None = None
    deadline: int | None = None
    version: str | None = None
    fingerprint: str | None = None
    result: bytes | None = None
    error: bytes | None = None


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A session as listed: ``last_seq`` is the seq of its newest entry (0 = none)."""

    name: str
    created_at: int
    last_seq: int
    parent: str | None = None


class Admit(msgspec.Struct, frozen=True, gc=False):
    """Record a new input as queued, whatever its fields after ``accepted_at`` say but ``policy``, ``idempotency_key``,
    ``dispatch_id``, ``principal`` and ``deadline``. Refused if the id is known."""

    submission: Submission


class Claim(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Start an attempt (attempt - 1 so far, and no outcome): it is running, and an earlier attempt is replaced.

    Refused otherwise. With ``host`` it joins the turn of that submission. A waiting one is claimed to be ended with entries.
    """

    submission_id: str
    attempt: int
    at: int
    host: str | None = None
    deadline: int | None = None
    version: str | None = None
    fingerprint: str | None = None


class Append(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Add entries behind the session's last one; ``entries[0].seq`` must be its ``last_seq + 1``.

    With ``submission_id`` it is refused unless that submission runs at ``attempt``; without entries that is all it does.
    ``parent`` names the session that a new one belongs to (a task's), and it is refused if there is none of that name;
    a session that exists keeps the parent it has.
    """

    key: AgentKey
    session: str
    entries: tuple[Entry, ...]
    submission_id: str | None = None
    attempt: int = 0
    parent: str | None = None


class Settle(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """End a submission, once. Refused if it is settled already or its attempt is another (0 = never claimed)."""

    submission_id: str
    attempt: int
    outcome: Outcome
    at: int
    result: bytes | None = None
    error: bytes | None = None


class Requeue(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A graceful stop ends the attempt: running becomes queued, and the attempt is excused. Refused as `Append` is.

    Its host and its journal stay. ``spent_ms`` is the work in all its attempts so far.
    """

    submission_id: str
    attempt: int
    spent_ms: int


class Suspend(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The attempt ends because somebody has to decide: running becomes waiting, and the attempt is excused.

    Refused as `Append` is. Its host and its journal stay. ``spent_ms`` is the work in all its attempts so far.
    """

    submission_id: str
    attempt: int
    spent_ms: int


class Decide(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Set the body of an ``approval`` row in the journal of a waiting submission; with ``resume`` it becomes queued.

    Refused when the submission is not waiting, or has no such row. The rest of the row, and its place, stay.
    """

    submission_id: str
    name: str
    body: bytes
    resume: bool


class RequestAbort(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Note for each of these that somebody wants it aborted. What is settled, unknown or noted already stays as it is."""

    submission_ids: tuple[str, ...]
    reason: str


class WriteJournal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Add a row to the submission's journal; refused as `Append` is. Its outcome removes the journal.

    Attributes:
        kind: ``text``: a piece of the reply that is being streamed; ``step``: the value of a durable tool's step;
            ``approval``: a call that waits for, or has, somebody's decision: one row for each name, which a later one
            of that name replaces where it stands.
        name: ``text``: the turn's id, a slash, the place of the piece. ``step``: the call's id, a slash, the step's name.
            ``approval``: the call's id. Of a task: the task's id and a slash before that.
        after: The seq of the session's last entry when it was written.
        spent_ms: As in `Requeue`.
    """

    submission_id: str
    attempt: int
    kind: JournalKind
    name: str
    body: bytes
    after: int
    spent_ms: int


class JournalRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row as it was written; see `WriteJournal`."""

    kind: JournalKind
    name: str
    body: bytes
    after: int
    spent_ms: int
    attempt: int


class Rename(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Give every instance of agent ``old`` to agent ``new``. One whose id ``new`` has already stays where it is."""

    old: str
    new: str


class Erase(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Remove one session with its entries, submissions, journals and frozen texts, and the sessions it is the parent of,
    or (``session=None``) the whole instance with everything it has. Nothing happens where there is nothing.

    Attachments go with the instance."""

    key: AgentKey
    session: str | None = None


class Prune(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Forget settled submissions that were settled before this time, at most ``limit`` of them, in acceptance order.

    Entries stay. Looks at no more than the ``PRUNE_LOOKS * limit`` oldest rows. `Committed.removed` says how many went.
    """

    settled_before: int
    limit: int


PRUNE_LOOKS: Final = 10
"""Rows that a `Prune` looks at for each that it may remove."""


class PutKv(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Set (or with ``body=None`` remove) one value of an instance."""

    key: AgentKey
    kind: KvKind
    name: str
    body: bytes | None


class PutAttachment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Keep bytes for an instance, under their content's name; nothing happens when it has them, whatever the type.

    Attributes:
        id: Hex SHA-256 of ``body``; the store takes the caller's word for it.
    """

    key: AgentKey
    id: str
    mime_type: str
    body: bytes


class Attachment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What was kept with `PutAttachment`."""

    id: str
    mime_type: str
    body: bytes


Op = (
    Admit
    | Claim
    | Append
    | WriteJournal
    | Requeue
    | Suspend
    | Decide
    | RequestAbort
    | Settle
    | PutKv
    | PutAttachment
    | Rename
    | Erase
    | Prune
)


class Committed(msgspec.Struct, frozen=True, gc=False):
    """What a commit came to. ``seq``, ``last_seq`` and ``known`` tell of its `Admit`, ``removed`` of its `Prune`.

    Attributes:
        seq: Acceptance order of the (last) admitted submission.
        last_seq: The seq of the newest entry of its session; 0 = the session has none.
        known: The submission that has this idempotency key already: nothing was applied.
        removed: How many rows went.
    """

    seq: int = 0
    last_seq: int = 0
    known: str | None = None
    removed: int = 0


NOTHING_ADMITTED: Final = Committed()


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since `Store.open`. ``waiting`` is the number of commits not durable yet."""

    commits: int
    batches: int
    waiting: int
    refused: int
    failed: int


class Store(Protocol):
    """See the module docstring: it is the contract."""

    @property
    def description(self) -> str:
        """Where the data is, for the operator: ``sqlite data/flue.db``, ``memory``."""
        ...

    async def open(self) -> Fence:
        """Take ownership and bring the format up to date.

        Raises:
            StoreOwnedError: Another process owns it.
            StoreFormatError: Not ours, damaged, or from a newer version.
        """
        ...

    async def close(self) -> None:
        """Make everything enqueued durable, then give up ownership. Idempotent."""
        ...

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        """Apply all of ``ops`` or none; see the contract."""
        ...

    async def submission(self, submission_id: str) -> Submission | None:
        """The submission with this id."""
        ...

    async def unsettled(self) -> list[Submission]:
        """Every submission without an outcome, in acceptance order."""
        ...

    async def last_seq(self, key: AgentKey, session: str) -> int:
        """The seq of the session's newest entry; 0 when there is none or no such session."""
        ...

    async def entries(
        self, key: AgentKey, session: str, *, after: int = 0, before: int | None = None, limit: int | None = None
    ) -> list[Entry]:
        """Entries with ``after < seq < before`` in order: the first ``limit`` of them, with ``before`` the last."""
        ...

    async def journal(self, submission_id: str) -> list[JournalRow]:
        """The journal of a submission without an outcome, in the order it was written."""
        ...

    async def idle(self, *, before: int, after: AgentKey | None, limit: int) -> tuple[list[AgentKey], AgentKey | None]:
        """Instances without unsettled work whose newest entry, and newest session, is older than ``before``.

        Looks at ``limit`` instances behind ``after``; returns the idle ones among them, and the last it looked at (None
        when it came to the end).
        """
        ...

    async def sessions(self, key: AgentKey) -> list[SessionRecord]:
        """The instance's sessions in order of creation."""
        ...

    async def attachment(self, key: AgentKey, id: str) -> Attachment | None:
        """What the instance has under this name."""
        ...

    async def kv(self, key: AgentKey, kind: KvKind) -> dict[str, bytes]:
        """Every value of this kind the instance holds."""
        ...

    def statistics(self) -> StoreStatistics:
        """Counters for `Runtime.snapshot`."""
        ...
