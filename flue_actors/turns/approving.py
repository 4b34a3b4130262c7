"""Asking for somebody's decision on a tool call, from inside the work that makes it."""

from collections.abc import Mapping

import msgspec

from flue_actors import events
from flue_actors.clock import iso
from flue_actors.conversation.approval import (
    EXPIRES_AFTER,
    Approval,
    Decision,
    approval_id,
    arguments_hash,
    decided,
    encode_approval,
)
from flue_actors.messages import ToolCall
from flue_actors.services import Services
from flue_actors.turns.entry_writer import EntryWriter
from flue_actors.turns.tool_calls import Suspended


class Approvals:
    """Of one piece of work.

    Args:
        known: What is recorded of its calls, by their ids.
    """

    __slots__ = ("_known", "_services", "_writer")

    def __init__(self, services: Services, writer: EntryWriter, known: Mapping[str, Approval]) -> None:
        self._services = services
        self._writer = writer
        self._known = dict(known)

    def holds_back(self, call: ToolCall) -> bool:
        """True for a call that waits for a decision, or has one and did not begin."""
        approval = self._known.get(call.id)
        return approval is not None and approval.arguments_hash == arguments_hash(call) and not approval.begun

    def decision_on(self, call: ToolCall) -> Decision | None:
        """What an earlier attempt was told of this call."""
        return decided(self._known.get(call.id), call, arguments_hash(call))

    async def approve(self, call: ToolCall, hashed: str) -> Decision:
        """What was decided on this call, with these arguments.

        Raises:
            Suspended: Nothing yet; it is asked for.
            StoreError: That could not be recorded.
        """
        row, pending = self._writer.named(call.id), self._writer.host.approvals
        approval = pending.get(row) or self._known.get(call.id)
        decision = decided(approval, call, hashed)
        if approval is not None and decision is not None:
            if decision.approved:  # from here on nobody knows whether it ran
                begun = msgspec.structs.replace(approval, begun=True)
                await self._writer.recording.commit(self._writer.journal("approval", call.id, encode_approval(begun)))
            pending.pop(row, None)
            self._known.pop(call.id, None)  # it holds for one call: ids may come again
            return decision
        if approval is None or approval.arguments_hash != hashed:
            now, session = self._services.clock.now_ms(), self._writer.session
            approval = Approval(
                id=approval_id(call, hashed, self._writer.host.submission_id, session.name, session.seq),
                session=session.name,
                tool_name=call.name,
                tool_call_id=call.id,
                arguments=call.arguments,
                arguments_hash=hashed,
                requested_at=now,
                expires_at=now + EXPIRES_AFTER * 1000,
                after=session.seq,
            )
            await self._writer.recording.commit(self._writer.journal("approval", call.id, encode_approval(approval)))
            self._writer.emitter.emit(
                events.ApprovalRequested,
                approval_id=approval.id,
                tool_name=call.name,
                tool_call_id=call.id,
                args=call.arguments,
                expires_at=iso(approval.expires_at),
            )
        pending.setdefault(row, approval)
        raise Suspended
