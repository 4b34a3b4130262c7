"""What one active instance has in memory besides its conversations: its sandbox, its state, its attachments, its totals."""

import logging

from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import SandboxError
from flue_actors.ids import AgentKey
from flue_actors.instances.attachments import Attachments
from flue_actors.instances.state import InstanceState
from flue_actors.sandboxes.protocol import Sandbox, SandboxContext, SandboxFactory
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.services import Services
from flue_actors.storage import PutKv

logger = logging.getLogger("flue_actors.sandboxes")

SNAPSHOT = "sandbox"
"""Name of the stored snapshot."""


class Instance:
    """Of one activation of ``(agent, id)``."""

    __slots__ = (
        "_factory",
        "_is_capped",
        "_replaced",
        "_used",
        "_workspace",
        "attachments",
        "key",
        "services",
        "state",
    )

    def __init__(self, services: Services, key: AgentKey) -> None:
        self.services = services
        self.key = key
        self.state = InstanceState(services.store, key)
        self.attachments = Attachments(services.store, key)
        self._factory: SandboxFactory | None = None
        self._workspace: Workspace | None = None
        self._replaced: list[Workspace] = []

    @property
    def has_sandbox(self) -> bool:
        """True once something has asked for it."""
        return self._workspace is not None

    def workspace(self, agent: ResolvedAgent) -> Workspace | None:
        """The agent's sandbox, opened by what first uses it; the one that is open, while the definition's is equal.

        A detached task works in the same one as its parent, if at another ``cwd``.
        """
        if agent.sandbox is None:
            return None
        if self._workspace is None or self._factory != agent.sandbox:
            if self._workspace is not None:
                self._replaced.append(self._workspace)
            factory = self._factory = agent.sandbox
            self._workspace = Workspace(lambda: self._open(factory))
        return self._workspace.rooted(agent.cwd)

    def forget(self) -> None:
        """A write was refused: what is in memory may not be what is stored."""
        self.state.forget()
        if self._workspace is not None:
            self._workspace.forget()

    async def rest(self) -> None:
        """Nothing is under way: let go of what holds nothing that is not stored. Its next use opens it again.

        Raises:
            StoreError: What it holds could not be stored; it stays open.
        """
        while self._replaced:
            await self._replaced.pop().close()
        workspace = self._workspace
        if workspace is None or not workspace.is_open or not getattr(self._factory, "stored", False):
            return
        try:
            snapshot = await workspace.snapshot()
        except SandboxError as error:
            logger.warning("the sandbox of %s stays open: %s", self.key, error.message)
            return
        if snapshot is not None:  # a call that failed has left something
            put = PutKv(key=self.key, kind="snapshot", name=SNAPSHOT, body=snapshot)
            await self.services.store.commit(self.services.fence, put)
        await workspace.close()

    async def close(self) -> None:
        """It leaves memory."""
        workspaces = [*self._replaced, *([self._workspace] if self._workspace is not None else [])]
        self._workspace = None
        for workspace in workspaces:
            await workspace.close()

    async def _open(self, factory: SandboxFactory) -> Sandbox:
        snapshot = (await self.services.store.kv(self.key, "snapshot")).get(SNAPSHOT)
        return await factory.open(SandboxContext(key=self.key, snapshot=snapshot))
