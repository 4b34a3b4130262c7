"""Runs the tool calls of one reply: side by side, results in the order of the calls, nothing escapes.

Whatever a tool does (raises, hangs, answers rubbish, raises SystemExit), the model gets a result that says so, and only
that call is affected. Each result is recorded as soon as it is there, and shown after that.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from flue_actors import events
from flue_actors.conversation.turn import error_result, refused, removed, unknown_outcome
from flue_actors.definition.guards import Principal
from flue_actors.definition.steps import ToolSteps
from flue_actors.definition.tools import Level, LogSink, Tool, ToolContext, shown_text
from flue_actors.emitting import Emitter
from flue_actors.errors import ToolError
from flue_actors.ids import AgentKey
from flue_actors.messages import TextContent, ToolCall, ToolResultMessage
from flue_actors.services import Services

logger = logging.getLogger("flue_actors.tools")

HANG_GRACE: Final = 5.0
"""Seconds a timed-out tool gets to end after its cancellation; then its task is left to itself."""


Record = Callable[[ToolCall, ToolResultMessage], Awaitable[None]]
"""Makes a result durable. Raises StoreError."""


class Steps(msgspec.Struct, frozen=True):
    """Where durable tools' steps are recorded; a `StepJournal`."""

    recorded: Mapping[str, bytes]
    write: Callable[[str, bytes], Awaitable[None]]


class ToolRunner:
    """Runs calls for one operation.

    Args:
        timeout: Seconds a call may take where its tool does not say.
        record: Takes each result; its event leaves when that returned.
        steps: What earlier attempts recorded of durable tools, and where more goes.
        existed: True for the name of a tool that answered in this session before.
    """

    __slots__ = (
        "_emitter",
        "_existed",
        "_key",
        "_principal",
        "_record",
        "_services",
        "_session",
        "_steps",
        "_timeout",
        "_tools",
    )

    def __init__(
        self,
        services: Services,
        tools: Mapping[str, Tool],
        emitter: Emitter,
        *,
        key: AgentKey,
        session: str,
        principal: Principal | None,
        timeout: float,
        record: Record,
        steps: Steps,
        existed: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._services = services
        self._record = record
        self._steps = steps
        self._existed = existed
        self._tools = tools
        self._emitter = emitter
        self._key = key
        self._session = session
        self._principal = principal
        self._timeout = timeout

    async def run(self, calls: Sequence[ToolCall]) -> tuple[ToolResultMessage, ...]:
        """The results of all calls, in their order. Cancelling cancels every call and waits for them.

        Raises:
            StoreError: A result could not be recorded; the other calls are cancelled.
        """
        tasks = [asyncio.ensure_future(self._attend(call)) for call in calls]
        try:
            return tuple(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise

    def reruns(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Of the calls whose outcome is unknown, those that may run again."""
        return [call for call in calls if (tool := self._tools.get(call.name)) is not None and tool.reruns]

    def lost(self, call: ToolCall) -> ToolResultMessage:
        """The result of a call that does not."""
        now = self._services.clock.now_ms()
        return unknown_outcome(call, now) if call.name in self._tools else removed(call, now)

    async def _attend(self, call: ToolCall) -> ToolResultMessage:
        started = asyncio.get_running_loop().time()
        self._emitter.emit(events.ToolStart, tool_name=call.name, tool_call_id=call.id, args=call.arguments)
        shown = unknown_outcome(call, self._services.clock.now_ms())  # that is what remains of it if it is cut off
        try:
            result = await self._answer(call)
            await self._record(call, result)
            shown = result
        finally:
            self._emitter.emit(
                events.ToolCallEnd,
                tool_name=call.name,
                tool_call_id=call.id,
                is_error=shown.is_error,
                result=events.ToolOutput(shown.content, shown.details),
                duration_ms=round((asyncio.get_running_loop().time() - started) * 1000),
            )
        return result

    async def _answer(self, call: ToolCall) -> ToolResultMessage:
        now = self._services.clock.now_ms()
        if call.name not in self._tools and self._existed(call.name):
            return removed(call, now)
        return refused(call, self._tools, now) or await self._run(call, self._tools[call.name])

    async def _run(self, call: ToolCall, tool: Tool) -> ToolResultMessage:
        steps = ToolSteps(call.id, self._steps, self._services.run_blocking) if tool.durable else None
        context = ToolContext(
            tool_call_id=call.id,
            agent=self._key,
            session=self._session,
            principal=self._principal,
            tool=tool.name,
            log=self._log_sink(),
            steps=steps,
        )
        timeout = self._timeout if tool.timeout is None else tool.timeout
        work = asyncio.ensure_future(self._invoke(call, tool, context))
        try:
            await asyncio.wait({work}, timeout=timeout)
            if not work.done():
                return await self._give_up(call, work, context, timeout)
        except asyncio.CancelledError:
            await self._cancel(call, work, context, self._services.settings.cancel_grace)
            raise
        finally:
            if steps is not None:
                steps.close()
        if work.cancelled():
            return self._error(call, "The tool was cancelled before it finished.")
        return work.result()

    async def _invoke(self, call: ToolCall, tool: Tool, context: ToolContext) -> ToolResultMessage:
        try:
            answer = await tool.execute(tool.bind(call.arguments), context, self._services.run_blocking)
        except ToolError as error:
            return self._error(call, error.message)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # also SystemExit: a tool must not end the process
            logger.warning("tool %s of %s raised", call.name, self._key, exc_info=error)
            return self._error(call, f"The tool failed ({type(error).__name__}).")
        return ToolResultMessage(
            tool_call_id=call.id,
            tool_name=call.name,
            content=(TextContent(text=shown_text(answer.text)),),
            is_error=answer.is_error,
            timestamp=self._services.clock.now_ms(),
            details=dict(answer.details),
        )

    async def _give_up(
        self, call: ToolCall, work: "asyncio.Future[ToolResultMessage]", context: ToolContext, timeout: float
    ) -> ToolResultMessage:
        await self._cancel(call, work, context, HANG_GRACE)
        return self._error(call, f"The tool did not finish within {timeout:g} seconds. Its outcome is unknown.")

    async def _cancel(
        self, call: ToolCall, work: "asyncio.Future[ToolResultMessage]", context: ToolContext, grace: float
    ) -> None:
        """Cancel it and wait for its end, ``grace`` seconds; nothing it does from here on is recorded."""
        context.cancel()
        work.cancel()
        await asyncio.wait({work}, timeout=grace)
        if not work.done():
            logger.error("tool %s of %s ignores its cancellation; left behind", call.name, self._key)

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


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes as JSON says them; a copy. What JSON cannot say is shown as Python writes it."""
    try:
        return msgspec.json.decode(msgspec.json.encode(attributes, enc_hook=repr))
    except (TypeError, ValueError, RecursionError):
        return {shown_text(str(name)): shown_text(repr(value)) for name, value in attributes.items()}
