"""The model and its tools, turn by turn, until there is an answer: in a submission's session, or in that of a task.

Performs what `conversation.turn` decides. A reply with tool calls is durable before a tool starts, each tool's result
before it is shown, and the last reply is handed back unrecorded: whoever settles the work writes both together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from flue_actors import events
from flue_actors.conversation.outcome import cut_off_reply
from flue_actors.conversation.resumption import Resumption
from flue_actors.conversation.turn import Finish, Stop, last_batch, next_step
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import InstanceLimitError, ResultUnavailableError, TurnError
from flue_actors.messages import AssistantMessage, TextContent, ToolCall, ToolResultMessage, UserMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.services import Services
from flue_actors.turns.entry_writer import Added, EntryWriter
from flue_actors.turns.model_call import ModelCall, Reply, turn_account
from flue_actors.turns.result_asking import ResultAsking
from flue_actors.turns.system_prompt import SystemPrompt
from flue_actors.turns.tool_calls import ToolRunner
from flue_actors.turns.work_place import WorkPlace


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What the work came to.

    Attributes:
        last: The last reply.
        reply: The same, while it is not recorded yet.
        stop_reason: None for an ordinary stop.
        data: The structured result, if one was asked for.
        text: What its caller gets, where that is not the last reply's.
    """

    last: AssistantMessage
    reply: Reply | None = None
    stop_reason: str | None = None
    data: Any = UNSET
    text: str | None = None


Ask = Callable[[ModelCall, Callable[[], ModelRequest]], Awaitable[Reply]]
"""Performs the call of this request. Raises ModelError, StoreError."""


class Toolbox(Protocol):
    """See `work.Toolbox`."""

    @property
    def runner(self) -> ToolRunner:
        """Runs tool calls."""
        ...


