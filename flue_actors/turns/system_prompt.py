"""Performs what `conversation.frozen` decides: the system prompt of a session, kept unchanged over months."""

import msgspec

from flue_actors.conversation import prompts
from flue_actors.conversation.frozen import encode_frozen, freeze, is_frozen
from flue_actors.conversation.workspace_context import FoundSkill, instance_text
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import WorkspaceError
from flue_actors.ids import AgentKey
from flue_actors.messages import SignalMessage
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.skills.skill import Skill
from flue_actors.storage import PutKv
from flue_actors.turns.surveying import survey


class SystemPrompt:
    """The system prompt of one session, for one piece of work.

    Args:
        stored: What it froze is kept for later; a task is over before it matters.
    """

    __slots__ = ("_found", "_fresh", "_services", "_session", "_stored")

    def __init__(self, services: Services, session: Session, *, stored: bool = True) -> None:
        self._services = services
        self._session = session
        self._stored = stored
        self._fresh: str | None = None
        self._found: tuple[FoundSkill, ...] = ()

    async def equip(self, agent: ResolvedAgent, workspace: Workspace | None) -> ResolvedAgent:
        """The agent with everything its model can call, and all that `freeze` needs at hand.

        A workspace is read where its session does not keep telling what was found in it already.

        Args:
            agent: As it was defined.

        Raises:
            ConfigError: Two tools of one name.
            WorkspaceError: What stands in the agent's workspace breaks a rule, or it cannot be opened.
        """
        equipment, frozen = self._services.equipment, self._session.frozen
        equipped = equipment.equip(agent)
        if frozen is not None and is_frozen(frozen, equipped):
            found = frozen.skills
        else:
            await self._look(equipped, workspace)
            found = self._found
        return equipment.equip(agent, tuple([_skill(each) for each in found])) if found else equipped

    async def refresh(self, agent: ResolvedAgent, workspace: Workspace | None) -> None:
        """Have everything frozen anew: the provider's cache is lost anyway.

        A workspace that breaks a rule meanwhile changes nothing. New skills can be activated from the next input on.

        Args:
            agent: As `equip` made it.
        """
        try:
            await self._look(agent, workspace)
        except WorkspaceError:
            return  # it is in the log
        self._session.frozen = None

    async def _look(self, agent: ResolvedAgent, workspace: Workspace | None) -> None:
        """Find out what would be told now."""
        key, now = self._session.key, self._services.clock.now_ms()
        if workspace is None and not agent.skills:
            self._fresh = prompts.instance_text(key, now)
            return
        packaged = [each for each in agent.skills if each.folder is None]
        facts = None if workspace is None else await survey(key, workspace, packaged)
        self._found = () if facts is None else facts.skills
        self._fresh = instance_text(key, now, facts, [*packaged, *self._found])

    def freeze(self, agent: ResolvedAgent, now_ms: int) -> tuple[list[PutKv], SignalMessage | None]:
        """What has to be written for the next turn, and what has to be told to the model, if the definition changed."""
        session = self._session
        decided = freeze(session.frozen, agent, self._fresh or "", self._found)
        if not decided.changed and decided.frozen.read_from == session.read_from:
            return [], None
        frozen = session.frozen = msgspec.structs.replace(decided.frozen, read_from=session.read_from)
        if frozen.system_id == agent.instructions_id:
            session.system = None
        if not self._stored:
            return [], None
        writes = [PutKv(key=session.key, kind="frozen", name=session.name, body=encode_frozen(frozen))]
        told_first = frozen.system_id == agent.instructions_id and agent.shared
        if told_first and frozen.system_id not in self._services.shared_texts:
            self._services.shared_texts.add(frozen.system_id)
            text = agent.instructions.encode()
            writes.append(PutKv(key=_shared(session.key), kind="frozen", name=frozen.system_id, body=text))
        return writes, prompts.instructions_signal(agent.instructions, now_ms) if decided.told else None

    async def load(self, agent: ResolvedAgent) -> None:
        """Make sure the instructions that were frozen are at hand.

        Raises:
            StoreError: The store refused.
        """
        session = self._session
        frozen = session.frozen
        if frozen is None or frozen.system_id == agent.instructions_id:
            session.system = None
        elif session.system is None:
            stored = None
            if frozen.system is None:
                stored = (await self._services.store.kv(_shared(session.key), "frozen")).get(frozen.system_id)
            session.system = frozen.system if stored is None else stored.decode()

    def instructions(self, agent: ResolvedAgent) -> str:
        """The instructions as the model has them in its cache."""
        return agent.instructions if self._session.system is None else self._session.system

    @property
    def instance_text(self) -> str:
        """The part about the instance."""
        frozen = self._session.frozen
        return "" if frozen is None else frozen.instance_text


def _shared(key: AgentKey) -> AgentKey:
    """Where an agent's own texts are: no instance has a blank id."""
    return AgentKey(key.agent, "")


def _skill(found: FoundSkill) -> Skill:
    return Skill(name=found.name, description=found.description, folder=found.folder)
