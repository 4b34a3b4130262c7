"""The inputs that one turn answers: its own, and those that joined it (`agent_ref.IfBusy` steer and merge)."""

from collections.abc import Sequence

import msgspec

from flue_actors.clock import iso
from flue_actors.conversation.prompts import dispatch_signal
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import FlueError
from flue_actors.inputs import NO_OPTIONS, DispatchInput, Input, PromptInput, decode_input
from flue_actors.messages import Message, TextContent, UserMessage
from flue_actors.storage import Claim, Outcome, Settle, Submission
from flue_actors.submissions import Pending


class Party:
    """Claimed, kept waiting and settled together. The first member is the host: it was taken up by the actor."""

    __slots__ = ("members",)

    def __init__(self, host: Pending) -> None:
        self.members = [host]
        if host.resumed:
            for each in host.joined():
                each.join(host)
                self.members.append(each)

    @property
    def host(self) -> Pending:
        """The one whose turn it is."""
        return self.members[0]

    def merging(self, agent: ResolvedAgent) -> list[Pending]:
        """Messages that wait side by side with the host, and become one turn with it."""
        host, found = self.host, list[Pending]()
        if len(host.instance.unsettled) == 1 or not _merges(host, agent):
            return found
        lane = host.instance.lane(host.submission.session, by_session=agent.concurrency == "session")
        for each in lane[lane.index(host) + 1 :]:
            if each.submission.session != host.submission.session or not _merges(each, agent) or not each.is_waiting:
                break
            found.append(each)
        return found

    def steering(self) -> list[Pending]:
        """Messages that were sent to join the running turn, and have not yet."""
        host = self.host
        if len(host.instance.unsettled) == 1:
            return []
        lane = host.instance.of(host.submission.session)
        return [each for each in lane if each.submission.policy == "steer" and each.is_waiting and is_plain(each)]

    def claim(self, member: Pending, agent: ResolvedAgent, at: int) -> Claim:
        """The write that starts its next attempt; a new member joins."""
        host = self.host
        attempt = member.submission.attempt + 1
        joins = None if member is host else host.submission_id
        member.submission = msgspec.structs.replace(member.submission, attempt=attempt, host=joins)
        if member not in self.members:
            member.join(host)
            self.members.append(member)
        return Claim(
            submission_id=member.submission_id,
            attempt=attempt,
            at=at,
            host=joins,
            deadline=at + round(agent.durability.timeout * 1000),
            version=agent.version,
            fingerprint=agent.fingerprint,
        )

    def settles(
        self, outcome: Outcome, at: int, *, result: bytes | None = None, error: bytes | None = None
    ) -> Sequence[Settle]:
        """The writes that end all of them."""
        return [
            Settle(
                submission_id=each.submission_id,
                attempt=each.submission.attempt,
                outcome=outcome,
                at=at,
                result=result,
                error=error,
            )
            for each in self.members
        ]

    def pause(self, error: FlueError) -> None:
        """Tell everybody who waits that it goes on later."""
        for each in self.members:
            each.pause(error)


def input_message(given: Input, submission: Submission, at: int) -> Message:
    """What the model is shown of a message or an event."""
    if isinstance(given, DispatchInput):
        return dispatch_signal(
            key=submission.key,
            session=submission.session,
            dispatch_id=submission.dispatch_id or "",
            accepted_at=iso(submission.accepted_at),
            input=given.input,
            at_ms=at,
        )
    assert isinstance(given, PromptInput)
    return UserMessage(content=(TextContent(text=given.message), *given.images, *given.files), timestamp=at)


def _merges(pending: Pending, agent: ResolvedAgent) -> bool:
    """Messages merge when they ask for it, or when the agent waits for the end of a burst of them."""
    submission = pending.submission
    if submission.kind != "direct":
        return False
    wanted = submission.policy == "merge" or (agent.debounce is not None and submission.policy == "queue")
    return wanted and is_plain(pending)


def is_plain(pending: Pending) -> bool:
    """True for a message or event that asks for nothing of its own: it can be a part of another one's turn."""
    given = decode_input(pending.submission.payload)
    return isinstance(given, DispatchInput) or (
        isinstance(given, PromptInput) and given.call == NO_OPTIONS and not pending.tools
    )
