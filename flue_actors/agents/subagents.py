"""Subagents: a task is a child actor with a conversation of its own, empty at first.

The task's session belongs to the instance, its entries to the parent's submission: whoever resumes that finds them, and
the task goes on from its own transcript. Its id follows from the submission and the call, so the call that is repeated
finds the task it began.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET

from flue_actors import events
from flue_actors.actors import Actor, ActorRef, Address
from flue_actors.agents.detached import conversation_of
from flue_actors.conversation.budget import Budget
from flue_actors.conversation.outcome import add_usage
from flue_actors.conversation.resumption import resumption
from flue_actors.definition.profile import AgentProfile
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.definition.tools import Delegated, ToolAnswer
from flue_actors.errors import (
    ActorError,
    CallerError,
    DeadlineExceededError,
    DepthLimitError,
    StoreError,
    ToolError,
    TurnError,
    UnavailableError,
    WorkspaceError,
)
from flue_actors.ids import TASK_PREFIX
from flue_actors.inputs import DetachedInput
from flue_actors.messages import AssistantMessage, TextContent, Usage, UserMessage, text_of
from flue_actors.session import Session
from flue_actors.storage import Entry, JournalRow
from flue_actors.turns.emitting import TaskPlace
from flue_actors.turns.entry_writer import EntryWriter
from flue_actors.turns.recording import Recording
from flue_actors.turns.reopening import patiently
from flue_actors.turns.system_prompt import SystemPrompt
from flue_actors.turns.tool_calls import LeftOpen, Refused
from flue_actors.turns.work import Work
from flue_actors.turns.work_place import WorkPlace

NO_TEXT: Final = "(the task ended without a text)"

Spawn = Callable[[Callable[[Address], Actor], str], ActorRef]
"""Makes a child actor of the message being handled; see `ActorContext.spawn`."""


class TaskOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a task came to: text, an error, or that it goes on in another attempt."""

    text: str = ""
    usage: Usage | None = None
    turns: int = 0
    error: TurnError | None = None
    left: LeftOpen | None = None


class Subagents:
    """The tasks of one piece of work, which is a submission or a task itself."""

    __slots__ = ("_agent", "_parent", "_spawn")

    def __init__(self, parent: WorkPlace, agent: ResolvedAgent, spawn: Spawn) -> None:
        self._parent = parent
        self._agent = agent
        self._spawn = spawn

    async def delegate(self, call_id: str, given: Delegated) -> ToolAnswer:
        """Give a task to a subagent and wait for what comes of it.

        Raises:
            ToolError: There is no such subagent, it failed, or tasks nest too deep.
            LeftOpen: It goes on in another attempt.
        """
        profile = next((each for each in self._agent.subagents if each.name == given.agent), None)
        if profile is None:
            raise ToolError(f'There is no subagent "{given.agent}".')
        task_id = _task_id(self._parent.writer, call_id)
        place = TaskPlace(
            task_id, f"{TASK_PREFIX}{self._parent.writer.session.name}:{task_id}", self._parent.writer.session.name
        )
        if given.detached:
            return await self._detach(place, given)
        emitter, started = self._parent.writer.emitter, asyncio.get_running_loop().time()
        named: dict[str, Any] = {"task_id": task_id, "parent_session": place.parent_session}
        emitter.emit(events.TaskStart, prompt=given.prompt, agent=given.agent, cwd=given.cwd or UNSET, **named)
        outcome = TaskOutcome()
        try:
            outcome = await self._run(place, profile, given)
        finally:
            if outcome.left is None:
                emitter.emit(
                    events.Task,
                    is_error=outcome.error is not None,
                    result=outcome.text or UNSET,
                    usage=outcome.usage or UNSET,
                    duration_ms=round((asyncio.get_running_loop().time() - started) * 1000),
                    **named,
                )
        return _answer(place, given, outcome)

    async def _detach(self, place: TaskPlace, given: Delegated) -> ToolAnswer:
        """Have it worked on as an input of its own, whose prompt this attempt writes."""
        place_of, writer = self._parent, self._parent.writer
        services, key = place_of.services, writer.host.submission.key
        if not await services.store.last_seq(key, place.session):
            prompt = UserMessage(content=(TextContent(text=given.prompt),), timestamp=services.clock.now_ms())
            entry = Session(key, place.session).add(prompt, "prompt", submission_id=writer.host.submission_id)
            append = msgspec.structs.replace(writer.append(entry), session=place.session, parent=place.parent_session)
            await writer.recording.commit(append)
        task = DetachedInput(
            path=(*place_of.path, given.agent),
            cwd=place_of.workspace.cwd_with(given.cwd) if place_of.workspace is not None else None,
            reports_to=conversation_of(writer.host.submission),
            task_id=place.task_id,
        )
        try:
            await services.inside().send(key, place.session, task, place_of.principal, place.task_id)
        except (CallerError, UnavailableError) as error:
            raise ToolError(f"The task was not taken: {error.message}") from error
        text = "The task was begun. Its answer will come as a message of its own; go on without it."
        details = {"taskId": place.task_id, "session": place.session, "agent": given.agent, "detached": True}
        return ToolAnswer(text=text, details=details)

    async def _run(self, place: TaskPlace, profile: AgentProfile, given: Delegated) -> TaskOutcome:
        task = Task(self._parent, self._agent, place, profile, given)
        try:
            ref = self._spawn(task.actor, f"{self._parent.writer.host.submission.key.id}/{place.task_id}")
            return await ref.ask(None)
        except DepthLimitError as error:
            raise ToolError("Tasks nest too deep: do this yourself.") from error
        except ActorError as error:
            raise ToolError("The task could not be worked on.") from error
        except StoreError as error:
            raise Refused(error) from error


