"""What one input changes of its agent: another model, tighter limits, tools of its own, a structured result."""

from typing import Any

import msgspec

from flue_actors.definition.limits import Limits
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.definition.results import ResultShape
from flue_actors.equipping import extended
from flue_actors.errors import SkillNotFoundError
from flue_actors.inputs import (
    CallOptions,
    DispatchInput,
    Input,
    PromptInput,
    ShellInput,
    SkillInput,
    TaskInput,
    options_of,
)
from flue_actors.messages import Message, TextContent, UserMessage
from flue_actors.models.result_schema import native_schema
from flue_actors.services import Services
from flue_actors.storage import Submission
from flue_actors.submissions import Pending
from flue_actors.turns.party import input_message
from flue_actors.turns.result_asking import ResultAsking


class Overridden(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What an input is worked on with.

    Attributes:
        base: The agent as its session knows it: what is frozen and claimed is of this.
        agent: The same, as this input wants it.
        asking: Asks for the structured result, if one is wanted.
    """

    given: Input
    base: ResolvedAgent
    agent: ResolvedAgent
    asking: ResultAsking | None = None

    def message(self, submission: Submission, at: int) -> Message | None:
        """What the model is shown of the input; None: nothing.

        Raises:
            SkillNotFoundError: The agent has no such skill.
        """
        given = self.given
        footer = self.asking.footer if self.asking is not None else ""
        match given:
            case DispatchInput():
                return input_message(given, submission, at)
            case PromptInput():
                shown = msgspec.structs.replace(given, message=given.message + footer) if footer else given
                return input_message(shown, submission, at)
            case SkillInput():
                return _user(self._skill_text(given) + footer, at)
            case TaskInput():
                return _user(given.prompt, at)
            case ShellInput():
                return _user(f"Run this command:\n{given.command}", at)
            case _:
                return None  # a detached task's prompt stands in its session

    def _skill_text(self, given: SkillInput) -> str:
        from flue_actors.skills.activation import skill_message

        skill = next((each for each in self.agent.skills if each.name == given.name), None)
        if skill is None:
            raise SkillNotFoundError(meta={"skills": [each.name for each in self.agent.skills]})
        return skill_message(skill, given.args)


def overridden(services: Services, pending: Pending, given: Input, agent: ResolvedAgent) -> Overridden:
    """What this input is worked on with.

    Raises:
        ConfigError: Two tools of one name, or a schema that is none.
    """
    options = options_of(given)
    chosen = _with(agent, options)
    if pending.tools:
        chosen = extended(chosen, pending.tools)
    if options.result is None:
        return Overridden(given=given, base=agent, agent=chosen)
    shape: ResultShape[Any] = pending.shape or ResultShape(options.result)
    asking = ResultAsking(shape, _native(services, chosen, shape))
    return Overridden(given=given, base=agent, agent=extended(chosen, asking.tools), asking=asking)


def _with(agent: ResolvedAgent, options: CallOptions) -> ResolvedAgent:
    if options.limits is not None:
        agent = msgspec.structs.replace(agent, limits=limits_of(agent, options))
    if options.model is not None:
        agent = msgspec.structs.replace(agent, model=options.model)
    if options.thinking_level is not None:
        agent = msgspec.structs.replace(agent, thinking_level=options.thinking_level)
    return agent


def limits_of(agent: ResolvedAgent, options: CallOptions) -> Limits:
    """The input's caps where it has them, else its agent's. Those on the instance's whole life are not its to change."""
    if options.limits is None:
        return agent.limits
    given = {name: value for name, value in msgspec.structs.asdict(options.limits).items() if value is not None}
    given = {name: value for name, value in given.items() if not name.startswith("total_")}
    return msgspec.structs.replace(agent.limits, **given)


def _native(services: Services, agent: ResolvedAgent, shape: ResultShape[Any]) -> dict[str, Any] | None:
    if agent.model is False:
        return None
    return native_schema(shape.schema) if services.models.resolve(agent.model).info.native_results else None


def _user(text: str, at: int) -> UserMessage:
    return UserMessage(content=(TextContent(text=text),), timestamp=at)
