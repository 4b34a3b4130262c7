"""Runs the tool calls of one reply: side by side, results in the order of the calls, nothing escapes.

Whatever a tool does (raises, hangs, answers rubbish, raises SystemExit), the model gets a result that says so, and only
that call is affected. Each result is recorded as soon as it is there, and shown after that.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import inf
from typing import Any, Final

import msgspec

from flue_actors import events
from flue_actors.conversation.approval import Decision, arguments_hash, denial
from flue_actors.conversation.turn import error_result, refused, removed, unknown_outcome
from flue_actors.definition.guards import Principal
from flue_actors.definition.steps import ToolSteps
from flue_actors.definition.tools import Delegate, Level, LogSink, Tool, ToolAnswer, ToolContext, shown_text
from flue_actors.errors import SandboxError, StoreError, ToolError
from flue_actors.ids import AgentKey
from flue_actors.instances.attachments import attachment_of
from flue_actors.instances.state import CallState, InstanceState
from flue_actors.messages import TextContent, ToolCall, ToolResultMessage
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.services import Services
from flue_actors.storage import Op, PutKv
from flue_actors.turns.emitting import Emitter

logger = logging.getLogger("flue_actors.tools")

HANG_GRACE: Final = 5.0
"""Seconds a timed-out tool gets to end after its cancellation; then its task is left to itself."""


Record = Callable[[ToolResultMessage, Sequence[Op]], Awaitable[None]]
"""Makes a result durable, together with what else belongs to it. Raises StoreError."""

Approve = Callable[[ToolCall, str], Awaitable[Decision]]
"""What somebody decided on a call, whose arguments have this hash. Raises LeftOpen when that has to be waited for."""


class Steps(msgspec.Struct, frozen=True):
    """Where durable tools' steps are recorded; a `StepJournal`."""

    recorded: Mapping[str, bytes]
    write: Callable[[str, bytes], Awaitable[None]]


class LeftOpen(Exception):
    """A call has no result now: it goes on in another attempt, when whatever it says has happened."""


class Boundary(LeftOpen):
    """The runtime stops, and everything up to here is recorded: a good moment to leave the rest to the next start."""


class Suspended(LeftOpen):
    """Somebody has to decide on something first."""


class Refused(LeftOpen):
    """The store refused what the call's task wrote; ``error`` says why."""

    def __init__(self, error: StoreError) -> None:
        super().__init__()
        self.error = error


class ToolSurroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of one operation, or of one task, have around them.

    Attributes:
        timeout: Seconds a call may take where its tool does not say.
        output: Bytes of an answer that the model is shown.
        workspace: The agent's sandbox, if it has one.
        state: What the instance keeps.
        delegate: Gives a task to a subagent.
        approve: Asks for a decision.
        steps: What earlier attempts recorded of durable tools, and where more goes.
        existed: True for the name of a tool that answered in this session before.
    """

    key: AgentKey
    session: str
    principal: Principal | None
    timeout: float
    output: int
    workspace: Workspace | None
    state: InstanceState
    delegate: Delegate | None
    approve: Approve
    steps: Steps
    existed: Callable[[str], bool]


class ToolRunner:
    """Runs calls for one operation.

    Args:
        record: Takes each result; its event leaves when that returned.
    """

    __slots__ = ("_around", "_emitter", "_record", "_services", "_tools")

    def __init__(
        self,
        services: Services,
        tools: Mapping[str, Tool],
        emitter: Emitter,
        around: ToolSurroundings,
        *,
        record: Record,
    ) -> None:
        self._services = services
        self._record = record
        self._tools = tools
        self._emitter = emitter
        self._around = around

    async def run(self, calls: Sequence[ToolCall]) -> tuple[ToolResultMessage, ...]:
        """The results of all calls, in their order. Cancelling cancels every call and waits for them.

        Raises:
            LeftOpen: Some have none yet; all others have ended.
            StoreError: A result could not be recorded; the other calls are cancelled.
        """
        tasks = [asyncio.ensure_future(self._attend(call)) for call in calls]
        try:
            done = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        left = [each for each in done if isinstance(each, LeftOpen)]
        for each in left:
            if isinstance(each, Refused):
                raise each.error
        if left:
            raise next((each for each in left if isinstance(each, Boundary)), left[0])
        return tuple([each for each in done if not isinstance(each, LeftOpen)])

    def reruns(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Of the calls whose outcome is unknown, those that may run again."""
        return [call for call in calls if (tool := self._tools.get(call.name)) is not None and tool.reruns]

    def lost(self, call: ToolCall) -> ToolResultMessage:
        """The result of a call that does not."""
        now = self._services.clock.now_ms()
        return unknown_outcome(call, now) if call.name in self._tools else removed(call, now)

    async def _attend(self, call: ToolCall) -> ToolResultMessage | LeftOpen:
        started = asyncio.get_running_loop().time()
        self._emitter.emit(events.ToolStart, tool_name=call.name, tool_call_id=call.id, args=call.arguments)
        shown: ToolResultMessage | None = unknown_outcome(call, self._services.clock.now_ms())  # if it is cut off
        try:
            result, together = await self._answer(call)
            await self._keep(result, together)
            shown = result
        except LeftOpen as left:
            shown = None  # it has not ended
            return left
        finally:
            if shown is not None:
                self._show(call, shown, started)
        return result

    def _show(self, call: ToolCall, shown: ToolResultMessage, started: float) -> None:
        self._emitter.emit(
            events.ToolCallEnd,
            tool_name=call.name,
            tool_call_id=call.id,
            is_error=shown.is_error,
            result=events.ToolOutput(shown.content, shown.details),
            duration_ms=round((asyncio.get_running_loop().time() - started) * 1000),
        )

    async def _keep(self, result: ToolResultMessage, together: Sequence[Op]) -> None:
        with self._around.state.writing():
            await self._record(result, together)

    async def _answer(self, call: ToolCall) -> tuple[ToolResultMessage, Sequence[Op]]:
        now = self._services.clock.now_ms()
        if call.name not in self._tools and self._around.existed(call.name):
            return removed(call, now), ()
        error = refused(call, self._tools, now)
        if error is not None:
            return error, ()
        tool = self._tools[call.name]
        try:
            bound = tool.bind(call.arguments)
        except ToolError as error:
            return self._error(call, error.message), ()
        decision = await self._decision(call, tool, bound)
        if decision is None:
            return await self._run(call, tool, bound)
        if decision.approved:
            result, together = await self._run(call, tool, bound)
        else:
            result, together = self._error(call, denial(decision)), ()
        return with_decision(result, decision), together

    async def _decision(self, call: ToolCall, tool: Tool, bound: dict[str, Any]) -> Decision | None:
        """What was decided on the call; None: it needs no decision. Raises LeftOpen."""
        if tool.approval is False:
            return None
        try:
            needed = tool.needs_approval(bound)
        except Exception as error:
            logger.warning("approval of tool %s of %s raised", call.name, self._around.key, exc_info=error)
            needed = True  # what cannot be told needs one
        if not needed:
            return None
        return await self._around.approve(call, arguments_hash(call))

    async def _run(self, call: ToolCall, tool: Tool, bound: dict[str, Any]) -> tuple[ToolResultMessage, Sequence[Op]]:
        around = self._around
        steps = ToolSteps(call.id, around.steps, self._services.run_blocking) if tool.durable else None
        state = await around.state.of_call() if tool.binding.context is not None else None
        context = ToolContext(
            tool_call_id=call.id,
            agent=around.key,
            session=around.session,
            principal=around.principal,
            tool=tool.name,
            log=self._log_sink(),
            steps=steps,
            sandbox=around.workspace,
            state=state,
            delegate=around.delegate,
        )
        timeout = around.timeout if tool.timeout is None else tool.timeout
        work = asyncio.ensure_future(self._invoke(call, tool, bound, context))
        try:
            await asyncio.wait({work}, timeout=None if timeout == inf else timeout)
            if not work.done():
                return await self._give_up(call, work, context, timeout), ()
        except asyncio.CancelledError:
            await self._cancel(call, work, context, self._services.settings.cancel_grace)
            raise
        finally:
            if steps is not None:
                steps.close()
        if work.cancelled():
            return self._error(call, "The tool was cancelled before it finished."), ()
        answer = work.result()
        if not isinstance(answer, ToolAnswer):
            return answer, ()
        return await self._result(call, answer, state)

    async def _result(
        self, call: ToolCall, answer: ToolAnswer, state: CallState | None
    ) -> tuple[ToolResultMessage, Sequence[Op]]:
        """The message, and what is written together with it: pictures, the instance's state, the sandbox's files."""
        together: list[Op] = []
        if self._around.workspace is not None:
            try:
                snapshot = await self._around.workspace.snapshot()
            except SandboxError as error:
                answer = msgspec.structs.replace(answer, text=f"{answer.text}\n[{error.message}]".strip())
            else:
                if snapshot is not None:
                    together.append(PutKv(key=self._around.key, kind="snapshot", name="sandbox", body=snapshot))
        together.extend([attachment_of(self._around.key, image) for image in answer.images])
        text = shown_text(answer.text, self._around.output)
        if state is not None and not answer.is_error:
            together.extend(state.writes())  # last: what is taken is written, whoever wants this call to end
        return (
            ToolResultMessage(
                tool_call_id=call.id,
                tool_name=call.name,
                content=(TextContent(text=text), *[image.content for image in answer.images]),
                is_error=answer.is_error,
                timestamp=self._services.clock.now_ms(),
                details={**answer.details, "terminate": True} if answer.terminate else dict(answer.details),
            ),
            together,
        )

    async def _invoke(
        self, call: ToolCall, tool: Tool, bound: dict[str, Any], context: ToolContext
    ) -> ToolAnswer | ToolResultMessage:
        """What it answers, or the error result of what it raises."""
        try:
            return await tool.execute(bound, context, self._services.run_blocking)
        except ToolError as error:
            return self._error(call, error.message)
        except (asyncio.CancelledError, LeftOpen):
            raise
        except BaseException as error:  # also SystemExit: a tool must not end the process
            logger.warning("tool %s of %s raised", call.name, self._around.key, exc_info=error)
            return self._error(call, f"The tool failed ({type(error).__name__}).")

    async def _give_up(
        self, call: ToolCall, work: "asyncio.Future[Any]", context: ToolContext, timeout: float
    ) -> ToolResultMessage:
        await self._cancel(call, work, context, HANG_GRACE)
        return self._error(call, f"The tool did not finish within {timeout:g} seconds. Its outcome is unknown.")

    async def _cancel(self, call: ToolCall, work: "asyncio.Future[Any]", context: ToolContext, grace: float) -> None:
        """Cancel it and wait for its end, ``grace`` seconds; nothing it does from here on is recorded."""
        context.cancel()
        work.cancel()
        await asyncio.wait({work}, timeout=grace)
        if not work.done():
            logger.error("tool %s of %s ignores its cancellation; left behind", call.name, self._around.key)

    def _log_sink(self) -> LogSink:
        loop = asyncio.get_running_loop()

        def sink(level: Level, message: str, attributes: dict[str, Any]) -> None:
            # A sync tool logs from its thread, and goes on changing what it logged.
            line = {"level": level, "message": shown_text(message), "attributes": _plain(attributes)}
            emit = functools.partial(self._emitter.emit, events.Log, **line)
            loop.call_soon_threadsafe(emit)

        return sink

    def _error(self, call: ToolCall, text: str) -> ToolResultMessage:
        return error_result(call, shown_text(text), self._services.clock.now_ms())


def with_decision(result: ToolResultMessage, decision: Decision) -> ToolResultMessage:
    """The result as the history keeps it: it tells who decided."""
    details = {**result.details, "approval": msgspec.to_builtins(decision)}
    return msgspec.structs.replace(result, details=details)


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes as JSON says them; a copy. What JSON cannot say is shown as Python writes it."""
    try:
        return msgspec.json.decode(msgspec.json.encode(attributes, enc_hook=repr))
    except (TypeError, ValueError, RecursionError):
        return {shown_text(str(name)): shown_text(repr(value)) for name, value in attributes.items()}
