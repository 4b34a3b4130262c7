"""One piece of work as it is performed: a model, its tools and the turns between them, put together.

A submission's own work and that of each of its tasks are the same thing in different sessions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from flue_actors.approving import Approvals
from flue_actors.asking import History
from flue_actors.attachments import Attachments
from flue_actors.conversation.budget import Budget
from flue_actors.conversation.resumption import Resumption
from flue_actors.definition.guards import Principal
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.definition.tools import TOOL_TEXT_LIMIT, Delegated, Tool, ToolAnswer
from flue_actors.entry_writer import EntryWriter
from flue_actors.errors import ConfigError
from flue_actors.messages import ToolCall, ToolResultMessage
from flue_actors.model_call import Journal, ModelCall
from flue_actors.result_asking import ResultAsking
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.services import Services
from flue_actors.state import InstanceState
from flue_actors.storage import Op
from flue_actors.system_prompt import SystemPrompt
from flue_actors.tool_calls import Boundary, Steps, ToolRunner, ToolSurroundings
from flue_actors.turn_loop import TurnLoop

NOTE_ROOM: Final = 1024
"""Bytes that the runtime's own tools, which keep to the limit themselves, may add to say what they left out."""


class Delegating(Protocol):
    """Gives tasks to subagents; see `subagents.Subagents`."""

    async def delegate(self, call_id: str, given: Delegated) -> ToolAnswer:
        """Give one away and wait for what comes of it."""
        ...


class WorkPlace(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Where a piece of work happens, and what it shares with the rest of its instance.

    Attributes:
        task_id: Whose work it is, if a task's.
        path: The names of the subagents that lead to it.
        journal: Keeps pieces of a long reply; a task's are not kept: its last reply is asked for again.
        background: It may wait until nobody else wants the model.
        boundary: Called where everything is recorded and the model is asked next.
    """

    services: Services
    writer: EntryWriter
    budget: Budget
    workspace: Workspace | None
    state: InstanceState
    attachments: Attachments
    principal: Principal | None
    task_id: str | None = None
    path: tuple[str, ...] = ()
    journal: Journal | None = None
    background: bool = False
    boundary: Callable[[], None] | None = None


class Work:
    """One attempt at it. Use once.

    Args:
        agent: With everything its model can call.
        tools: What calls may reach instead of the agent's tools.
    """

    def __init__(
        self,
        place: WorkPlace,
        agent: ResolvedAgent,
        past: Resumption,
        delegating: "Callable[[WorkPlace], Delegating]",
        tools: Mapping[str, Tool] | None = None,
        asking: ResultAsking | None = None,
    ) -> None:
        self.place = place
        self.agent = agent
        self.past = past
        self.system = SystemPrompt(place.services, place.writer.session, stored=place.task_id is None)
        self.call = self._model_call()
        self.approvals = Approvals(place.services, place.writer, past.approvals, place.task_id)
        self.tools = self._tool_runner(delegating(place), tools)
        self.history = History(
            place.services, place.writer, agent, self.system, place.attachments, place.budget, place.workspace
        )
        self.loop = TurnLoop(
            place.services,
            place.writer,
            self.system,
            self.call,
            self.tools,
            place.budget,
            past,
            asking=asking,
            boundary=place.boundary or self._boundary,
            ask=self.history.ask,
        )

    def resumable(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Of the calls without a result, those that may run now: again, or for the first time."""
        may = self.tools.reruns(calls)
        return [call for call in calls if call in may or self.approvals.holds_back(call)]

    def _boundary(self) -> None:
        if self.place.services.stopping():
            raise Boundary

    def _model_call(self) -> ModelCall:
        place, agent = self.place, self.agent
        if agent.model is False:
            raise ConfigError("The agent has no model of its own, and none was given with the message.")
        resolved = place.services.models.resolve(agent.model)
        limits = agent.limits
        if (limits.cost or limits.total_cost) and resolved.info.prices is None:
            raise ConfigError(f'The prices of model "{resolved.model}" are not known, so its cost cannot be limited.')
        return ModelCall(
            place.services,
            resolved,
            place.writer.emitter,
            (place.principal.tenant or "") if place.principal is not None else "",
            journal=place.journal or (lambda _place, _text: None),
            background=place.background,
        )

    def _tool_runner(self, delegating: Delegating, direct: Mapping[str, Tool] | None) -> ToolRunner:
        place, agent, settings = self.place, self.agent, self.place.services.settings
        submission = place.writer.host.submission
        around = ToolSurroundings(
            key=submission.key,
            session=place.writer.session.name,
            principal=place.principal,
            timeout=agent.tool_timeout or settings.tool_timeout,
            output=agent.limits.tool_output or TOOL_TEXT_LIMIT,
            workspace=place.workspace,
            state=place.state,
            delegate=delegating.delegate,
            approve=self.approvals.approve,
            steps=Steps(self.past.steps, place.writer.journal_step),
            existed=place.writer.session.transcript.answered,
        )
        tools = {tool.name: tool for tool in agent.tools} if direct is None else direct
        return ToolRunner(place.services, tools, place.writer.emitter, around, record=self._record)

    async def _record(self, result: ToolResultMessage, together: Sequence[Op]) -> None:
        await self.place.writer.record(result, "tool", *together)
