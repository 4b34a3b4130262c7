"""What the reference model knows of instances' state: each call of ``count`` leaves a mark under its own name."""

from collections.abc import Callable, Collection, Sequence

from flue_actors.conversation.entries import is_message, read_message
from flue_actors.ids import AgentKey
from flue_actors.messages import ToolResultMessage
from flue_actors.storage import Append, Op, PutKv


class States:
    """See the module. ``blame`` takes what is wrong; ``is_open``: the call's submission has no outcome."""

    def __init__(self, blame: Callable[[str], None], is_open: Callable[[str], bool]) -> None:
        self._blame = blame
        self._is_open = is_open
        self._stored: dict[AgentKey, set[str]] = {}

    def apply(self, ops: Sequence[Op]) -> None:
        """Marks are written together with the results of the calls that left them."""
        marks = {op.name for op in ops if isinstance(op, PutKv) and op.kind == "state"}
        counted = {call_id for op in ops if isinstance(op, Append) for call_id in _counted(op)}
        if marks != counted:
            self._blame(f"the state gets {sorted(marks)}, and {sorted(counted)} have their results")
        for op in ops:
            if isinstance(op, PutKv) and op.kind == "state":
                self._stored.setdefault(op.key, set()).add(op.name)

    def seen(self, call_id: str, key: AgentKey, names: Collection[str]) -> None:
        """A call sees these marks: all that are stored, and of others what is being written."""
        stored = self._stored.get(key, set())
        if stored.difference(names):
            self._blame(f"{call_id} does not see {sorted(stored.difference(names))}")
        if lost := [name for name in names if name not in stored and not self._is_open(name)]:
            self._blame(f"{call_id} sees {lost}, which was never stored")

    def removed(self, key: AgentKey) -> None:
        """The instance is gone."""
        self._stored.pop(key, None)


def _counted(op: Append) -> list[str]:
    messages = [read_message(entry).message for entry in op.entries if is_message(entry)]
    found = [each for each in messages if isinstance(each, ToolResultMessage) and each.tool_name == "count"]
    return [each.tool_call_id for each in found if not each.is_error]
