"""`Runtime.ref`: the in-process `agent_ref.AgentRef`."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar, Unpack, get_args, overload

import msgspec

from flue_actors.agent_ref import (
    ApprovalInfo,
    DispatchReceipt,
    HistoryEntry,
    IfBusy,
    Illustrated,
    InstanceStatus,
    Prompted,
    RunningSubmission,
    Sent,
    SessionInfo,
    ShellResult,
    StructuredResult,
    SubmissionInfo,
    Submitted,
)
from flue_actors.clock import iso
from flue_actors.conversation.approval import Verdict
from flue_actors.conversation.entries import MessageBody, is_message, is_private, read_message
from flue_actors.definition.attaching import MOST, File, Image, as_attachments
from flue_actors.definition.fields import check_call
from flue_actors.definition.guards import Principal, check_principal
from flue_actors.definition.results import ResultShape
from flue_actors.errors import (
    AttachmentNotFoundError,
    InvalidRequestError,
    ReaderTooSlowError,
    ResultUnavailableError,
    SubmissionNotFoundError,
    ToolArgumentsError,
)
from flue_actors.events import Event, PromptResult
from flue_actors.ids import DEFAULT_SESSION, AgentKey
from flue_actors.inputs import (
    NO_OPTIONS,
    CallOptions,
    CompactInput,
    DispatchInput,
    Input,
    PromptInput,
    ShellInput,
    SkillInput,
    TaskInput,
)
from flue_actors.instances.attachments import attachment_of
from flue_actors.intake.admission import PLAINLY, Admitted, Sending
from flue_actors.intake.approvals import Approvals
from flue_actors.places import Place
from flue_actors.receipts import away, info, kept, result_of
from flue_actors.session import MANY
from flue_actors.storage import Attachment, Entry, SessionRecord, Store, Submission
from flue_actors.streaming import SessionStream, events_of
from flue_actors.submissions import LiveInstance, Pending

R = TypeVar("R")

MUCH: Final = 4 * 1024 * 1024
"""Bytes of pictures and files that are hashed on the loop, in 3 ms; the most that a message may bring take 180."""


class RefHost(Protocol):
    """What a ref needs from its runtime."""

    @property
    def store(self) -> Store:
        """Where history is read."""
        ...

    async def admit(self, key: AgentKey, session: str, given: Input, how: Sending) -> Admitted:
        """Accept an input; see `admission.Admission.admit`."""
        ...

    async def abort(self, targets: Sequence[Pending], reason: str) -> int:
        """Have these aborted; see `delivery.Delivery.abort`."""
        ...

    async def erase(self, key: AgentKey, session: str | None = None) -> None:
        """Remove a session or an instance; see `removal.Removal.erase`."""
        ...

    @property
    def approvals(self) -> Approvals:
        """Decisions on tool calls. Raises NotStartedError, DrainingError."""
        ...

    @property
    def draining(self) -> bool:
        """True from the beginning of the runtime's stop on."""
        ...

    def follow(self, key: AgentKey, session: str, after: str | None) -> SessionStream:
        """A reader of a session's events; see `streaming`."""
        ...

    def live(self, key: AgentKey) -> LiveInstance | None:
        """What the instance has under way, if anything."""
        ...


def _options(key: AgentKey, result: Any, how: Prompted, *, watch: bool = False) -> tuple[CallOptions, Sending]:
    """What a prompt says of itself, apart from its message."""
    if result is None and not how and not watch:
        return NO_OPTIONS, PLAINLY
    check_call(how)
    shape = None if result is None else ResultShape[Any](result)
    call = CallOptions(
        model=how.get("model"),
        thinking_level=how.get("thinking_level"),
        limits=how.get("limits"),
        result=None if shape is None else shape.schema,
    )
    sending = Sending(
        if_busy=how.get("if_busy", "queue"),
        principal=how.get("principal"),
        idempotency_key=how.get("idempotency_key"),
        watch=watch,
        tools=tuple(how.get("tools", ())),
        shape=shape,
    )
    return call, sending


def _is_text(given: Any) -> bool:
    return given is None or isinstance(given, str)


