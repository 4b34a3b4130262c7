"""One piece of work as it is performed: a model, its tools and the turns between them, put together.

A submission's own work and that of each of its tasks are the same thing in different sessions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from flue_actors.conversation.resumption import Resumption
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.definition.tools import TOOL_TEXT_LIMIT, Delegated, Tool, ToolAnswer
from flue_actors.errors import ConfigError
from flue_actors.messages import ToolCall, ToolResultMessage
from flue_actors.models.registry import ResolvedModel
from flue_actors.turns.approving import Approvals
from flue_actors.turns.asking import History
from flue_actors.turns.loop import TurnLoop
from flue_actors.turns.model_call import ModelCall
from flue_actors.turns.result_asking import ResultAsking
from flue_actors.turns.system_prompt import SystemPrompt
from flue_actors.turns.tool_calls import Steps, ToolRunner, ToolSurroundings, with_decision
from flue_actors.turns.work_place import WorkPlace


class Delegating(Protocol):
    """Gives tasks to subagents; see `subagents.Subagents`."""

    async def delegate(self, call_id: str, given: Delegated) -> ToolAnswer:
        """Give one away and wait for what comes of it."""
        ...


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
        system: SystemPrompt,
        past: Resumption,
        delegating: Callable[[WorkPlace], Delegating],
        tools: Mapping[str, Tool] | None = None,
        asking: ResultAsking | None = None,
    ) -> None:
        self.place = place
        self.agent = agent
        self.past = past
        self.system = system
        resolved = self._resolved()
        self.call = self._model_call(resolved)
        self.history = History(place, agent, system, resolved)
        self.tools = Toolbox(place, agent, past, delegating, tools)
        self.loop = TurnLoop(place, system, self.call, self.tools, past, asking=asking, ask=self.history.ask)

    def _resolved(self) -> ResolvedModel:
        agent = self.agent
        if agent.model is False:
            raise ConfigError("The agent has no model of its own, and none was given with the message.")
        models = self.place.services.models
        resolved, summariser = models.resolve(agent.model), agent.compaction.model
        if self.place.budget.counts_cost:
            resolved.require_prices()
            if summariser is not None:
                models.resolve(summariser).require_prices()
        return resolved

    def _model_call(self, resolved: ResolvedModel) -> ModelCall:
        place = self.place
        return ModelCall(
            place.services,
            resolved,
            place.writer.emitter,
            (place.principal.tenant or "") if place.principal is not None else "",
            journal=place.journal or _forget,
            background=place.background,
        )


class Toolbox:
    """The tools of one piece of work, put together when the model first calls one: most replies call none."""

    __slots__ = ("_agent", "_delegating", "_direct", "_past", "_place", "_runner", "approvals")

    def __init__(
        self,
        place: WorkPlace,
        agent: ResolvedAgent,
        past: Resumption,
        delegating: Callable[[WorkPlace], Delegating],
        direct: Mapping[str, Tool] | None,
    ) -> None:
        self._place = place
        self._agent = agent
        self._past = past
        self._delegating = delegating
        self._direct = direct
        self._runner: ToolRunner | None = None
        self.approvals = Approvals(place.services, place.writer, past.approvals)

    @property
    def runner(self) -> ToolRunner:
        """Runs their calls."""
        if self._runner is None:
            self._runner = self._make()
        return self._runner

    def resumable(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Of the calls without a result, those that may run now: again, or for the first time."""
        if not calls:
            return []
        may = self.runner.reruns(calls)
        return [call for call in calls if call in may or self.approvals.holds_back(call)]

    def lost(self, call: ToolCall) -> ToolResultMessage:
        """The result of a call whose outcome is not known, and may not run again."""
        result, decision = self.runner.lost(call), self.approvals.decision_on(call)
        return result if decision is None else with_decision(result, decision)

    def _make(self) -> ToolRunner:
        place, agent, settings = self._place, self._agent, self._place.services.settings
        around = ToolSurroundings(
            key=place.writer.host.submission.key,
            session=place.writer.session.name,
            principal=place.principal,
            timeout=agent.tool_timeout or settings.tool_timeout,
            output=agent.limits.tool_output or TOOL_TEXT_LIMIT,
            workspace=place.workspace,
            state=place.state,
            delegate=self._delegating(place).delegate,
            approve=self.approvals.approve,
            steps=Steps(self._past.steps, place.writer.journal_step),
            existed=place.writer.session.transcript.answered,
        )
        tools = {tool.name: tool for tool in agent.tools} if self._direct is None else self._direct
        return ToolRunner(place.services, tools, place.writer.emitter, around, record=place.writer.record_result)


def _forget(place: str, text: str) -> None:
    """Pieces of a task's reply are not kept."""
