"""Performs one accepted input from claim to settlement: what `conversation.turn` decides, done.

Writes and what leaves are in one order: a reply with tool calls is durable before a tool starts, and the last reply is
durable, together with the outcome, before ``message_end``, the result, or ``idle`` are seen by anyone.
"""

import asyncio
from contextlib import suppress
from itertools import count

import msgspec

from flue_actors import events
from flue_actors.clock import iso
from flue_actors.conversation.entries import SettledBody, Source, settled_entry
from flue_actors.conversation.outcome import ZERO, prompt_result
from flue_actors.conversation.prompts import dispatch_signal, instance_text, interrupted_signal
from flue_actors.conversation.turn import Finish, Stop, next_step, unknown_outcome
from flue_actors.definition.agent import ResolvedAgent
from flue_actors.definition.guards import Principal
from flue_actors.emitting import Emitter
from flue_actors.errors import FencedError, InterruptedTurnError, StoreError, TurnError
from flue_actors.events import PublicError
from flue_actors.messages import Message, TextContent, ToolResultMessage, UserMessage
from flue_actors.model_call import ModelCall, Reply, turn_account
from flue_actors.models.protocol import ModelRequest
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Append, Claim, Committed, Entry, Op, Outcome, Settle
from flue_actors.submissions import DispatchInput, Pending, decode_input
from flue_actors.tool_calls import ToolRunner

_encode = msgspec.json.Encoder().encode


