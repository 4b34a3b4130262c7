"""Accepting inputs: checked, counted, recorded durably, and only then handed to the instance's mailbox.

One code path for every transport, so acceptance order is the store's order. The hand-over hangs on the store's answer,
not on the sender: a sender who leaves in the middle leaves a whole submission or none.
"""

import asyncio
from collections.abc import Callable
from math import ceil
from typing import Final

import msgspec

from flue_actors.agent_ref import IfBusy
from flue_actors.definition.guards import Principal
from flue_actors.errors import ConfigError, InvalidRequestError, OverloadedError, QueueFullError, SessionBusyError
from flue_actors.ids import AgentKey, check_instance_id, check_session_name
from flue_actors.services import Services
from flue_actors.storage import Admit, Committed, Submission
from flue_actors.submissions import DispatchInput, Input, LiveInstances, Pending, encode_input

Deliver = Callable[[Pending], None]
_decode_principal = msgspec.json.Decoder(Principal).decode
_encode = msgspec.json.Encoder().encode
_SMOOTHING: Final = 0.1


class Admission:
    """Lets inputs in. ``deliver`` gets each one once it is durable, in acceptance order."""

    def __init__(self, services: Services, instances: LiveInstances, deliver: Deliver) -> None:
        self._services = services
        self._instances = instances
        self._deliver = deliver
        self._seconds = 1.0  # moving average of how long an input takes

    async def admit(
        self,
        key: AgentKey,
        session: str,
        given: Input,
        *,
        if_busy: IfBusy = "queue",
        principal: Principal | None = None,
        lane: bool = False,
        max_queued: int | None = None,
        watch: bool = False,
    ) -> Pending:
        """Record an input; returns when it is on disk.

        Args:
            lane: True when sessions of this instance run side by side, so "busy" means the session.
            max_queued: The agent's own limit, instead of the settings'.

        Raises:
            InvalidRequestError, SessionBusyError, QueueFullError, OverloadedError, StoreError: Nothing was admitted.
        """
        check_instance_id(key.id)
        check_session_name(session)
        payload = _payload(given)
        self._check_room(key, session, if_busy, lane, max_queued)
        pending = self._enter(key, session, given, payload, principal, watch)
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        write = self._services.store.commit(self._services.fence, Admit(pending.submission))

        def recorded(write: "asyncio.Future[Committed]") -> None:
            error = write.exception()
            if error is not None:
                pending.refuse()
                if not accepted.cancelled():
                    accepted.set_exception(error)
                return
            admitted = write.result()
            pending.submission = msgspec.structs.replace(pending.submission, seq=admitted.seq)
            pending.first = pending.first and admitted.last_seq == 0
            self._deliver(pending)
            if not accepted.cancelled():
                accepted.set_result(None)

        write.add_done_callback(recorded)
        try:
            await accepted
        except asyncio.CancelledError:
            pending.unwatch()
            raise
        return pending

    def resume(self, submission: Submission) -> None:
        """Work on an input that an earlier process accepted; call in acceptance order."""
        principal = None if submission.principal is None else _decode_principal(submission.principal)
        pending = Pending(submission, self._instances, principal=principal, watch=False)
        pending.first = False  # its session may have a history
        self._deliver(pending)

    def worked(self, seconds: float) -> None:
        """An input took this long: what Retry-After is estimated from."""
        self._seconds += (seconds - self._seconds) * _SMOOTHING

    def _check_room(self, key: AgentKey, session: str, if_busy: IfBusy, lane: bool, max_queued: int | None) -> None:
        settings = self._services.settings
        if self._instances.pending >= settings.max_pending:
            raise OverloadedError(retry_after=1)
        instance = self._instances.get(key)
        if instance is None:
            return
        if if_busy == "reject" and (instance.pending_in(session) if lane else instance.pending):
            raise SessionBusyError(meta={"queued": instance.pending})
        limit = settings.max_queued if max_queued is None else max_queued
        if instance.pending >= limit:
            wait = max(1, ceil(instance.pending * self._seconds))
            raise QueueFullError(retry_after=wait, meta={"queued": instance.pending, "limit": limit})

    def _enter(
        self, key: AgentKey, session: str, given: Input, payload: bytes, principal: Principal | None, watch: bool
    ) -> Pending:
        services = self._services
        dispatched = isinstance(given, DispatchInput)
        submission = Submission(
            id=services.ids.submission(),
            key=key,
            session=session,
            kind="dispatch" if dispatched else "direct",
            payload=payload,
            accepted_at=services.clock.now_ms(),
            dispatch_id=services.ids.dispatch() if dispatched else None,
            principal=None if principal is None else _recorded(principal),
        )
        return Pending(submission, self._instances, principal=principal, watch=watch)


def _recorded(principal: Principal) -> bytes:
    try:
        return _encode(principal)
    except (TypeError, ValueError, RecursionError) as error:  # also UnicodeEncodeError
        raise ConfigError("The principal's claims are not JSON.", dev=repr(error)) from error


def _payload(given: Input) -> bytes:
    if isinstance(given, DispatchInput):
        return encode_input(given)  # checked where the snapshot was taken
    if not given.message.strip():
        raise InvalidRequestError("The message is blank.", details="Send a message with some text in it.")
    try:
        return encode_input(given)
    except UnicodeEncodeError:
        raise InvalidRequestError("The message is not valid Unicode.", details="Send valid UTF-8.") from None