def _answered(answer: PromptResult, result: Any) -> Any:
    """The answer in the form that was asked for."""
    if result is None:
        return answer
    try:
        data = ResultShape[Any](result).convert(answer.data)
    except ToolArgumentsError as error:
        raise ResultUnavailableError(meta={"reason": error.message}) from error
    return StructuredResult(data=data, usage=answer.usage, model=answer.model, total_usage=answer.total_usage)


class LocalSessionRef:
    """One named conversation of an instance in this process. See `agent_ref.SessionRef`."""

    __slots__ = ("_host", "_name", "key")

    def __init__(self, host: RefHost, key: AgentKey, name: str = DEFAULT_SESSION) -> None:
        self._host = host
        self._name = name
        self.key = key

    @overload
    async def prompt(self, message: str, *, result: None = None, **how: Unpack[Illustrated]) -> PromptResult: ...
    @overload
    async def prompt(self, message: str, *, result: type[R], **how: Unpack[Illustrated]) -> StructuredResult[R]: ...
    @overload
    async def prompt(
        self, message: str, *, result: Mapping[str, Any], **how: Unpack[Illustrated]
    ) -> StructuredResult[Any]: ...
    async def prompt(self, message: str, *, result: Any = None, **how: Unpack[Illustrated]) -> Any:
        """Send a message and wait for the answer."""
        submitted = await self.submit(message, result=result, **how)
        return _answered(await submitted.result(), result)

    async def stream(self, message: str, **how: Unpack[Illustrated]) -> AsyncIterator[Event]:
        """Send a message and watch it: every event until ``idle`` or ``error``.

        Raises:
            ReaderTooSlowError: Events were lost, because they were not taken in time; the work goes on.
        """
        submitted = await self.submit(message, watch=True, **how)
        with submitted.feed as feed:
            async for batch in feed.batches():
                for event in batch:
                    yield event
            if feed.lagged:
                raise ReaderTooSlowError

    async def submit(
        self, message: str, *, watch: bool = False, result: Any = None, **how: Unpack[Illustrated]
    ) -> Admitted:
        """Send a message; returns when it is durably accepted."""
        images, files = how.pop("images", ()), how.pop("files", ())
        call, sending = _options(self.key, result, how, watch=watch)
        given = PromptInput(message, call=call)
        if images or files:
            given, sending = await self._illustrated(given, sending, images, files)
        return await self._host.admit(self.key, self._name, given, sending)

    async def _illustrated(
        self, given: PromptInput, how: Sending, images: Sequence[Image], files: Sequence[File]
    ) -> tuple[PromptInput, Sending]:
        """The message with what it brings along. Raises InvalidRequestError."""
        brought = as_attachments(images, files)
        if len(brought) > MOST:
            raise InvalidRequestError(f"A message brings at most {MOST} images and files.")
        if sum([len(each.data) for each in brought]) > MUCH:
            await asyncio.to_thread(lambda: [each.content for each in brought])
        shown = msgspec.structs.replace(
            given, images=tuple([each.content for each in images]), files=tuple([each.content for each in files])
        )
        attachments = tuple([attachment_of(self.key, each) for each in brought])
        return shown, msgspec.structs.replace(how, attachments=attachments)

    @overload
    async def skill(
        self, name: str, *, args: dict[str, Any] | None = None, result: None = None, **how: Unpack[Prompted]
    ) -> PromptResult: ...
    @overload
    async def skill(
        self, name: str, *, args: dict[str, Any] | None = None, result: type[R], **how: Unpack[Prompted]
    ) -> StructuredResult[R]: ...
    @overload
    async def skill(
        self, name: str, *, args: dict[str, Any] | None = None, result: Mapping[str, Any], **how: Unpack[Prompted]
    ) -> StructuredResult[Any]: ...
    async def skill(
        self, name: str, *, args: dict[str, Any] | None = None, result: Any = None, **how: Unpack[Prompted]
    ) -> Any:
        """Have the agent use one of its skills, and wait for the answer."""
        call, sending = _options(self.key, result, how)
        return _answered(await self._send(SkillInput(name, args=args, call=call), sending), result)

    async def task(
        self, prompt: str, *, agent: str | None = None, cwd: str | None = None, **how: Unpack[Sent]
    ) -> PromptResult:
        """Give a task to one of the agent's subagents, past its model, and wait for the answer."""
        return await self._send(TaskInput(prompt, agent=agent, cwd=cwd), Sending(**how))

    async def shell(
        self, command: str, *, cwd: str | None = None, timeout: float | None = None, **how: Unpack[Sent]
    ) -> ShellResult:
        """Run a command in the agent's sandbox; the conversation remembers it."""
        done = (await self._send(ShellInput(command, cwd=cwd, timeout=timeout), Sending(**how))).data
        return ShellResult(stdout=done["stdout"], stderr=done["stderr"], exit_code=done["exitCode"])

    async def compact(self, instructions: str | None = None, **how: Unpack[Sent]) -> bool:
        """Replace older messages by a summary now; False when there was nothing to summarise."""
        return bool((await self._send(CompactInput(instructions), Sending(**how))).data["compacted"])

    async def _send(self, given: Input, how: Sending) -> PromptResult:
        return await (await self._host.admit(self.key, self._name, given, how)).result()

    async def dispatch(
        self,
        input: Any,
        *,
        if_busy: IfBusy = "queue",
        principal: Principal | None = None,
        idempotency_key: str | None = None,
    ) -> DispatchReceipt:
        """Hand over an event (JSON) to work on; returns when it is durably accepted."""
        given = DispatchInput(_snapshot(input))
        how = Sending(if_busy=if_busy, principal=principal, idempotency_key=idempotency_key)
        admitted = await self._host.admit(self.key, self._name, given, how)
        return DispatchReceipt(
            dispatch_id=admitted.dispatch_id, submission_id=admitted.submission_id, accepted_at=admitted.accepted_at
        )

    async def events(self, *, after: str | None = None) -> AsyncIterator[Event]:
        """Every event of the session behind offset ``after`` (None: from now on), then live, until it is removed."""
        async with aclosing(events_of(self.follow(after))) as shown:
            async for each in shown:
                yield each.event

    def follow(self, after: str | None = None) -> SessionStream:
        """The same, for who writes the events on: batches, with their JSON made once for all readers."""
        return self._host.follow(self.key, self._name, after)

    async def history(
        self, *, after: str | None = None, before: str | None = None, limit: int | None = None
    ) -> list[HistoryEntry]:
        """The session's messages in order, between the offsets: the first ``limit``, with ``before`` the last ones."""
        low, high = 0 if after is None else Place.parse(after).seq, None if before is None else Place.parse(before).seq
        found: list[HistoryEntry] = []
        missing = limit
        while True:  # not every entry is a message
            entries = await self._host.store.entries(self.key, self._name, after=low, before=high, limit=missing)
            page = _page(entries) if len(entries) <= MANY else await asyncio.to_thread(_page, entries)
            found = [*found, *page] if high is None else [*page, *found]
            if missing is None or limit is None or len(entries) < missing or len(found) == limit:
                return found
            missing = limit - len(found)
            if high is None:
                low = entries[-1].seq
            else:
                high = entries[0].seq

    async def abort(self, *, reason: str = "aborted") -> int:
        """Abort what runs and what waits in this session; returns how many inputs that are."""
        return await self._abort(self._name, reason)

    async def delete(self) -> None:
        """Remove the conversation; what runs in it is aborted first."""
        await self._host.erase(self.key, self._name)

    async def _abort(self, session: str | None, reason: str) -> int:
        live = self._host.live(self.key)
        return 0 if live is None else await self._host.abort(live.of(session), reason)