class Operation:
    """One attempt at one submission, in one session. Use once: `run`, and if that raises, `fail`."""

    def __init__(self, services: Services, session: Session, pending: Pending) -> None:
        self._services = services
        self._session = session
        self._pending = pending
        self._submission = pending.submission
        self._principal: Principal | None = pending.principal
        self._attempt = 0  # until claimed
        self._operation_id = services.ids.operation()
        self._started = asyncio.get_running_loop().time()
        self._added: list[Message] = []
        self._usage = ZERO
        self._unawaited: list[asyncio.Future[Committed]] = []
        self._emitter = Emitter(
            pending.submission,
            self._operation_id,
            session.position,
            feed=pending.instance.feed,
            observers=services.observers,
            clock=services.clock,
        )

    @property
    def session_name(self) -> str:
        """The conversation it belongs to."""
        return self._session.name

    async def run(self, agent: ResolvedAgent) -> None:
        """Work on the input until it is settled ``completed``.

        Raises:
            TurnError: A model failure or a cap; settle it with `fail`.
            StoreError: A write was refused; the session in memory is no longer the stored one.
        """
        self._emitter.full = agent.public_events == "full"
        self._claim(agent)
        self._emitter.emit(events.OperationStart, operation_kind="prompt")
        self._emitter.emit(events.AgentStart)
        model = self._services.models.resolve(agent.model)
        call = ModelCall(self._services, model, self._emitter, self._tenant())
        tools = self._tool_runner(agent)
        max_turns = agent.max_turns or self._services.settings.max_turns
        for turn in count(1):
            reply = await call.perform(self._request(agent, model.model))
            self._usage = call.usage
            step = next_step(reply.message, turn=turn, max_turns=max_turns)
            if isinstance(step, Finish):
                await self._finish(reply, step)
                return
            await self._record(reply)
            results = step.results if isinstance(step, Stop) else await tools.run(step.calls)
            self._close_turn(reply, results)
            if isinstance(step, Stop):
                raise step.error

    async def fail(self, error: TurnError, outcome: Outcome = "failed") -> None:
        """Settle it ``failed`` or ``aborted``; history shows why.

        Raises:
            StoreError: The store refused; the row is settled at the next start.
        """
        shown = PublicError.of(error)
        reason = events.OperationError(name=error.type, message=error.message)
        body = self._settled_body(outcome, error.type, reason)
        open_calls = self._session.transcript.unanswered()
        entries = [self._add(unknown_outcome(call, self._now()), "runtime", None) for call in open_calls]
        if isinstance(error, InterruptedTurnError):
            signal = interrupted_signal(self._submission.id, self._submission.kind, error.type, self._now())
            entries.append(self._add(signal, "runtime", None))
        seq = self._session.next_seq()
        await self._conclude(
            self._append(*entries, settled_entry(seq, self._now(), self._submission.id, body)),
            Settle(
                submission_id=self._submission.id,
                attempt=self._attempt,
                outcome=outcome,
                at=self._now(),
                error=_encode(shown),
            ),
        )
        emitter = self._emitter
        emitter.turn(None)
        if self._attempt:  # else nobody was told that it began
            emitter.emit(events.AgentEnd, messages=tuple(self._added))
            emitter.emit(
                events.Operation,
                durable=seq,
                operation_kind="prompt",
                duration_ms=body.duration_ms,
                is_error=True,
                usage=self._usage,
                error=reason,
            )
        self._pending.fail(error)
        emitter.emit(events.ErrorEvent, error=shown)

    def _claim(self, agent: ResolvedAgent) -> None:
        """Start the attempt and record the input. Not awaited: the next write of this submission fails if it failed."""
        now = self._now()
        message = self._input_message(now)
        attempt = self._submission.attempt + 1
        fingerprint = agent.fingerprint
        claim = Claim(
            submission_id=self._submission.id,
            attempt=attempt,
            at=now,
            deadline=now + round(agent.durability.timeout * 1000),
            version=agent.version,
            fingerprint=fingerprint,
        )
        source = "prompt" if isinstance(message, UserMessage) else "dispatch"
        entry = self._session.add(message, source, submission_id=self._submission.id)
        self._session.position.durable(entry.seq)  # what follows stands behind the input: no offset is used twice
        freeze = self._session.freeze(fingerprint, instance_text(self._submission.key, now))
        self._attempt = attempt
        self._pending.claimed = True
        ops: list[Op] = [claim, self._append(entry)]
        if freeze is not None:
            ops.append(freeze)
        self._write(*ops)

    def _input_message(self, now: int) -> Message:
        given = decode_input(self._submission.payload)
        if not isinstance(given, DispatchInput):
            return UserMessage(content=(TextContent(text=given.message),), timestamp=now)
        return dispatch_signal(
            key=self._submission.key,
            session=self._submission.session,
            dispatch_id=self._submission.dispatch_id or "",
            accepted_at=iso(self._submission.accepted_at),
            input=given.input,
            at_ms=now,
        )

    def _request(self, agent: ResolvedAgent, model: str) -> ModelRequest:
        frozen = self._session.frozen
        return ModelRequest(
            model=model,
            messages=self._session.transcript.context(),
            instructions=agent.instructions,
            instance_text=frozen.instance_text if frozen is not None else "",
            tools=agent.tool_specs,
            thinking=agent.thinking_level,
            affinity=f"{self._submission.key}/{self._submission.session}",
        )

    def _tool_runner(self, agent: ResolvedAgent) -> ToolRunner:
        return ToolRunner(
            self._services,
            {tool.name: tool for tool in agent.tools},
            self._emitter,
            key=self._submission.key,
            session=self._submission.session,
            principal=self._principal,
            timeout=agent.tool_timeout or self._services.settings.tool_timeout,
        )

    async def _record(self, reply: Reply) -> None:
        """Make a reply with tool calls durable, then show it."""
        entry = self._add(reply.message, "model", reply.turn_id)
        await self._commit(self._append(entry))
        self._emitter.emit(events.MessageEnd, durable=entry.seq, message=reply.message)

    def _close_turn(self, reply: Reply, results: tuple[ToolResultMessage, ...]) -> None:
        """Record the results (the next write waits for this one) and show the end of the turn."""
        entries = tuple([self._add(result, "tool", reply.turn_id) for result in results])
        self._write(self._append(*entries))
        for entry, result in zip(entries, results, strict=True):
            self._emitter.emit(events.MessageStart, message=result)
            self._emitter.emit(events.MessageEnd, durable=entry.seq, message=result)
        self._end_turn(reply, results)

    async def _finish(self, reply: Reply, step: Finish) -> None:
        """Settle ``completed`` together with the last reply, then show both."""
        result = prompt_result(reply.message, self._usage, step.stop_reason)
        entry = self._add(reply.message, "model", reply.turn_id)
        body = self._settled_body("completed", step.stop_reason, None)
        settled = settled_entry(self._session.next_seq(), self._now(), self._submission.id, body)
        await self._conclude(
            self._append(entry, settled),
            Settle(
                submission_id=self._submission.id,
                attempt=self._attempt,
                outcome="completed",
                at=self._now(),
                result=_encode(result),
            ),
        )
        emitter = self._emitter
        emitter.emit(events.MessageEnd, durable=entry.seq, message=reply.message)
        self._end_turn(reply, ())
        emitter.turn(None)
        emitter.emit(events.AgentEnd, messages=tuple(self._added))
        emitter.emit(
            events.Operation,
            durable=settled.seq,
            operation_kind="prompt",
            duration_ms=body.duration_ms,
            is_error=False,
            result=result,
            usage=self._usage,
        )
        self._pending.complete(result)
        emitter.emit(events.Idle)

    def _end_turn(self, reply: Reply, results: tuple[ToolResultMessage, ...]) -> None:
        self._emitter.emit(events.TurnEnd, purpose="agent", message=reply.message, tool_results=results)
        ended = asyncio.get_running_loop().time()
        self._emitter.emit(events.Turn, **turn_account(reply.message, reply.started, ended), is_error=False)

    def _add(self, message: Message, source: Source, turn_id: str | None) -> Entry:
        entry = self._session.add(message, source, submission_id=self._submission.id, turn_id=turn_id)
        self._added.append(message)
        return entry

    def _append(self, *entries: Entry) -> Append:
        submission = self._submission
        return Append(
            key=submission.key,
            session=submission.session,
            entries=entries,
            submission_id=submission.id if self._attempt else None,  # before the claim there is no attempt to guard
            attempt=self._attempt,
        )

    def _write(self, *ops: Op) -> None:
        """Enqueue a write; the next `_commit` fails if it did."""
        self._unawaited.append(self._services.store.commit(self._services.fence, *ops))

    async def _commit(self, *ops: Op) -> None:
        """Make a write, and all before it, durable.

        Raises:
            StoreError: Refused. Of several failures the first one, which is why the others were refused.
        """
        await self._durable(self._services.store.commit(self._services.fence, *ops))

    async def _conclude(self, *ops: Op) -> None:
        """`_commit` for the write that decides the outcome: a cancellation while it is written comes too late."""
        write = self._services.store.commit(self._services.fence, *ops)
        while not write.done():
            with suppress(asyncio.CancelledError, StoreError):
                await asyncio.shield(write)
        await self._durable(write)

    async def _durable(self, write: "asyncio.Future[Committed]") -> None:
        try:
            await write
        except FencedError:
            for earlier in self._unawaited:
                if (reason := earlier.exception()) is not None:
                    raise reason from None
            raise
        self._unawaited.clear()

    def _settled_body(
        self, outcome: Outcome, stop_reason: str | None, error: events.OperationError | None
    ) -> SettledBody:
        elapsed = asyncio.get_running_loop().time() - self._started
        return SettledBody(
            outcome=outcome,
            duration_ms=round(elapsed * 1000),
            operation_id=self._operation_id,
            stop_reason=stop_reason,
            usage=self._usage,
            error=error,
        )

    def _tenant(self) -> str:
        return (self._principal.tenant or "") if self._principal is not None else ""

    def _now(self) -> int:
        return self._services.clock.now_ms()