class Task:
    """One task of one attempt."""

    def __init__(
        self, parent: WorkPlace, agent: ResolvedAgent, place: TaskPlace, profile: AgentProfile, given: Delegated
    ) -> None:
        self._parent = parent
        self._parents_agent = agent
        self._place = place
        self._profile = profile
        self._given = given

    def actor(self, _: Address) -> Actor:
        """The actor that works on it."""
        return TaskActor(self)

    async def run(self, spawn: Spawn) -> TaskOutcome:
        """Work on it until it has come to something. Raises StoreError."""
        parent, place = self._parent, self._place
        services, key = parent.services, parent.writer.host.submission.key
        agent = services.equipment.subagent(self._profile, self._parents_agent)
        session = Session(key, place.session)
        entries, journal = list[Entry](), list[JournalRow]()
        if parent.writer.host.submission.attempt > 1:  # it may have begun before
            session, read = await patiently(Session.load, services.store, key, place.session)
            entries.extend(read)
            journal = await patiently(services.store.journal, parent.writer.host.submission_id)
        past = resumption(entries, journal, task_id=place.task_id)
        writer = EntryWriter(
            session,
            parent.writer.host,
            Recording(services, parent.writer.host.pause),
            parent.writer.emitter.of_task(place),
            lambda: parent.writer.spent_ms,
            task_id=place.task_id,
            parent=place.parent_session,
        )
        turns = past.turns + past.task_turns
        parent.budget.count_below(add_usage(past.usage, past.tasks), turns=turns)
        budget = Budget(agent.limits, turns=turns, usage=past.usage, tasks=past.tasks, parent=parent.budget)
        workspace = None if parent.workspace is None else parent.workspace.rooted(self._given.cwd)
        system = SystemPrompt(services, session, stored=False)
        try:
            equipped = await system.equip(agent, workspace)
        except WorkspaceError as error:
            return TaskOutcome(error=error, usage=budget.total)
        below = WorkPlace(
            services=services,
            writer=writer,
            budget=budget,
            workspace=workspace,
            state=parent.state,
            attachments=parent.attachments,
            principal=parent.principal,
            task_id=place.task_id,
            path=(*parent.path, str(self._profile.name)),
        )
        work = Work(below, equipped, system, past, lambda place: Subagents(place, equipped, spawn))
        return await self._finish(work, writer, budget)

    async def _finish(self, work: Work, writer: EntryWriter, budget: Budget) -> TaskOutcome:
        limit = asyncio.timeout(work.agent.limits.seconds)
        try:
            async with limit:
                work.system.freeze(work.agent, work.place.services.clock.now_ms())
                last = await self._answer(work, writer)
        except LeftOpen as left:
            return TaskOutcome(left=left)
        except TurnError as error:
            return TaskOutcome(error=error, usage=budget.total, turns=budget.turns)
        except TimeoutError:
            if not limit.expired():
                raise
            return TaskOutcome(error=DeadlineExceededError(), usage=budget.total, turns=budget.turns)
        return TaskOutcome(text=text_of(last) or NO_TEXT, usage=budget.total, turns=budget.turns)

    async def _answer(self, work: Work, writer: EntryWriter) -> AssistantMessage:
        session, past = writer.session, work.past
        if not session.seq:
            prompt = UserMessage(
                content=(TextContent(text=self._given.prompt),), timestamp=work.place.services.clock.now_ms()
            )
            await writer.record(prompt, "prompt")
        calls = session.transcript.unanswered()
        again = work.tools.resumable(calls)
        for call in calls:
            if call not in again:
                await writer.record(work.tools.lost(call), "tool")
        ending = await work.loop.run(work.agent, again) if past.finished is None else None
        if ending is None:
            assert past.finished is not None
            return past.finished
        if ending.reply is not None:
            await writer.record(ending.last, "model")
            work.loop.end_turn(ending.reply, ())
        return ending.last


class TaskActor(Actor):
    """Works on one task and leaves."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    async def on_receive(self, message: None) -> TaskOutcome:
        """Work on it. Raises StoreError."""
        return await self._task.run(self.context.spawn)


def _task_id(writer: EntryWriter, call_id: str) -> str:
    named = f"{writer.host.submission_id}/{writer.session.name}/{writer.session.transcript.asked_at}/{call_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:24]


def _answer(place: TaskPlace, given: Delegated, outcome: TaskOutcome) -> ToolAnswer:
    if outcome.left is not None:
        raise outcome.left
    details = {"taskId": place.task_id, "session": place.session, "agent": given.agent}
    if given.cwd is not None:
        details["cwd"] = given.cwd
    used = {} if outcome.usage is None else {"usage": msgspec.to_builtins(outcome.usage), "turns": outcome.turns}
    if outcome.error is not None:
        text = f"The task failed: {outcome.error.message}"
        return ToolAnswer(text=text, details={**details, **used}, is_error=True)
    return ToolAnswer(text=outcome.text, details={**details, **used})
