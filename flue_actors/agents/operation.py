"""Performs one attempt at one accepted input, from claim to settlement.

Writes and what leaves are in one order: a reply with tool calls is durable before a tool starts, each tool's result before
it is shown, and the last reply, together with the outcome, before ``message_end``, the result, or ``idle`` are seen by
anyone. So whatever moment the process stops at, the next attempt finds where to go on (`conversation.resumption`).
"""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from flue_actors import events
from flue_actors.agents.detached import report, subagent_at
from flue_actors.agents.direct import direct_tools, is_direct, run_direct
from flue_actors.agents.overriding import Overridden, overridden
from flue_actors.agents.subagents import Spawn, Subagents
from flue_actors.conversation.budget import Budget
from flue_actors.conversation.entries import ResumedBody, Source, resumed_entry
from flue_actors.conversation.outcome import outcome_of, prompt_result
from flue_actors.conversation.prompts import aborted_signal, continued_signal, interrupted_signal, unanswered_signal
from flue_actors.conversation.resumption import Resumption
from flue_actors.conversation.turn import unknown_outcome
from flue_actors.definition.limits import Limits
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import (
    AbortedError,
    AttemptsExhaustedError,
    DeadlineExceededError,
    InterruptedTurnError,
    TurnError,
)
from flue_actors.events import PromptResult, PublicError
from flue_actors.inputs import CallOptions, DetachedInput, decode_input, kind_of, options_of
from flue_actors.instances.instance import Instance
from flue_actors.lifetime import Lifetime
from flue_actors.messages import Message, ToolCall, Usage
from flue_actors.session import Session
from flue_actors.storage import Entry, Op, PutKv, Requeue, Suspend
from flue_actors.submissions import Pending
from flue_actors.turns.entry_writer import Added
from flue_actors.turns.loop import Ending, earlier_piece
from flue_actors.turns.party import Party, input_message
from flue_actors.turns.record import TurnRecord
from flue_actors.turns.reopening import patiently
from flue_actors.turns.system_prompt import SystemPrompt
from flue_actors.turns.tool_calls import Boundary
from flue_actors.turns.work import Work
from flue_actors.turns.work_place import WorkPlace

_encode = msgspec.json.Encoder().encode

_TOLD_TO_THE_MODEL = (InterruptedTurnError, AttemptsExhaustedError, DeadlineExceededError)
"""Failures after which the history itself does not show that the input was never answered."""