class LocalAgentRef(LocalSessionRef):
    """One agent instance in this process. See `agent_ref.AgentRef`."""

    __slots__ = ()

    def session(self, name: str = DEFAULT_SESSION) -> LocalSessionRef:
        """Another named session of the same instance."""
        return LocalSessionRef(self._host, self.key, name)

    async def status(self) -> InstanceStatus:
        """What the instance does right now; never waits for it."""
        live = self._host.live(self.key)
        if live is None:
            return InstanceStatus(state="idle", running=(), queued=0)
        running = tuple([_running(pending) for pending in live.running])
        waits = any(each.suspended for each in live.unsettled.values())
        state = "running" if running else "waiting" if waits else "queued"
        return InstanceStatus(state=state, running=running, queued=live.pending - len(running))

    async def abort(self, *, reason: str = "aborted") -> int:
        """Abort everything the instance runs and has waiting; returns how many inputs that are."""
        return await self._abort(None, reason)

    async def approvals(self) -> list[ApprovalInfo]:
        """Its tool calls that wait for somebody's decision, oldest first."""
        return await self._host.approvals.of(self.key)

    async def decide(
        self, approval_id: str, verdict: Verdict, *, principal: Principal | None = None, reason: str | None = None
    ) -> None:
        """Decide on a tool call."""
        if verdict not in get_args(Verdict):
            raise InvalidRequestError(f"The decision {verdict!r} is none.", details='It is "approved" or "denied".')
        check_principal(principal)
        if not _is_text(reason):
            raise InvalidRequestError("The reason of a decision is text.")
        by = None if principal is None else principal.subject
        await self._host.approvals.decide(self.key, approval_id, verdict, by=by, reason=reason)

    async def attachment(self, id: str) -> Attachment:
        """A picture or file of its conversations."""
        found = await self._host.store.attachment(self.key, id)
        if found is None:
            raise AttachmentNotFoundError
        return found

    async def abort_submission(self, submission_id: str, *, reason: str = "aborted") -> bool:
        """Abort one input; False when it is settled already.

        Raises:
            SubmissionNotFoundError: This instance never accepted it, or it was forgotten.
        """
        pending = self._pending(submission_id)
        if pending is None:
            await self._row(submission_id)
            return False
        return bool(await self._host.abort([pending], reason))

    async def sessions(self) -> list[SessionInfo]:
        """Its conversations, in order of creation."""
        records = await self._host.store.sessions(self.key)
        return [_session_info(each) for each in records]

    async def submission(self, submission_id: str) -> SubmissionInfo:
        """One accepted input and what became of it.

        Raises:
            SubmissionNotFoundError: This instance never accepted it, or it was forgotten.
        """
        return info(await self._row(submission_id))

    async def wait(self, receipt: DispatchReceipt | Submitted | str) -> PromptResult:
        """The outcome of an accepted input, now or when it is there.

        Raises:
            SubmissionNotFoundError: As `submission`.
            TurnError: It was settled ``failed`` or ``aborted``.
            InterruptedTurnError: The runtime stops; the input is kept.
            UnavailableError: Its agent is not defined any more; the input is kept.
        """
        submission_id = receipt if isinstance(receipt, str) else receipt.submission_id
        pending = self._pending(submission_id)
        if pending is not None:
            return await pending.result()
        row = await self._row(submission_id)
        if row.status == "settled":
            return result_of(row)
        if self._host.draining:
            raise kept(submission_id)
        raise away()

    async def erase(self) -> None:
        """Abort everything and remove the instance: nothing of it is left."""
        await self._host.erase(self.key)

    def _pending(self, submission_id: str) -> Pending | None:
        live = self._host.live(self.key)
        return None if live is None else live.unsettled.get(submission_id)

    async def _row(self, submission_id: str) -> Submission:
        row = await self._host.store.submission(submission_id)
        if row is None or row.key != self.key:
            raise SubmissionNotFoundError
        return row


def _session_info(record: SessionRecord) -> SessionInfo:
    offset = f"{record.last_seq}-0"
    return SessionInfo(name=record.name, created_at=iso(record.created_at), offset=offset, parent=record.parent)


def _page(entries: Sequence[Entry]) -> list[HistoryEntry]:
    bodies = [(entry, read_message(entry)) for entry in entries if is_message(entry)]
    return [_history_entry(entry, body) for entry, body in bodies if not is_private(body)]


def _history_entry(entry: Entry, body: MessageBody) -> HistoryEntry:
    return HistoryEntry(
        offset=f"{entry.seq}-0",
        at=iso(entry.at),
        message=body.message,
        submission_id=entry.submission_id,
    )


def _running(pending: Pending) -> RunningSubmission:
    return RunningSubmission(
        submission_id=pending.submission_id,
        session=pending.submission.session,
        running_since=iso(pending.started_at),
    )


def _snapshot(value: Any) -> Any:
    """A deep copy of JSON-like data. Raises InvalidRequestError for anything JSON cannot say."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            "The input is not JSON.",
            details="Send only objects, arrays, strings, finite numbers, booleans and null, without cycles.",
        ) from error
