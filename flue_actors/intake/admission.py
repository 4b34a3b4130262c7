"""Accepting inputs: checked, counted, recorded durably, and only then handed to the instance's mailbox.

One code path for every transport, so acceptance order is the store's order. The hand-over hangs on the store's answer,
not on the sender: a sender who leaves in the middle leaves a whole submission or none.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import ceil
from typing import Any, Final, get_args

import msgspec

from flue_actors.agent_ref import IfBusy
from flue_actors.definition.guards import Principal, check_principal
from flue_actors.definition.results import ResultShape
from flue_actors.definition.tools import Tool
from flue_actors.errors import (
    ConfigError,
    InvalidRequestError,
    OverloadedError,
    QueueFullError,
    SessionBusyError,
    StoreError,
    StoreUnavailableError,
    SubmissionConflictError,
)
from flue_actors.ids import AgentKey, check_instance_id, check_session_name
from flue_actors.inputs import (
    DetachedInput,
    DispatchInput,
    Input,
    PromptInput,
    ShellInput,
    SkillInput,
    TaskInput,
    decode_input,
    encode_input,
    options_of,
)
from flue_actors.owed import Owed
from flue_actors.receipts import Settled, kept
from flue_actors.services import Services
from flue_actors.storage import Admit, Committed, Op, PutAttachment, RequestAbort, Submission
from flue_actors.submissions import Attached, LiveInstances, Pending

Deliver = Callable[[Pending], None]
Abort = Callable[[Pending, str], None]
Admitted = Pending | Attached | Settled

MAX_IDEMPOTENCY_KEY: Final = 256

_decode_principal = msgspec.json.Decoder(Principal).decode
_encode = msgspec.json.Encoder().encode
_SMOOTHING: Final = 0.1
_POLICIES: Final = dict.fromkeys(get_args(IfBusy))


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """How an input is sent, apart from what it says.

    Attributes:
        lane: True when sessions of this instance run side by side, so "busy" means the session.
        max_queued: The agent's own limit, instead of the settings'.
        attachments: What it brings along.
        tools: Tools for this input alone. They are gone after a restart.
        shape: The type of the structured result it asks for.
        watch: Its sender reads its events.
    """

    if_busy: IfBusy = "queue"
    principal: Principal | None = None
    idempotency_key: str | None = None
    watch: bool = False
    lane: bool = False
    max_queued: int | None = None
    attachments: tuple[PutAttachment, ...] = ()
    tools: tuple[Tool, ...] = ()
    shape: ResultShape[Any] | None = None


PLAINLY: Final = Sending()


class Admission:
    """Lets inputs in.

    Args:
        deliver: Gets each one once it is durable, in acceptance order.
        abort: Stops one that a newer one takes the place of, once that is durable.
    """

    def __init__(self, services: Services, instances: LiveInstances, deliver: Deliver, abort: Abort) -> None:
        self._services = services
        self._instances = instances
        self._deliver = deliver
        self._abort = abort
        self._closed: set[AgentKey] = set()
        self._seconds = 1.0  # moving average of how long an input takes

    async def admit(self, key: AgentKey, session: str, given: Input, how: Sending) -> Admitted:
        """Record an input; returns when it is on disk.

        Raises:
            InterruptedTurnError: It was admitted before, and the runtime stops.
            ConfigError: It asks for a model that there is not.
            InvalidRequestError, SubmissionConflictError, SessionBusyError, QueueFullError, OverloadedError, StoreError:
                Nothing was admitted.
        """
        check_instance_id(key.id)
        if not isinstance(given, DetachedInput):
            check_session_name(session)
        _check_sending(how)
        payload = _payload(given)
        if how.idempotency_key is not None:
            _check_idempotency_key(how.idempotency_key)
            earlier = self._instances.keyed(key, session, how.idempotency_key)
            if earlier is not None and earlier.submission.seq:
                return _attach(earlier, payload, how)
        if (model := options_of(given).model) is not None:
            self._services.models.resolve(model)
        self._check_room(key, session, how)
        pending, known = await self._record(self._submission(key, session, given, payload, how), how)
        if known is None:
            return pending
        pending.unwatch()
        return await self._repeated(known, payload, how)

    def owe(self, key: AgentKey, session: str, given: Input, principal: Principal | None) -> Owed:
        """An input that is accepted with what it comes of. That was promised: no queue is too full for it, and where it is
        being erased, it is erased too."""
        submission = self._submission(key, session, given, encode_input(given), Sending(principal=principal))
        pending = Pending(submission, self._instances, principal=principal, watch=False)
        return Owed(
            Admit(submission),
            lambda: pending.instance.move_to_end(pending),
            lambda committed: self._let_in(pending, committed, (), ""),
            lambda: self._make_sure(pending),
        )

    def resume(self, submission: Submission) -> Pending:
        """Take up an input that an earlier process accepted; call in acceptance order."""
        principal = None if submission.principal is None else _decode_principal(submission.principal)
        pending = Pending(submission, self._instances, principal=principal, watch=False)
        pending.first = False  # its session may have a history
        return pending

    def close(self, key: AgentKey) -> None:
        """Let nothing in for this instance: it is being erased."""
        self._closed.add(key)

    def reopen(self, key: AgentKey) -> None:
        """It is gone; what comes now makes it anew."""
        self._closed.discard(key)

    def worked(self, seconds: float) -> None:
        """An input took this long: what Retry-After is estimated from."""
        self._seconds += (seconds - self._seconds) * _SMOOTHING

    async def _record(self, submission: Submission, how: Sending) -> tuple[Pending, str | None]:
        """Make it durable and hand it over; or the id of the one that has its idempotency key."""
        replaced = self._replaced(submission, how)
        pending = Pending(submission, self._instances, principal=how.principal, watch=how.watch)
        pending.tools, pending.shape = how.tools, how.shape
        accepted: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        ops: list[Op] = [Admit(submission), *how.attachments]
        reason = "interrupted" if how.if_busy == "interrupt" else "superseded"
        if replaced:
            ops.append(RequestAbort(submission_ids=tuple([each.submission_id for each in replaced]), reason=reason))
        write = self._services.store.commit(self._services.fence, *ops)

        def recorded(write: "asyncio.Future[Committed]") -> None:
            error = write.exception()
            known = None
            if isinstance(error, StoreUnavailableError):
                asyncio.ensure_future(self._make_sure(pending))
            elif error is not None or (known := write.result().known) is not None:
                pending.refuse()
            else:
                self._let_in(pending, write.result(), replaced, reason)
            if accepted.cancelled():
                return
            if error is not None:
                accepted.set_exception(error)
            else:
                accepted.set_result(known)

        write.add_done_callback(recorded)
        try:
            return pending, await accepted
        except asyncio.CancelledError:
            pending.unwatch()
            raise

    async def _make_sure(self, pending: Pending) -> None:
        """The store could not say whether it kept an input. Its sender was told no; what was kept is worked on."""
        row = None
        with suppress(StoreError):
            row = await self._services.store.submission(pending.submission_id)
        if row is None or row.status == "settled":
            pending.refuse()
        else:
            self._let_in(pending, Committed(seq=row.seq, last_seq=1), (), "")

    def _let_in(self, pending: Pending, admitted: Committed, replaced: Sequence[Pending], reason: str) -> None:
        pending.submission = msgspec.structs.replace(pending.submission, seq=admitted.seq)
        pending.first = pending.first and admitted.last_seq == 0
        pending.seq = admitted.last_seq
        self._deliver(pending)
        for each in replaced:
            self._abort(each, reason)

    def _replaced(self, submission: Submission, how: Sending) -> list[Pending]:
        """What this one interrupts or supersedes."""
        instance = self._instances.get(submission.key)
        if instance is None or how.if_busy not in {"interrupt", "supersede"}:
            return []
        lane = instance.lane(submission.session, by_session=how.lane)
        if how.if_busy == "supersede":
            return [each for each in lane if each.is_waiting]
        return [each for each in lane if each.has_begun and each.submission.host is None]

    async def _repeated(self, known: str, payload: bytes, how: Sending) -> Admitted:
        """The input that was accepted under this idempotency key."""
        row = await self._services.store.submission(known)
        if row is None:
            raise OverloadedError("The message with this idempotency key is being removed.", retry_after=1)
        _check_same(row, payload)
        earlier = self._instances.keyed(row.key, row.session, how.idempotency_key or "")
        if row.status != "settled":
            if self._services.stopping():
                raise kept(row.id)
            if earlier is None or not earlier.submission.seq:
                raise OverloadedError("The message with this idempotency key is being looked for.", retry_after=1)
            return _attach(earlier, payload, how)
        return Settled(row, watch=how.watch)

    def _check_room(self, key: AgentKey, session: str, how: Sending) -> None:
        if key in self._closed:
            raise SessionBusyError("This instance is being erased.", details="Send it again in a moment.")
        settings = self._services.settings
        if self._instances.pending >= settings.max_pending:
            raise OverloadedError(retry_after=1)
        instance = self._instances.get(key)
        if instance is None:
            return
        if how.if_busy == "reject" and (instance.pending_in(session) if how.lane else instance.pending):
            raise SessionBusyError(meta={"queued": instance.pending})
        limit = settings.max_queued if how.max_queued is None else how.max_queued
        if instance.pending >= limit:
            wait = max(1, ceil(instance.pending * self._seconds))
            raise QueueFullError(retry_after=wait, meta={"queued": instance.pending, "limit": limit})

    def _submission(self, key: AgentKey, session: str, given: Input, payload: bytes, how: Sending) -> Submission:
        services = self._services
        dispatched = isinstance(given, DispatchInput)
        return Submission(
            id=services.ids.submission(),
            key=key,
            session=session,
            kind="dispatch" if dispatched else "direct",
            payload=payload,
            accepted_at=services.clock.now_ms(),
            policy=how.if_busy,
            idempotency_key=how.idempotency_key,
            dispatch_id=services.ids.dispatch() if dispatched else None,
            principal=None if how.principal is None else _recorded(how.principal),
        )


def _attach(earlier: Pending, payload: bytes, how: Sending) -> Attached:
    _check_same(earlier.submission, payload)
    return Attached(earlier, watch=how.watch)


def _check_same(earlier: Submission, payload: bytes) -> None:
    if earlier.payload != payload:
        raise SubmissionConflictError(meta={"submissionId": earlier.id})


def _check_sending(how: Sending) -> None:
    """Annotations bind nobody, and what is stored has to be readable at the next start."""
    if how.if_busy not in _POLICIES:
        raise InvalidRequestError(
            f"There is no if_busy {how.if_busy!r}.", details=f"It is one of: {', '.join(_POLICIES)}."
        )
    check_principal(how.principal)


def _check_idempotency_key(key: str) -> None:
    if not (key.strip() and len(key) <= MAX_IDEMPOTENCY_KEY and key.isprintable()):
        raise InvalidRequestError(
            f"The idempotency key must have 1 to {MAX_IDEMPOTENCY_KEY} printable characters and not be blank."
        )


def _recorded(principal: Principal) -> bytes:
    try:
        return _encode(principal)
    except (TypeError, ValueError, RecursionError) as error:  # also UnicodeEncodeError
        raise ConfigError("The principal's claims are not JSON.", dev=repr(error)) from error


_SAID: Final[Mapping[type[Any], Sequence[tuple[str, str]]]] = {
    PromptInput: [("message", "message")],
    SkillInput: [("name", "skill's name")],
    TaskInput: [("prompt", "task")],
    ShellInput: [("command", "command")],
}
"""What has to be said in an input, and what that is called."""


def _payload(given: Input) -> bytes:
    if isinstance(given, DispatchInput):
        return encode_input(given)  # checked where the snapshot was taken
    for field, what in _SAID.get(type(given), ()):
        said: object = getattr(given, field)
        if not isinstance(said, str):
            raise InvalidRequestError(
                f"The {what} is {type(said).__name__}, not text.", details=f"Send the {what} as a str."
            )
        if not said.strip():
            raise InvalidRequestError(f"The {what} is blank.", details=f"Send a {what} with some text in it.")
    try:
        payload = encode_input(given)
        if not isinstance(given, PromptInput):  # a prompt's other fields are checked where it is made
            decode_input(payload)
        return payload
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"This cannot be worked on: {error}") from error
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, UnicodeEncodeError):
            raise InvalidRequestError("The message is not valid Unicode.", details="Send valid UTF-8.") from None
        raise InvalidRequestError("The message is not JSON.", dev=repr(error)) from error
