"""Where a piece of work happens, and what it shares with the rest of its instance."""

from collections.abc import Callable

import msgspec

from flue_actors.conversation.budget import Budget
from flue_actors.definition.guards import Principal
from flue_actors.instances.attachments import Attachments
from flue_actors.instances.state import InstanceState
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.services import Services
from flue_actors.turns.entry_writer import EntryWriter
from flue_actors.turns.model_call import Journal
from flue_actors.turns.tool_calls import Boundary


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

    def at_boundary(self) -> None:
        """Everything is recorded, and the model is asked next. Raises LeftOpen where it should not be now."""
        if self.boundary is not None:
            self.boundary()
        elif self.services.stopping():
            raise Boundary
