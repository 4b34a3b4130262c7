"""A tool call that waits for somebody's decision, as it stands in the journal of its submission. Pure."""

import hashlib
from collections.abc import Collection
from typing import Any, Final, Literal

import msgspec

from flue_actors.messages import ToolCall

Verdict = Literal["approved", "denied"]

EXPIRES_AFTER: Final = 24 * 3600
"""Seconds after which a call that nobody decided on is denied."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What was decided.

    Attributes:
        at: Milliseconds since the epoch.
        by: The subject of who decided; None: nobody said so, or its time ran out.
        expired: Nobody decided in time.
        reason: In the words of who decided, for the model.
    """

    verdict: Verdict
    at: int
    by: str | None = None
    expired: bool = False
    reason: str | None = None

    @property
    def approved(self) -> bool:
        """True when the call may run."""
        return self.verdict == "approved"


class Approval(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The row: which call, with which arguments, and what was decided if anything was. Times as in `Decision`.

    Attributes:
        id: What it is called from outside, see `approval_id`.
        session: The conversation the call is a part of, a task's own if it is one.
        after: The seq of its newest entry when it was asked for.
        begun: It was approved and begins, or began: whether it took effect is not known until it has a result.
    """

    id: str
    session: str
    tool_name: str
    tool_call_id: str
    arguments: dict[str, Any]
    arguments_hash: str
    requested_at: int
    expires_at: int
    after: int = 0
    decision: Decision | None = None
    begun: bool = False


encode_approval = msgspec.json.Encoder().encode
decode_approval = msgspec.json.Decoder(Approval).decode


def arguments_hash(call: ToolCall) -> str:
    """What a decision is bound to, besides the call's id."""
    return hashlib.sha256(msgspec.json.encode((call.name, call.arguments), order="sorted")).hexdigest()


def approval_id(call: ToolCall, hashed: str, submission_id: str, session: str, after: int) -> str:
    """What the call is called from outside: its id, a dot, and what tells it from all others.

    Some models number their calls anew in every conversation, or in every reply. A decision that is sent again must never
    be one on another call.
    """
    place = msgspec.json.encode((submission_id, session, after, hashed))
    return f"{call.id}.{hashlib.sha256(place).hexdigest()[:12]}"


def named(given: str, approval_ids: Collection[str]) -> str | None:
    """Which approval is meant: the id itself, or that of a call which only one of them has."""
    if given in approval_ids:
        return given
    of_call = [each for each in approval_ids if each.rpartition(".")[0] == given]
    return of_call[0] if len(of_call) == 1 else None


def decided(approval: Approval | None, call: ToolCall, hashed: str) -> Decision | None:
    """The decision on exactly this call; None while there is none."""
    if approval is None or approval.arguments_hash != hashed or approval.tool_call_id != call.id:
        return None
    return approval.decision


def denial(decision: Decision) -> str:
    """What the model is told of a call that was not approved."""
    if decision.expired:
        return "Not run: it needed somebody's approval, and nobody decided in time."
    said = f" They say: {decision.reason}" if decision.reason else ""
    return f"Not run: it was not approved.{said}"
