"""What the reference model knows of tasks: their conversations, what they used, and what was told of them. Plain dicts."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from flue_actors.agents.subagents import NO_TEXT
from flue_actors.events import PromptResult, PublicError
from flue_actors.ids import TASK_PREFIX, AgentKey
from flue_actors.inputs import DetachedInput, DispatchInput, decode_input
from flue_actors.messages import AssistantMessage, Message, ToolResultMessage, text_of, tool_calls_of
from flue_actors.storage import Append, Submission

Place = tuple[AgentKey, str]
_decode_result: Final = msgspec.json.Decoder(PromptResult).decode
_decode_error: Final = msgspec.json.Decoder(PublicError).decode


class Work:
    """What was said in one session for one submission: its own work, or a task's."""

    def __init__(self) -> None:
        self.used = 0  # tokens of its replies
        self.below = 0  # tokens of its tasks, as its results tell
        self.final: AssistantMessage | None = None  # a whole last reply that is stored


class Child(Work):
    """A task that its parent waits for."""

    def __init__(self, owner: str, parent: str) -> None:
        super().__init__()
        self.owner = owner
        self.parent = parent
        self.prompts = 0
        self.calls: list[str] = []  # in its replies


class Detached:
    """A task that nobody waits for."""

    def __init__(self, submission_id: str, place: Place, reports_to: str) -> None:
        self.id = submission_id
        self.place = place
        self.reports_to = reports_to
        self.told: tuple[bool, str] | None = None  # whether it failed, and the text
        self.came_to: tuple[bool, str] | None = None


class Owner(Protocol):
    """A submission."""

    id: str
    status: str
    work: Work