class Operation:
    """One attempt, in one session. Use once: `run`, and if that raises, `fail`, `requeue` or `suspend`.

    Args:
        spawn: Makes child actors.
        past: What earlier attempts came to; None for the first.
    """

    def __init__(
        self, instance: Instance, session: Session, pending: Pending, spawn: Spawn, past: Resumption | None = None
    ) -> None:
        self._instance = instance
        self._services = instance.services
        self._session = session
        self._pending = pending
        self._submission = pending.submission
        self._given = decode_input(pending.submission.payload)
        self._spawn = spawn
        self._past = past if past is not None else Resumption()
        self._resumed = past is not None
        self._party = Party(pending)
        self._record = TurnRecord(
            instance.services, session, self._party, spent_ms=self._past.spent_ms, kind=kind_of(self._given)
        )
        self._budget: Budget | None = None
        self._work: Work | None = None
        self._linger: Callable[[], None] | None = None  # there is something to tidy, which readers are to see

    @property
    def members(self) -> Sequence[Pending]:
        """Every input it works on: its own, and those that joined."""
        return self._party.members

    @property
    def session_name(self) -> str:
        """The conversation it belongs to."""
        return self._session.name

    @property
    def options(self) -> CallOptions:
        """What holds for its own input only."""
        return options_of(self._given)

    @property
    def spent_ms(self) -> int:
        """Milliseconds of work in all attempts so far."""
        return self._record.spent_ms

    async def run(self, agent: ResolvedAgent) -> None:
        """Work on the input until it is settled ``completed``.

        Raises:
            TurnError: A model failure, a cap, or an unusable workspace; settle it with `fail`.
            Boundary: The runtime stops; leave it with `requeue`.
            Suspended: Somebody has to decide first; leave it with `suspend`.
            StoreError: A write was refused; the session in memory is no longer the stored one.
        """
        self._record.emitter.full = agent.public_events == "full"
        limits = agent.limits  # a detached task counts for the instance whatever limits it has of its own
        if isinstance(self._given, DetachedInput):
            agent = subagent_at(agent, self._given)
        system = SystemPrompt(self._services, self._session)
        equipped = await system.equip(agent, self._instance.workspace(agent))
        chosen = overridden(self._services, self._pending, self._given, equipped)
        used = await self._lifetime.used(self._services.store, limits, chosen.agent.limits)
        work = self._work = self._make_work(chosen, system, used)
        again = await self._begin(work, chosen)
        if is_direct(self._given):
            ending = await run_direct(work, self._given, again)
        else:
            ending = await work.loop.run(chosen.agent, again)
        await self._complete(ending, work)

    async def tidy(self) -> None:
        """After the outcome: summarise a history that has become long. Raises StoreError."""
        work, self._work = self._work, None  # it refers to this: nothing is left to the collector
        if work is not None and self._linger is not None:
            self._record.outlive()
            used = work.history.budget = Budget(Limits())
            try:
                done = await work.history.compact("threshold", together=lambda: self._counts(used.total))
                if not done and (counts := await self._counts(used.total)):
                    await self._record.recording.commit(*counts)
            finally:
                self._linger()

    async def fail(self, error: TurnError) -> None:
        """Settle it ``failed`` or ``aborted``; history shows why.

        Raises:
            StoreError: The store refused.
        """
        record, shown, outcome = self._record, PublicError.of(error), outcome_of(error)
        counts = await self._counts(self._usage.total)
        reason = events.OperationError(name=error.type, message=error.message)
        left, signal = self._leave(error)
        body = record.settled_body(outcome=outcome, stop_reason=error.type, usage=self._usage.usage, error=reason)
        settled = record.settled(body)
        await record.recording.conclude(
            record.append(*[entry for entry, _ in left], *signal, *settled),
            *self._party.settles(outcome, self._now(), error=_encode(shown)),
            *counts,
            owed=report(self._services, self._pending, self._given, shown),
        )
        record.show_recorded()
        for each in left:
            record.show(each)
        record.show_end(settled, body, events.ErrorEvent, {"error": shown}, error=reason)
        for member in self._party.members:
            member.fail(error)

    async def requeue(self) -> bool:
        """Leave it to the next start, with what was streamed of a reply; False when the store does not take it now."""
        if not self._record.claimed:
            return True
        if self._work is not None:
            self._work.loop.save()
        return await self._record.recording.try_once(
            *[
                Requeue(submission_id=each.submission_id, attempt=each.submission.attempt, spent_ms=self.spent_ms)
                for each in self._party.members
            ]
        )

    async def suspend(self) -> None:
        """Leave it until somebody has decided on its calls, which may have happened meanwhile.

        Raises:
            StoreError: The store refused.
        """
        leave = Requeue if self._pending.is_decided else Suspend
        ended = [
            leave(submission_id=each.submission_id, attempt=each.submission.attempt, spent_ms=self.spent_ms)
            for each in self._party.members
        ]
        for each in self._party.members:  # before it is written: a decision that follows is written behind it
            each.submission = msgspec.structs.replace(each.submission, excused=each.submission.excused + 1)
            each.suspend()
        await self._record.recording.conclude(*ended)

    # -- beginning ------------------------------------------------------------------------------------------------

    def _make_work(self, chosen: Overridden, system: SystemPrompt, before: Usage | None) -> Work:
        past, instance = self._past, self._instance
        self._budget = Budget(
            chosen.agent.limits,
            turns=past.turns + past.task_turns,
            usage=past.usage,
            tasks=past.tasks,
            before=before,
        )
        place = WorkPlace(
            services=self._services,
            writer=self._record,
            budget=self._budget,
            workspace=instance.workspace(chosen.agent),
            path=self._given.path if isinstance(self._given, DetachedInput) else (),
            state=instance.state,
            attachments=instance.attachments,
            principal=self._pending.principal,
            journal=self._record.journal_text,
            background=self._resumed and self._pending.instance.pending == 1,  # else its user is back, and waits
            boundary=lambda: self._at_boundary(chosen),
        )
        return Work(
            place,
            chosen.agent,
            system,
            past,
            lambda place: Subagents(place, chosen.agent, self._spawn),
            direct_tools(self._given),
            chosen.asking,
        )

    async def _begin(self, work: Work, chosen: Overridden) -> Sequence[ToolCall]:
        """Start the attempt; the calls of an earlier one that may run again."""
        if self._resumed:
            return await self._resume(work, chosen)
        self._take_up([self._party.host, *self._party.merging(chosen.base)], chosen)
        await work.system.load(chosen.base)
        self._record.announce()
        return ()

    def _take_up(self, members: Sequence[Pending], chosen: Overridden) -> None:
        """Start attempts and record the inputs. Not awaited: the next write fails if this one does."""
        record, now = self._record, self._now()
        messages = [self._message(member, chosen, now) for member in members]  # first: it may be refused
        ops: list[Op] = [self._party.claim(member, chosen.base, now) for member in members]
        record.claimed = True
        assert self._work is not None
        frozen, told = self._work.system.freeze(chosen.base, now)
        ops.extend([*frozen, *self._lifetime.begins_to_count()])
        if told is not None:
            ops.append(record.append(record.signal(told)))
        for member, message in zip(members, messages, strict=True):
            source: Source = "dispatch" if member.submission.kind == "dispatch" else "prompt"
            if message is not None:
                entry = self._session.add(message, source, submission_id=member.submission_id)
                ops.append(record.append(entry, of=member))
        self._session.position.durable(self._session.seq)  # what follows stands behind: no offset is used twice
        record.recording.write(*ops)

    def _message(self, member: Pending, chosen: Overridden, now: int) -> Message | None:
        if member is self._party.host:
            return chosen.message(member.submission, now)
        return input_message(decode_input(member.submission.payload), member.submission, now)

    async def _resume(self, work: Work, chosen: Overridden) -> Sequence[ToolCall]:
        """Start another attempt behind what the earlier ones left."""
        record, now = self._record, self._now()
        calls = self._session.transcript.unanswered()
        again = work.tools.resumable(calls)
        left = [record.add(work.tools.lost(call), "tool") for call in calls if call not in again]
        if not calls:
            left.extend(work.loop.piece())
        waited = bool(self._pending.approvals)
        body = ResumedBody(attempt=self._submission.attempt + 1, kept=bool(left) and not calls, waited=waited)
        resumed = resumed_entry(self._session.next_seq(), now, self._submission.id, body)
        signal: list[Entry] = []
        if body.kept:
            signal = [record.signal(continued_signal(self._submission.id, now))]
        elif not calls and self._past.finished is None and self._session.transcript.ends_in_a_reply:
            signal = [record.signal(unanswered_signal(self._submission.id, now))]
        claims: list[Op] = [self._party.claim(each, chosen.base, now) for each in self._party.members]
        record.claimed = True
        await record.recording.commit(*claims, record.append(*[entry for entry, _ in left], resumed, *signal))
        await work.system.load(chosen.base)
        for each in left:
            record.show(each)
        if waited:
            self._session.position.durable(resumed.seq)
        else:
            record.emitter.emit(events.StreamInterrupted, durable=resumed.seq, attempt=body.attempt, kept=body.kept)
        record.announce()
        return again

    def _at_boundary(self, chosen: Overridden) -> None:
        """Everything is recorded, and the model is asked next: the moment to leave, or to let others join.

        Raises:
            Boundary: The runtime stops.
        """
        if self._services.stopping():
            raise Boundary
        joining = self._party.steering()
        if joining:
            self._take_up(joining, chosen)

    # -- ending ---------------------------------------------------------------------------------------------------

    async def _complete(self, ending: Ending, work: Work) -> None:
        """Settle ``completed`` together with the last reply, if it is not stored already, then show both."""
        record, reply = self._record, ending.reply
        counts = await self._counts(self._usage.total)
        added = [record.add(ending.last, "model")] if reply is not None else []
        result = self._result(ending, work)
        body = record.settled_body(outcome="completed", stop_reason=ending.stop_reason, usage=result.usage)
        settled = record.settled(body)
        await record.recording.conclude(
            record.append(*[entry for entry, _ in added], *settled),
            *self._party.settles("completed", self._now(), result=_encode(result)),
            *counts,
            owed=report(self._services, self._pending, self._given, result),
        )
        for each in added:
            record.show(each)
        if reply is not None:
            work.loop.end_turn(reply, ())
        record.show_end(settled, body, events.Idle, {}, result=result)
        if not self._services.stopping() and work.history.is_long:
            self._linger = self._pending.linger()
        for member in self._party.members:
            member.complete(result)

    def _result(self, ending: Ending, work: Work) -> PromptResult:
        """The last reply, behind what an interruption had left of it."""
        used = self._usage
        result = prompt_result(ending.last, used.usage, ending.stop_reason)
        kept, total = work.loop.kept if ending.data is UNSET else "", used.total
        if total is used.usage and not kept and ending.text is None and ending.data is UNSET:
            return result
        return msgspec.structs.replace(
            result,
            text=kept + (ending.text if ending.text is not None else result.text),
            data=ending.data,
            total_usage=total if total != used.usage else UNSET,
        )

    def _leave(self, error: TurnError) -> tuple[list[Added], list[Entry]]:
        """What makes the history whole where it is given up: messages, and a signal for the model."""
        record, submission, now = self._record, self._submission, self._now()
        calls = self._session.transcript.unanswered()
        left = [record.add(unknown_outcome(call, now), "tool") for call in calls] if calls else self._piece()
        signal = None
        if isinstance(error, AbortedError):
            reason = str((error.meta or {}).get("reason", error.type))
            signal = aborted_signal(submission.id, submission.kind, reason, now)
        elif isinstance(error, _TOLD_TO_THE_MODEL):
            signal = interrupted_signal(submission.id, submission.kind, error.type, now)
        begun = record.claimed or self._resumed  # else the history does not have the input
        return left, [record.signal(signal)] if signal is not None and begun else []

    def _piece(self) -> list[Added]:
        """What was streamed of a reply that is cut off: in this attempt, or in an earlier one."""
        if self._work is not None:
            return self._work.loop.piece()
        return earlier_piece(self._past, self._record, ("", "", ""), self._now())

    @property
    def _usage(self) -> Budget:
        if self._budget is None:  # given up before it began
            self._budget = Budget(Limits(), turns=self._past.turns, usage=self._past.usage, tasks=self._past.tasks)
        return self._budget

    @property
    def _lifetime(self) -> Lifetime:
        return self._pending.instance.lifetime

    async def _counts(self, used: Usage) -> Sequence[PutKv]:
        """The write that has this count for the instance. Raises StoreError."""
        return await patiently(self._lifetime.counts, self._services.store, used)

    def _now(self) -> int:
        return self._services.clock.now_ms()
