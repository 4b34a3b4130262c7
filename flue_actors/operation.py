"""Performs one attempt at one accepted input, from claim to settlement: what `conversation` decides, done.

Writes and what leaves are in one order: a reply with tool calls is durable before a tool starts, each tool's result before
it is shown, and the last reply, together with the outcome, before ``message_end``, the result, or ``idle`` are seen by
anyone. So whatever moment the process stops at, the next attempt finds where to go on (`conversation.resumption`).
"""

import asyncio
from collections.abc import Sequence

import msgspec

from flue_actors import events
from flue_actors.conversation.entries import ResumedBody, Source, resumed_entry
from flue_actors.conversation.outcome import add_usage, cut_off_reply, outcome_of, prompt_result
from flue_actors.conversation.prompts import aborted_signal, continued_signal, interrupted_signal, unanswered_signal
from flue_actors.conversation.resumption import Resumption
from flue_actors.conversation.turn import Finish, Stop, next_step, unknown_outcome
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import (
    AbortedError,
    AttemptsExhaustedError,
    DeadlineExceededError,
    InterruptedTurnError,
    TurnError,
)
from flue_actors.events import PromptResult, PublicError
from flue_actors.messages import AssistantMessage, ToolCall, ToolResultMessage, Usage, text_of
from flue_actors.model_call import ModelCall, Reply, turn_account
from flue_actors.models.protocol import ModelRequest
from flue_actors.party import Party, input_message
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Entry, Op, Requeue
from flue_actors.submissions import Pending
from flue_actors.system_prompt import SystemPrompt
from flue_actors.tool_calls import Steps, ToolRunner
from flue_actors.turn_record import Added, TurnRecord

_encode = msgspec.json.Encoder().encode

_TOLD_TO_THE_MODEL = (InterruptedTurnError, AttemptsExhaustedError, DeadlineExceededError)
"""Failures after which the history itself does not show that the input was never answered."""


class Boundary(Exception):
    """The runtime stops, and everything up to here is recorded: a good moment to leave the rest to the next start."""


