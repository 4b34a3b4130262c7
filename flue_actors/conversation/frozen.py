"""What a session keeps telling the model unchanged, so that the provider's prompt cache stays warm. Pure.

The provider bills by byte prefix: a changed system prompt makes a whole history expensive again. So the text about the
instance is frozen while the setup (model and tools) is the same, and changed instructions do not replace the system
prompt: they are told once, as a signal behind the history. A new setup loses the cache anyway, and freezes anew.
"""

from typing import Protocol

import msgspec

from flue_actors.conversation.workspace_context import FoundSkill


class Frozen(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The stored form.

    Attributes:
        setup_id: Of the definition it was frozen under.
        instance_text: Per-instance part of the system prompt.
        system_id: Hash of the instructions in the system prompt.
        told_id: Hash of the instructions the model was told last: these, or newer ones in a signal.
        system: The instructions themselves, where they are this instance's own. Shared ones are stored once, by hash.
        read_from: The seq of the first entry that has to be read: what is before it stands in a summary.
        skills: Those of the workspace, which the text about the instance names.
    """

    setup_id: str
    instance_text: str
    system_id: str
    told_id: str
    system: str | None = None
    read_from: int = 1
    skills: tuple[FoundSkill, ...] = ()


class Instructed(Protocol):
    """What of a definition matters here (`definition.agent.ResolvedAgent`)."""

    @property
    def setup_id(self) -> str:
        """Hash of model and tools."""
        ...

    @property
    def instructions_id(self) -> str:
        """Hash of the instructions."""
        ...

    @property
    def instructions(self) -> str:
        """The instructions."""
        ...

    @property
    def shared(self) -> bool:
        """True when every instance has the same."""
        ...


decode_frozen = msgspec.json.Decoder(Frozen).decode
encode_frozen = msgspec.json.Encoder().encode


class Freeze(msgspec.Struct, frozen=True):
    """What holds for the next turn: ``frozen``, whether that is new, and whether the model has to be told of a change."""

    frozen: Frozen
    changed: bool
    told: bool


def is_frozen(before: Frozen | None, agent: Instructed) -> bool:
    """True when the text about the instance stays as it is under this definition."""
    return before is not None and before.setup_id == agent.setup_id


def freeze(before: Frozen | None, agent: Instructed, instance_text: str, skills: tuple[FoundSkill, ...] = ()) -> Freeze:
    """What a session whose frozen texts are ``before`` tells under the definition ``agent``.

    Args:
        instance_text, skills: What they would be now.
    """
    changed = before is not None and before.told_id != agent.instructions_id
    if before is not None and before.setup_id == agent.setup_id:
        if not changed:
            return Freeze(before, changed=False, told=False)
        return Freeze(msgspec.structs.replace(before, told_id=agent.instructions_id), changed=True, told=True)
    fresh = Frozen(
        setup_id=agent.setup_id,
        instance_text=instance_text,
        system_id=agent.instructions_id,
        told_id=agent.instructions_id,
        system=None if agent.shared else agent.instructions,
        skills=skills,
    )
    return Freeze(fresh, changed=True, told=changed)