class Children:
    """See the module. ``blame`` takes what is wrong; ``unsure``: tokens that may have been used for nothing."""

    def __init__(self, blame: Callable[[str], None], unsure: Callable[[], int]) -> None:
        self._blame = blame
        self.unsure = unsure
        self._children: dict[Place, Child] = {}
        self._prompts: dict[tuple[AgentKey, str], str] = {}  # each call's task has one session
        self._detached: dict[tuple[AgentKey, str], Detached] = {}
        self._ended: list[Detached] = []  # those of which this commit tells
        self.parents: dict[Place, str] = {}

    # -- what is written ------------------------------------------------------------------------------------------

    def named(self, op: Append) -> None:
        """These entries come; a new session has the parent that the first ones name."""
        if not op.session.startswith(TASK_PREFIX) or not op.entries:
            return
        if (op.key, op.session) not in self.parents:
            if op.parent is None:
                self._blame(f"{op.session} begins without a parent")
                return
            self.parents[op.key, op.session] = op.parent

    def child_of(self, owner: str, place: Place) -> Child:
        """The task in this session."""
        child = self._children.get(place)
        if child is None:
            child = self._children[place] = Child(owner, self.parents.get(place, ""))
        if child.owner != owner:
            self._blame(f"{place[1]} belongs to {child.owner}, and {owner} writes to it")
        return child

    def prompt(self, child: Child, place: Place, message: Message) -> None:
        """The task itself is written down."""
        child.prompts += 1
        known = self._prompts.setdefault((place[0], text_of(message)), place[1])
        if child.prompts > 1 or known != place[1]:
            self._blame(f"{text_of(message)!r} is begun again, in {place[1]}, and stands in {known}")

    def result(self, work: Work, key: AgentKey, message: ToolResultMessage) -> None:
        """A call gave a task away, and has its result."""
        details = message.details
        if message.tool_name != "task" or "usage" not in details:
            return
        used = int(details["usage"].get("output", 0))
        work.below += used
        child = self._children.get((key, str(details["session"])))
        if child is None:
            self._blame(f"{message.tool_call_id}: its task has no session {details['session']}")
            return
        if not 0 <= used - child.used - child.below <= self.unsure():
            self._blame(f"{message.tool_call_id}: its task used {child.used} + {child.below}, and {used} is told")
        said = (text_of(child.final) or NO_TEXT) if child.final is not None else None
        if not message.is_error and text_of(message) != said:
            self._blame(f"{message.tool_call_id}: its task said {said!r}, and {text_of(message)!r} is told")

    def untold(self, owner: str) -> int:
        """What was used by those tasks of a submission that are told of nowhere, at most."""
        return sum([each.used + each.below for each in self._children.values() if each.owner == owner])

    # -- detached tasks -------------------------------------------------------------------------------------------

    def admitted(self, submission: Submission) -> bool:
        """An input is accepted; true for one that comes from a task."""
        given = decode_input(submission.payload)
        if isinstance(given, DetachedInput):
            named = (submission.key, given.task_id)
            if named in self._detached:
                self._blame(f"task {given.task_id} is begun as {submission.id}, and was as {self._detached[named].id}")
            place = (submission.key, submission.session)
            self._detached[named] = Detached(submission.id, place, given.reports_to)
            return True
        if isinstance(given, DispatchInput) and given.input.get("type") == "task_result":
            self._reported(submission, given.input)
            return True
        return False

    def _reported(self, submission: Submission, said: dict[str, Any]) -> None:
        task = self._detached.get((submission.key, said["taskId"]))
        if task is None:
            self._blame(f"{submission.id} tells of task {said['taskId']}, which there is not")
        elif task.told is not None:
            self._blame(f"{submission.id} tells of task {said['taskId']} again")
        else:
            task.told = (said["isError"], said["text"])
            self._ended.append(task)
            if submission.session != task.reports_to:
                self._blame(f"task {said['taskId']} is told to {submission.session}, not to {task.reports_to}")

    def settled(self, row: Owner, result: bytes | None, error: bytes | None) -> None:
        """An input has its outcome."""
        for task in [each for each in self._detached.values() if each.id == row.id]:
            failure = "" if error is None else f"It failed: {_decode_error(error).message}"
            task.came_to = (True, failure) if result is None else (False, _decode_result(result).text)
            self._ended.append(task)

    def committed(self) -> None:
        """A commit is whole: whose outcome it has is told of in it, and what is told is that outcome."""
        for task in self._ended:
            if task.told != task.came_to:
                self._blame(f"{task.id}: {task.told} is told of its task, which came to {task.came_to}")
        self._ended.clear()

    def is_detached(self, place: Place) -> bool:
        """True for the session of a task that nobody waits for."""
        return any(each.place == place for each in self._detached.values())

    # -- everything else ------------------------------------------------------------------------------------------

    def asked(self, place: Place, calls: list[str], running: Callable[[str], bool]) -> None:
        """The model is asked for a task's session, with these calls in what it reads."""
        child = self._children.get(place)
        if child is None or self.is_detached(place):
            return
        if child.final is not None:
            self._blame(f"{place[1]}: its last reply is stored, and is made again")
        if not running(child.owner):
            self._blame(f"{place[1]}: is worked on, and {child.owner} is not")
        if calls != child.calls:
            self._blame(f"{place[1]}: asked behind {calls}, and {child.calls} is stored")

    def below(self, key: AgentKey, session: str) -> list[str]:
        """The sessions of the tasks of a session, and of theirs."""
        found = [name for (each, name), parent in self.parents.items() if each == key and parent == session]
        return [name for each in found for name in (each, *self.below(key, each))]

    def removed(self, place: Place) -> None:
        """This session is gone."""
        self._children.pop(place, None)
        self.parents.pop(place, None)
        self._prompts = {name: at for name, at in self._prompts.items() if (name[0], at) != place}
        self._detached = {name: each for name, each in self._detached.items() if each.place != place}


def asked_behind(messages: tuple[Message, ...]) -> list[str]:
    """The calls in what the model reads."""
    return [call.id for each in messages if isinstance(each, AssistantMessage) for call in tool_calls_of(each)]