class Operation:
    """One attempt, in one session. Use once: `run`, and if that raises, `fail` or `requeue`.

    Args:
        past: What earlier attempts came to; None for the first.
    """

    def __init__(self, services: Services, session: Session, pending: Pending, past: Resumption | None = None) -> None:
        self._services = services
        self._session = session
        self._pending = pending
        self._submission = pending.submission
        self._past = past if past is not None else Resumption()
        self._resumed = past is not None
        self._party = Party(pending)
        self._record = TurnRecord(services, session, self._party, spent_ms=self._past.spent_ms)
        self._system = SystemPrompt(services, session)
        self._call: ModelCall | None = None
        self._kept = self._past.kept

    @property
    def members(self) -> Sequence[Pending]:
        """Every input it works on: its own, and those that joined."""
        return self._party.members

    @property
    def session_name(self) -> str:
        """The conversation it belongs to."""
        return self._session.name

    @property
    def spent_ms(self) -> int:
        """Milliseconds of work in all attempts so far."""
        return self._record.spent_ms

    async def run(self, agent: ResolvedAgent) -> None:
        """Work on the input until it is settled ``completed``.

        Raises:
            TurnError: A model failure or a cap; settle it with `fail`.
            Boundary: The runtime stops; leave it with `requeue`.
            StoreError: A write was refused; the session in memory is no longer the stored one.
        """
        self._record.emitter.full = agent.public_events == "full"
        call = self._call = self._model_call(agent)
        tools = self._tool_runner(agent)
        await self._begin(agent, tools)
        if self._past.finished is not None:
            await self._complete(self._past.finished, None)
            return
        max_turns = agent.max_turns or self._services.settings.max_turns
        turn = self._past.turns
        while True:
            turn += 1
            reply = await call.perform(self._request(agent, call))
            self._record.turn_id = reply.turn_id
            step = next_step(reply.message, turn=turn, max_turns=max_turns)
            if isinstance(step, Finish):
                await self._complete(reply.message, step.stop_reason, reply)
                return
            self._kept = ""
            await self._record.record(reply.message, "model")
            if isinstance(step, Stop):
                for result in step.results:
                    await self._record.record(result, "tool")
                self._end_turn(reply, step.results)
                raise step.error
            self._end_turn(reply, await tools.run(step.calls))
            self._at_boundary(agent)

    async def fail(self, error: TurnError) -> None:
        """Settle it ``failed`` or ``aborted``; history shows why.

        Raises:
            StoreError: The store refused.
        """
        record, shown, outcome = self._record, PublicError.of(error), outcome_of(error)
        reason = events.OperationError(name=error.type, message=error.message)
        left, signal = self._leave(error)
        body = record.settled_body(outcome=outcome, stop_reason=error.type, usage=self._usage(), error=reason)
        settled = record.settled(body)
        await record.recording.conclude(
            record.append(*[entry for entry, _ in left], *signal, *settled),
            *self._party.settles(outcome, self._now(), error=_encode(shown)),
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
        if self._call is not None:
            self._call.save()
        return await self._record.recording.try_once(
            *[
                Requeue(submission_id=each.submission_id, attempt=each.submission.attempt, spent_ms=self.spent_ms)
                for each in self._party.members
            ]
        )

    # -- beginning ------------------------------------------------------------------------------------------------

    async def _begin(self, agent: ResolvedAgent, tools: ToolRunner) -> None:
        if self._resumed:
            await self._resume(agent, tools)
            return
        self._take_up([self._party.host, *self._party.merging(agent)], agent)
        await self._system.load(agent)
        self._announce()

    def _announce(self) -> None:
        self._record.emitter.emit(events.OperationStart, operation_kind="prompt")
        self._record.emitter.emit(events.AgentStart)

    def _take_up(self, members: Sequence[Pending], agent: ResolvedAgent) -> None:
        """Start attempts and record the inputs. Not awaited: the next write fails if this one does."""
        record, now = self._record, self._now()
        ops: list[Op] = [self._party.claim(member, agent, now) for member in members]
        record.claimed = True
        frozen, told = self._system.freeze(agent, now)
        ops.extend(frozen)
        if told is not None:
            ops.append(record.append(record.signal(told)))
        for member in members:
            source: Source = "dispatch" if member.submission.kind == "dispatch" else "prompt"
            message = input_message(member.submission, now)
            entry = self._session.add(message, source, submission_id=member.submission_id)
            ops.append(record.append(entry, of=member))
        self._session.position.durable(self._session.seq)  # what follows stands behind: no offset is used twice
        record.recording.write(*ops)

    async def _resume(self, agent: ResolvedAgent, tools: ToolRunner) -> None:
        """Start another attempt behind what the earlier ones left."""
        record, now = self._record, self._now()
        calls = self._session.transcript.unanswered()
        again = tools.reruns(calls)
        left = [record.add(tools.lost(call), "tool") for call in calls if call not in again]
        if not calls:
            left.extend(self._piece())
        body = ResumedBody(attempt=self._submission.attempt + 1, kept=bool(left) and not calls)
        resumed = resumed_entry(self._session.next_seq(), now, self._submission.id, body)
        signal: list[Entry] = []
        if body.kept:
            signal = [record.signal(continued_signal(self._submission.id, now))]
        elif not calls and self._past.finished is None and self._session.transcript.ends_in_a_reply:
            signal = [record.signal(unanswered_signal(self._submission.id, now))]
        claims: list[Op] = [self._party.claim(each, agent, now) for each in self._party.members]
        record.claimed = True
        await record.recording.commit(*claims, record.append(*[entry for entry, _ in left], resumed, *signal))
        await self._system.load(agent)
        for each in left:
            record.show(each)
        record.emitter.emit(events.StreamInterrupted, durable=resumed.seq, attempt=body.attempt, kept=body.kept)
        self._announce()
        if again:
            await tools.run(again)
            self._at_boundary(agent)

    def _at_boundary(self, agent: ResolvedAgent) -> None:
        """Everything is recorded, and the model is asked next: the moment to leave, or to let others join.

        Raises:
            Boundary: The runtime stops.
        """
        if self._services.stopping():
            raise Boundary
        joining = self._party.steering()
        if joining:
            self._take_up(joining, agent)

    # -- working --------------------------------------------------------------------------------------------------

    def _model_call(self, agent: ResolvedAgent) -> ModelCall:
        return ModelCall(
            self._services,
            self._services.models.resolve(agent.model),
            self._record.emitter,
            self._tenant(),
            journal=self._record.journal_text,
            background=self._resumed and self._pending.instance.pending == 1,  # else its user is back, and waits
        )

    def _request(self, agent: ResolvedAgent, call: ModelCall) -> ModelRequest:
        return ModelRequest(
            model=call.model,
            messages=self._session.transcript.context(),
            instructions=self._system.instructions(agent),
            instance_text=self._system.instance_text,
            tools=agent.tool_specs,
            thinking=agent.thinking_level,
            affinity=f"{self._submission.key}/{self._submission.session}",
        )

    def _tool_runner(self, agent: ResolvedAgent) -> ToolRunner:
        return ToolRunner(
            self._services,
            {tool.name: tool for tool in agent.tools},
            self._record.emitter,
            key=self._submission.key,
            session=self._submission.session,
            principal=self._pending.principal,
            timeout=agent.tool_timeout or self._services.settings.tool_timeout,
            record=self._record_result,
            steps=Steps(self._past.steps, self._record.journal_step),
            existed=self._session.transcript.answered,
        )

    async def _record_result(self, _: ToolCall, result: ToolResultMessage) -> None:
        await self._record.record(result, "tool")

    # -- ending ---------------------------------------------------------------------------------------------------

    async def _complete(self, last: AssistantMessage, stop_reason: str | None, reply: Reply | None = None) -> None:
        """Settle ``completed`` together with the last reply (None: it is stored already), then show both."""
        record = self._record
        added = [record.add(reply.message, "model")] if reply is not None else []
        result = self._result(last, stop_reason)
        body = record.settled_body(outcome="completed", stop_reason=stop_reason, usage=result.usage)
        settled = record.settled(body)
        await record.recording.conclude(
            record.append(*[entry for entry, _ in added], *settled),
            *self._party.settles("completed", self._now(), result=_encode(result)),
        )
        for each in added:
            record.show(each)
        if reply is not None:
            self._end_turn(reply, ())
        record.show_end(settled, body, events.Idle, {}, result=result)
        for member in self._party.members:
            member.complete(result)

    def _result(self, last: AssistantMessage, stop_reason: str | None) -> PromptResult:
        """The last reply, behind what an interruption had left of it."""
        result = prompt_result(last, self._usage(), stop_reason)
        return msgspec.structs.replace(result, text=self._kept + result.text) if self._kept else result

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
        found = self._call.piece() if self._call is not None else None
        past = self._past.partial
        if found is None and not self._record.claimed and past is not None:
            model = self._call.name if self._call is not None else ("", "", "")
            found = past.turn_id, cut_off_reply(past.text, *model, self._now())
        if found is None:
            return []
        self._record.turn_id, message = found
        self._kept += text_of(message)
        return [self._record.add(message, "model")]

    def _end_turn(self, reply: Reply, results: tuple[ToolResultMessage, ...]) -> None:
        emit = self._record.emitter.emit
        emit(events.TurnEnd, purpose="agent", message=reply.message, tool_results=results)
        ended = asyncio.get_running_loop().time()
        emit(events.Turn, **turn_account(reply.message, reply.started, ended), is_error=False)

    def _usage(self) -> Usage:
        return self._past.usage if self._call is None else add_usage(self._past.usage, self._call.usage)

    def _tenant(self) -> str:
        principal = self._pending.principal
        return (principal.tenant or "") if principal is not None else ""

    def _now(self) -> int:
        return self._services.clock.now_ms()
