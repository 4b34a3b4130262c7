"""What may be sent to an instance, as it is stored: the payload of a submission."""

from typing import Any

import msgspec

from flue_actors.definition.limits import Limits
from flue_actors.events import OperationKind
from flue_actors.messages import FileContent, ImageContent
from flue_actors.models.protocol import ThinkingLevel


class CallOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds for one input only, instead of what the definition says.

    Attributes:
        result: JSON schema of the structured result that is wanted.
    """

    model: str | None = None
    thinking_level: ThinkingLevel | None = None
    limits: Limits | None = None
    result: dict[str, Any] | None = None


NO_OPTIONS = CallOptions()


class PromptInput(msgspec.Struct, frozen=True, tag_field="kind", tag="prompt", omit_defaults=True):
    """A message from a person or program, sent directly."""

    message: str
    images: tuple[ImageContent, ...] = ()
    files: tuple[FileContent, ...] = ()
    call: CallOptions = NO_OPTIONS


class DispatchInput(msgspec.Struct, frozen=True, tag_field="kind", tag="dispatch"):
    """An event handed over by the application: any JSON."""

    input: Any


class SkillInput(msgspec.Struct, frozen=True, tag_field="kind", tag="skill", omit_defaults=True):
    """A skill to be run, with what it is to work on."""

    name: str
    args: dict[str, Any] | None = None
    call: CallOptions = NO_OPTIONS


class TaskInput(msgspec.Struct, frozen=True, tag_field="kind", tag="task", omit_defaults=True):
    """A task for a subagent, given past the model of its parent.

    Attributes:
        agent: The subagent's name; None: the only one there is.
        cwd: Where in the sandbox it works.
    """

    prompt: str
    agent: str | None = None
    cwd: str | None = None


class ShellInput(msgspec.Struct, frozen=True, tag_field="kind", tag="shell", omit_defaults=True):
    """A command for the sandbox, recorded in the conversation. ``timeout`` is in seconds."""

    command: str
    cwd: str | None = None
    timeout: float | None = None


class CompactInput(msgspec.Struct, frozen=True, tag_field="kind", tag="compact", omit_defaults=True):
    """A wish to have older messages summarised now. ``instructions`` say what matters."""

    instructions: str | None = None


class DetachedInput(msgspec.Struct, frozen=True, tag_field="kind", tag="detached"):
    """A task that outlives the turn which gave it away. Its prompt stands in its session already.

    Attributes:
        path: The names of the subagents that lead to the one that does it, from the agent on.
        cwd: Where in the sandbox it works.
        reports_to: The session that is told what came of it.
        task_id: Under which that session knows it.
    """

    path: tuple[str, ...]
    cwd: str | None
    reports_to: str
    task_id: str


Input = PromptInput | DispatchInput | SkillInput | TaskInput | ShellInput | CompactInput | DetachedInput
encode_input = msgspec.json.Encoder().encode
decode_input = msgspec.json.Decoder(Input).decode


def kind_of(given: Input) -> OperationKind:
    """What working on it is called."""
    match given:
        case SkillInput():
            return "skill"
        case TaskInput() | DetachedInput():
            return "task"
        case ShellInput():
            return "shell"
        case CompactInput():
            return "compact"
        case _:
            return "prompt"


def options_of(given: Input) -> CallOptions:
    """What holds for this input only."""
    return given.call if isinstance(given, PromptInput | SkillInput) else NO_OPTIONS