class TurnLoop:
    """One attempt's turns. Use once.

    Args:
        asking: Asks for the structured result, if one is wanted.
        ask: How the model is asked: see `asking`.
    """

    __slots__ = (
        "_ask_model",
        "_asking",
        "_budget",
        "_call",
        "_past",
        "_place",
        "_services",
        "_session",
        "_system",
        "_tools",
        "_turn",
        "_writer",
        "kept",
    )

    def __init__(
        self,
        place: WorkPlace,
        system: SystemPrompt,
        call: ModelCall,
        tools: Toolbox,
        past: Resumption,
        *,
        asking: ResultAsking | None,
        ask: Ask,
    ) -> None:
        self._place = place
        self._services = place.services
        self._writer = place.writer
        self._session = place.writer.session
        self._system = system
        self._call = call
        self._tools = tools
        self._budget = place.budget
        self._past = past
        self._asking = asking
        if asking is not None:
            asking.reminders = past.reminders
        self._ask_model = ask
        self._turn = past.turns
        self.kept = past.kept

    async def run(self, agent: ResolvedAgent, again: Sequence[ToolCall] = ()) -> Ending:
        """Work until there is an answer.

        Args:
            again: Calls of the last reply that have no result yet, and may run now.

        Raises:
            TurnError: A model failure or a cap.
            LeftOpen: It goes on in another attempt.
            StoreError: A write was refused.
        """
        max_turns = _turns(agent, self._services)
        if again:
            ending = await self._run_tools(again)
            if ending is not None:
                return ending
        elif self._past.finished is not None:
            ending = await self._finished(Ending(last=self._past.finished))
            if ending is not None:
                return ending
        elif self._past.turns and (ending := self._ended_by_tools()) is not None:
            return ending
        while True:
            error = self._budget.crossed()  # by its tasks, by earlier messages, or in an earlier attempt
            if error is not None:
                return await self._end(agent, error)
            self._turn += 1
            reply = await self._ask(agent)
            self._budget.count(reply.message.usage)
            self._writer.turn_id = reply.turn_id
            step = next_step(reply.message, turn=self._turn, max_turns=max_turns, crossed=self._budget.crossed())
            if isinstance(step, Finish):
                ending = await self._finished(Ending(last=reply.message, reply=reply, stop_reason=step.stop_reason))
                if ending is not None:
                    return ending
                continue
            self.kept = ""
            await self._writer.record(reply.message, "model")
            if isinstance(step, Stop):
                return await self._stop(agent, reply, step)
            ending = await self._run_tools(step.calls, reply)
            if ending is not None:
                return ending

    def piece(self) -> list[Added]:
        """What was streamed of a reply that is cut off: in this attempt, or in an earlier one."""
        found = self._call.piece()
        if found is None:
            left = earlier_piece(self._past, self._writer, self._call.name, self._services.clock.now_ms())
        else:
            self._writer.turn_id, message = found
            left = [self._writer.add(message, "model")]
        self.kept += "".join([text_of(message) for _, message in left])
        return left

    def save(self) -> None:
        """Journal what was streamed of a reply that is cut off."""
        self._call.save()

    def end_turn(self, reply: Reply, results: tuple[ToolResultMessage, ...]) -> None:
        """Show the account of a round trip."""
        emit = self._writer.emitter.emit
        emit(events.TurnEnd, purpose="agent", message=reply.message, tool_results=results)
        ended = asyncio.get_running_loop().time()
        emit(events.Turn, **turn_account(reply.message, reply.started, ended), is_error=False)

    def _ask(self, agent: ResolvedAgent, *, use_tools: bool = True) -> Awaitable[Reply]:
        return self._ask_model(self._call, lambda: self._request(agent, use_tools))

    def _request(self, agent: ResolvedAgent, use_tools: bool) -> ModelRequest:
        submission = self._writer.host.submission
        return ModelRequest(
            model=self._call.model,
            messages=self._session.transcript.context(),
            instructions=self._system.instructions(agent),
            instance_text=self._system.instance_text,
            tools=agent.tool_specs,
            use_tools=use_tools,
            thinking=agent.thinking_level,
            affinity=f"{submission.key}/{self._session.name}",
            result_schema=self._asking.native if self._asking is not None and use_tools else None,
        )

    async def _run_tools(self, calls: Sequence[ToolCall], reply: Reply | None = None) -> Ending | None:
        results = await self._tools.runner.run(calls)
        if reply is not None:
            self.end_turn(reply, results)
        ending = self._ended_by_tools() if any(result.details.get("terminate") for result in results) else None
        if ending is None:
            self._place.at_boundary()
        return ending

    def _ended_by_tools(self) -> Ending | None:
        """The ending, where the result was given, or every tool of the last reply said that no model call is wanted."""
        reply, results = last_batch(self._session.transcript.context())
        if reply is None:
            return None
        asking = self._asking
        data = asking.found(results) if asking is not None else UNSET
        if data is UNSET and not all(result.details.get("terminate") for result in results):
            return None
        if asking is not None and data is UNSET:
            raise asking.given_up(results, reply)
        return Ending(last=reply, data=data)

    async def _finished(self, ending: Ending) -> Ending | None:
        """The ending; None when it is not what was asked for, and the model was told so."""
        asking = self._asking
        if asking is None:
            return ending
        data, problem = await asking.judge(ending.last)
        if data is not UNSET:
            return msgspec.structs.replace(ending, data=data)
        if asking.is_over:
            raise ResultUnavailableError(meta={"reason": problem, "text": text_of(ending.last)})
        if ending.reply is not None:
            await self._writer.record(ending.last, "model")
            self.end_turn(ending.reply, ())
        reminder = UserMessage(content=(TextContent(text=problem),), timestamp=self._services.clock.now_ms())
        await self._writer.record(reminder, "runtime")
        self._place.at_boundary()
        return None

    async def _stop(self, agent: ResolvedAgent, reply: Reply, step: Stop) -> Ending:
        """A cap is reached with a reply that calls tools: they do not run."""
        for result in step.results:
            await self._writer.record(result, "tool")
        self.end_turn(reply, step.results)
        return await self._end(agent, step.error)

    async def _end(self, agent: ResolvedAgent, error: TurnError) -> Ending:
        """A cap is reached: one last answer without tools where the agent wants that, else the error."""
        if not agent.limits.last_answer or self._asking is not None or isinstance(error, InstanceLimitError):
            raise error
        last = await self._ask(agent, use_tools=False)
        self._budget.count(last.message.usage)
        self._writer.turn_id = last.turn_id
        message = _without_calls(last.message)
        return Ending(last=message, reply=msgspec.structs.replace(last, message=message), stop_reason=error.type)


def earlier_piece(past: Resumption, writer: EntryWriter, model: tuple[str, str, str], now: int) -> list[Added]:
    """What an earlier attempt had streamed of a reply; nothing once this attempt has begun behind it."""
    if writer.claimed or past.partial is None:
        return []
    writer.turn_id = past.partial.turn_id
    return [writer.add(cut_off_reply(past.partial.text, *model, now), "model")]


def _turns(agent: ResolvedAgent, services: Services) -> int:
    return agent.limits.turns or agent.max_turns or services.settings.max_turns


def _without_calls(message: AssistantMessage) -> AssistantMessage:
    """A provider that calls tools all the same is not listened to."""
    content = tuple([block for block in message.content if not isinstance(block, ToolCall)])
    return msgspec.structs.replace(message, content=content, stop_reason="stop")
