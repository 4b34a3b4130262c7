"""What the reference model knows of calls that need somebody's decision. Plain dicts."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from flue_actors.conversation.approval import Approval, decode_approval
from flue_actors.messages import ToolResultMessage
from flue_actors.storage import Decide, WriteJournal

NEEDED: Final = frozenset({"deploy", "publish"})


class Submitted(Protocol):
    """A submission."""

    id: str
    status: str


class Decisions:
    """See the module. ``blame`` takes what is wrong; ``calls``: the stored calls, and whose they are."""

    def __init__(self, blame: Callable[[str], None], calls: Mapping[str, str]) -> None:
        self._blame = blame
        self._calls = calls
        self._rows: dict[tuple[str, str], Approval] = {}
        self._by_call: dict[str, Approval] = {}
        self._by_id: dict[str, Approval] = {}
        self.unsure = False  # what was decided may have been reported as not decided

    def journaled(self, row: Submitted, op: WriteJournal) -> None:
        """The attempt writes: a call asks, is decided on beside others, or begins."""
        new, old = decode_approval(op.body), self._rows.get((row.id, op.name))
        if self._calls.get(new.tool_call_id) != row.id:
            self._blame(f"{new.tool_call_id} asks for a decision, and is no call of {row.id}")
        if old is None and new.decision is not None:
            self._blame(f"{new.tool_call_id} is decided on before it asks")
        if new.begun and (old is None or old.decision is None or not old.decision.approved):
            self._blame(f"{new.tool_call_id} begins, and is not approved")
        if old is not None and old.begun and not new.begun:
            self._blame(f"{new.tool_call_id} began, and asks again")
        self._keep(row, op.name, new)

    def decided(self, row: Submitted, op: Decide) -> None:
        """Somebody decides while it waits."""
        if row.status != "waiting":
            self._blame(f"{row.id} is decided on, and is {row.status}")
        if (row.id, op.name) not in self._rows:
            self._blame(f"{row.id}: {op.name} is decided on, and did not ask")
        self._keep(row, op.name, decode_approval(op.body))
        if op.resume and self.open(row):
            self._blame(f"{row.id} goes on, and {self.open(row)} wait for a decision")

    def _keep(self, row: Submitted, name: str, new: Approval) -> None:
        old = self._rows.get((row.id, name))
        before = None if old is None else old.decision
        after = new.decision
        if before is not None and (after is None or after.verdict != before.verdict) and not self.unsure:
            self._blame(f"{new.tool_call_id} was {before.verdict}, and now is {after and after.verdict}")
        self._rows[row.id, name] = self._by_call[new.tool_call_id] = self._by_id[new.id] = new

    def open(self, row: Submitted) -> list[str]:
        """The calls of a submission that wait for a decision."""
        return [each.id for (owner, _), each in self._rows.items() if owner == row.id and each.decision is None]

    def begins(self, call_id: str) -> None:
        """A call that needs a decision runs."""
        found = self._by_call.get(call_id)
        if found is None or found.decision is None or not found.decision.approved:
            self._blame(f"{call_id} runs, and its approval says {found and found.decision}")
        elif not found.begun:
            self._blame(f"{call_id} runs, and it is not written that it begins")

    def result(self, message: ToolResultMessage, *, runs: int, giving_up: bool) -> None:
        """A call has its result; ``giving_up``: with the end of its submission."""
        if message.tool_name not in NEEDED:
            return
        found = self._by_call.get(message.tool_call_id)
        decision = None if found is None else found.decision
        if decision is None:
            if not message.is_error:
                self._blame(f"{message.tool_call_id} has a result, and nobody decided on it")
        elif not decision.approved:
            if runs or not message.is_error:
                self._blame(f"{message.tool_call_id} was denied, ran {runs} times and has a result")
        elif found is not None and not found.begun and not giving_up:
            self._blame(f"{message.tool_call_id} was approved, and is given up without having run")

    def acknowledged(self, approval_id: str, verdict: str) -> None:
        """Who decided is told that it is done: from here on it counts."""
        found = self._by_id.get(approval_id)
        if found is None or found.decision is None or found.decision.verdict != verdict:
            self._blame(f"{approval_id}: {verdict} is acknowledged, and {found and found.decision} is on disk")
