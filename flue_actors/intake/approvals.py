"""Decisions on tool calls: what waits for one, how it is made, and what becomes of a call that nobody decides on."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import UNSET

from flue_actors.agent_ref import ApprovalInfo
from flue_actors.clock import iso
from flue_actors.conversation.approval import Approval, Decision, Verdict, decode_approval, encode_approval, named
from flue_actors.errors import ApprovalDecidedError, ApprovalNotFoundError, FencedError, StoreError
from flue_actors.events import ApprovalDecided
from flue_actors.ids import AgentKey
from flue_actors.services import Services
from flue_actors.storage import Decide, JournalRow, Op, WriteJournal
from flue_actors.submissions import LiveInstances, Pending
from flue_actors.turns.reopening import patiently

logger = logging.getLogger("flue_actors.approvals")

LOOKS_EVERY: Final = 30.0
"""Seconds between two looks for calls whose time is over."""

LOOKS_AT: Final = 1_000
"""Inputs that are looked at in one go, 2 ms; as many as may wait would hold up everybody else for 200."""


class Approvals:
    """Of one runtime.

    Args:
        release: Has a suspended input worked on again.
    """

    def __init__(self, services: Services, instances: LiveInstances, release: Callable[[Pending], None]) -> None:
        self._services = services
        self._instances = instances
        self._release = release
        self._waiting: dict[Pending, None] = {}  # in order: what is swept has to be the same every time
        self._sweeper: asyncio.Task[None] | None = None
        self._one_by_one = (
            asyncio.Lock()
        )  # of two decisions the first counts: each is written before the next is looked at

    def wait(self, pending: Pending) -> None:
        """It is suspended: its calls are denied when nobody decides in time."""
        if pending.is_decided:  # while that was written
            self._release(pending)
            return
        self._waiting[pending] = None
        if self._sweeper is None:
            self._sweeper = asyncio.ensure_future(self._sweep())

    async def stop(self) -> None:
        """Sweep no more."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None

    async def of(self, key: AgentKey) -> list[ApprovalInfo]:
        """The calls of an instance that wait, oldest first.

        Raises:
            StoreError: The store refused.
        """
        known = await self._known(key)
        return [_info(pending, approval) for pending, _, approval in known if approval.decision is None]

    async def decide(
        self, key: AgentKey, approval_id: str, verdict: Verdict, *, by: str | None = None, reason: str | None = None
    ) -> None:
        """Decide on a call, named by the approval's id, or by its own if no other has that. The same decision twice is fine.

        Raises:
            ApprovalNotFoundError: No call of the instance waits under this id.
            ApprovalDecidedError: It was decided otherwise before.
            StoreError: The store refused; nothing is decided.
        """
        waiting, before = await self._known(key), self._decided(key)
        chosen = named(approval_id, {approval.id for _, _, approval in waiting} | before.keys())
        found = [(pending, row) for pending, row, approval in waiting if approval.id == chosen]
        if not found:
            _must_be(verdict, before.get(chosen or ""))
            return
        pending, row = found[0]
        decision = Decision(verdict=verdict, at=self._services.clock.now_ms(), by=by, reason=reason)
        async with self._one_by_one:
            await self._record(pending, row, decision)

    def _decided(self, key: AgentKey) -> dict[str, Verdict]:
        """What was decided on calls of work that is not settled; some of them have begun since."""
        live = self._instances.get(key)
        found = [each.decided for each in live.unsettled.values()] if live is not None else []
        return {id: verdict for decided in found for id, verdict in decided.items()}

    async def _known(self, key: AgentKey) -> list[tuple[Pending, str, Approval]]:
        """Every call of the instance that asked for a decision, with its row's name, oldest first."""
        live = self._instances.get(key)
        if live is None:
            return []
        found: list[tuple[Pending, str, Approval]] = []
        for pending in [each for each in live.unsettled.values() if each.abort is None]:
            await self._read(pending)
            found.extend([(pending, row, approval) for row, approval in pending.approvals.items()])
        return sorted(found, key=lambda each: each[2].requested_at)

    async def _read(self, pending: Pending) -> None:
        """What an earlier process recorded of a suspended input's calls."""
        if pending.suspended and not pending.approvals:
            rows = await patiently(self._services.store.journal, pending.submission_id)
            pending.approvals.update(waiting_calls(rows))

    async def _record(self, pending: Pending, row: str, decision: Decision) -> None:
        while True:
            approval = pending.approvals.get(row)
            if approval is None:
                raise ApprovalNotFoundError  # it began meanwhile
            if approval.decision is not None:
                if approval.decision.verdict != decision.verdict:
                    raise ApprovalDecidedError(meta={"verdict": approval.decision.verdict})
                return
            decided = msgspec.structs.replace(approval, decision=decision)
            suspended, attempt = pending.suspended, pending.submission.attempt
            resume = all(each.decision for name, each in pending.approvals.items() if name != row)
            op = self._write(pending, row, decided, resume=resume)
            try:
                await self._services.store.commit(self._services.fence, op)
            except FencedError:
                if pending.settled or pending.abort is not None:
                    raise ApprovalNotFoundError from None
                if (suspended, attempt) == (pending.suspended, pending.submission.attempt):
                    await self._look_again(pending, row)
                continue  # it was suspended, or taken up, meanwhile
            break
        if row in pending.approvals:
            pending.approvals[row] = decided
        pending.decided[approval.id] = decision.verdict
        self._show(pending, decided, decision)
        if pending.suspended and pending.is_decided:  # it may have been suspended while this was written
            self._waiting.pop(pending, None)
            self._release(pending)

    async def _look_again(self, pending: Pending, row: str) -> None:
        """A write was refused: maybe the store had kept an earlier one. Raises FencedError if it had not."""
        stored = waiting_calls(await patiently(self._services.store.journal, pending.submission_id))
        if row not in stored or stored[row].decision is None:
            raise FencedError
        pending.approvals.update(stored)
        if pending.suspended and pending.is_decided:
            self._waiting.pop(pending, None)
            self._release(pending)

    def _write(self, pending: Pending, row: str, decided: Approval, *, resume: bool) -> Op:
        """While it is still worked on, because other calls of the same reply run, its attempt writes."""
        body = encode_approval(decided)
        if pending.suspended:
            return Decide(submission_id=pending.submission_id, name=row, body=body, resume=resume)
        return WriteJournal(
            submission_id=pending.submission_id,
            attempt=pending.submission.attempt,
            kind="approval",
            name=row,
            body=body,
            after=decided.after,
            spent_ms=pending.submission.spent_ms,
        )

    def _show(self, pending: Pending, approval: Approval, decision: Decision) -> None:
        submission = pending.submission
        event = ApprovalDecided(
            approval_id=approval.id,
            decision=decision.verdict,
            by=UNSET if decision.by is None else decision.by,
            instance_id=submission.key.id,
            session=submission.session,
            submission_id=submission.id,
            timestamp=iso(decision.at),
        )
        self._services.observers.emit(event)
        pending.instance.feed.append(submission.id, msgspec.structs.replace(event, by=UNSET))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(LOOKS_EVERY)
            for number, pending in enumerate(list(self._waiting)):
                if number % LOOKS_AT == 0:
                    await asyncio.sleep(0)
                if pending.settled or not pending.suspended:
                    self._waiting.pop(pending, None)
                    continue
                try:
                    await self._expire(pending)
                except StoreError as error:
                    logger.warning("an approval's time is over, which cannot be recorded now: %s", error.dev or error)

    async def _expire(self, pending: Pending) -> None:
        await self._read(pending)
        now = self._services.clock.now_ms()
        for row, approval in list(pending.approvals.items()):
            if approval.decision is None and approval.expires_at <= now:
                denied = Decision(verdict="denied", at=now, expired=True)
                with suppress(ApprovalDecidedError, ApprovalNotFoundError):
                    async with self._one_by_one:
                        await self._record(pending, row, denied)
        if pending.suspended and pending.is_decided:  # by a process that died before it could go on
            self._waiting.pop(pending, None)
            self._release(pending)


def waiting_calls(rows: Sequence[JournalRow]) -> dict[str, Approval]:
    """The calls in a journal that asked for a decision and did not begin."""
    found = {row.name: decode_approval(row.body) for row in rows if row.kind == "approval"}
    return {row: approval for row, approval in found.items() if not approval.begun}


def _must_be(verdict: Verdict, before: Verdict | None) -> None:
    if before is None:
        raise ApprovalNotFoundError
    if before != verdict:
        raise ApprovalDecidedError(meta={"verdict": before})


def _info(pending: Pending, approval: Approval) -> ApprovalInfo:
    return ApprovalInfo(
        id=approval.id,
        submission_id=pending.submission_id,
        session=approval.session,
        tool_name=approval.tool_name,
        tool_call_id=approval.tool_call_id,
        args=approval.arguments,
        requested_at=iso(approval.requested_at),
        expires_at=iso(approval.expires_at),
    )
