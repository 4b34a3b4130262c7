"""The reference model: what a right runtime may write, and what it owes to whom. Plain lists and dicts, no asyncio.

It is told of every durable commit in order, judges each by the promises (not by the store's own rules: those may be
broken), and knows in the end what every accepted input came to. Whatever is wrong lands in ``problems``.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final

import msgspec
from msgspec import UNSET

from flue_actors.conversation.entries import is_message, read_compaction, read_message, read_resumed
from flue_actors.events import TERMINAL, Event, PromptResult
from flue_actors.ids import TASK_PREFIX, AgentKey
from flue_actors.inputs import CompactInput, decode_input
from flue_actors.messages import AssistantMessage, Message, ToolResultMessage, text_of, tool_calls_of
from flue_actors.storage import (
    Admit,
    Append,
    Claim,
    Decide,
    Entry,
    Erase,
    Op,
    RequestAbort,
    Requeue,
    Settle,
    Submission,
    Suspend,
    WriteJournal,
)
from tests.faults.simulation.children import Children, Work, asked_behind
from tests.faults.simulation.decisions import Decisions
from tests.faults.simulation.states import States
from tests.faults.simulation.summaries import Summaries
from tests.faults.simulation.totals import Totals
from tests.faults.validity import history_problems

Place = tuple[AgentKey, str]
_decode_result = msgspec.json.Decoder(PromptResult).decode
_WORD: Final = re.compile(r"r(\d+)\.(\d+) ")


def words(reply: int, count: int) -> str:
    """The first ``count`` words of the text of reply number ``reply``: every word says where it belongs."""
    return "".join([f"r{reply}.{place} " for place in range(count)])


class Row:
    """One accepted input."""

    def __init__(self, submission: Submission, seq: int) -> None:
        self.id = submission.id
        self.key = submission.key
        self.session = submission.session
        self.policy = submission.policy
        self.idempotency_key = submission.idempotency_key
        self.seq = seq
        self.status = "queued"
        self.outcome: str | None = None
        self.result: bytes | None = None
        self.error: bytes | None = None
        self.attempt = 0
        self.excused = 0
        self.host: str | None = None
        self.life = 0  # in which it was claimed last
        self.abort: str | None = None
        self.abort_life = 0
        self.inputs = 0  # entries that hold its input
        self.outcomes = 0  # entries that tell its outcome
        self.work = Work()
        self.is_wish = isinstance(decode_input(submission.payload), CompactInput)  # for a summary
        self.summaries = 0
        self.kept = ""  # text of the reply in progress that interruptions left
        self.journal: list[WriteJournal] = []
        self.unsure = False  # it was reported as not accepted, and nobody knows better
        self.out_of_order = False  # the same: its place in the order is lost
        self.owed = ""  # streamed text that a dead process had stored, and that has to be kept

    @property
    def place(self) -> Place:
        return (self.key, self.session)

    @property
    def final(self) -> AssistantMessage | None:
        return self.work.final

    @property
    def is_task(self) -> bool:
        return self.session.startswith(TASK_PREFIX)


class Reference:
    """See the module. ``lanes``: sessions of an instance run side by side. ``life`` counts processes, from 1."""

    def __init__(self, *, lanes: bool, attempts: int) -> None:
        self.lanes = lanes
        self.attempts = attempts
        self.life = 0
        self.problems: list[str] = []
        self.rows: dict[str, Row] = {}
        self.open: dict[str, Row] = {}  # those without an outcome, in order of acceptance
        self.erased: set[str] = set()
        self.gone: set[Place] = set()  # sessions that were removed at least once
        self.entries: dict[Place, list[Entry]] = {}
        self.keys: dict[tuple[Place, str], str] = {}
        self.calls: dict[str, str] = {}  # ids of stored calls, and whose they are
        self.results: dict[str, str] = {}  # their stored results
        self.steps: dict[str, bytes] = {}  # recorded steps of durable tools
        self.sent: dict[int, int] = {}  # words of each reply that were streamed
        self.whole: dict[int, int] = {}  # words of each reply in full
        self.told: dict[int, str] = {}  # replies that are stored, and in whose turn
        self.left_behind: set[str] = set()  # whose tools ignore that they are cancelled
        self.refusals = 0  # commits that failed
        self.misreports = 0  # those of them that are there all the same
        self.runs: Counter[str] = Counter()  # of each call
        self.children = Children(self.blame, lambda: self.summaries.lost)
        self.decisions = Decisions(self.blame, self.calls)
        self.states = States(self.blame, lambda call_id: self.calls.get(call_id) in self.open)
        self.summaries = Summaries(self.blame)
        self.totals = Totals(self.blame)
        self._ending = False  # this commit tells an outcome
        self.note: Callable[[str], None] = lambda _: None
        self._seq = 0
        self._offsets: dict[Place, tuple[int, int]] = {}  # of the last event of each session in this process

    def blame(self, problem: str) -> None:
        """A promise is broken."""
        self.problems.append(problem)
        self.note(f"!!! {problem}")

    def began(self) -> None:
        """Another process starts: it finds everything that is on the disk."""
        self.life += 1
        for row in self.open.values():
            row.unsure = False

    # -- what is written ------------------------------------------------------------------------------------------

    def apply(self, ops: tuple[Op, ...]) -> None:
        """A commit is durable."""
        self._ending = any(isinstance(op, Settle) for op in ops)
        self.states.apply(ops)
        for op in ops:
            match op:
                case Admit():
                    self._admit(op.submission)
                case Claim():
                    self._claim(op)
                case Append():
                    self._append(op)
                case Settle():
                    self._settle(op)
                case Erase():
                    self._erase(op)
                case _:
                    self._note(op)
        self.children.committed()
        if not self.refusals:  # of writes that are tried again the older one may come last
            # What was used for a reply that is stored nowhere may be known or not.
            self.totals.committed(ops, unsure=self.summaries.lost + len(self.sent) - len(self.told))

    def _note(self, op: Op) -> None:
        match op:
            case WriteJournal():
                self._journal(op)
            case Requeue():
                row = self._running(op.submission_id, op.attempt, "requeued")
                if row is not None:
                    row.status = "queued"
                    row.excused += 1
                    row.life = 0
            case Suspend():
                row = self._running(op.submission_id, op.attempt, "suspended")
                if row is not None:
                    row.status = "waiting"
                    row.excused += 1
                    row.life = 0
            case Decide():
                if (row := self.open.get(op.submission_id)) is None:
                    self.blame(f"{op.submission_id} is decided on, and settled or unknown")
                    return
                self.decisions.decided(row, op)
                row.status = "queued" if op.resume else row.status
            case RequestAbort():
                for each in op.submission_ids:
                    if (row := self.open.get(each)) is not None and row.abort is None:
                        row.abort, row.abort_life = op.reason, self.life
            case _:
                pass

    def _admit(self, submission: Submission) -> None:
        if submission.id in self.rows:
            self.blame(f"{submission.id} is admitted twice")
        self._seq += 1
        row = self.rows[submission.id] = self.open[submission.id] = Row(submission, self._seq)
        self.entries.setdefault(row.place, [])
        self.children.admitted(submission)
        if row.idempotency_key is not None:
            if (row.place, row.idempotency_key) in self.keys:
                self.blame(f"{row.id}: its idempotency key was known")
            self.keys[row.place, row.idempotency_key] = row.id

    def _claim(self, op: Claim) -> None:
        row = self.open.get(op.submission_id)
        if row is None or op.attempt != row.attempt + 1:
            self.blame(f"{op.submission_id} is claimed for attempt {op.attempt} though settled or elsewhere")
            return
        if row.abort is not None and row.abort_life < self.life:
            self.blame(f"{row.id} is worked on though an earlier process noted its abort")
        if op.attempt - row.excused > self.attempts:
            self.blame(f"{row.id}: attempt {op.attempt} of {self.attempts}, {row.excused} excused")
        if row.life == self.life and not self.misreports:
            self.blame(f"{row.id} begins again in the process that works on it")
        if op.host is None:
            self._check_turn(row)
        doomed = self._ending or self.misreports or op.host is not None  # who joined goes on with its host
        if row.status == "waiting" and not doomed and self.decisions.open(row):
            self.blame(f"{row.id} begins again, and waits for a decision")
        row.status, row.attempt, row.host, row.life = "running", op.attempt, op.host, self.life

    def _check_turn(self, row: Row) -> None:
        """It is this one's turn: nobody in its lane was accepted before and waits, nobody runs."""
        for other in self.open.values():
            if other is row or other.key != row.key:
                continue
            if (self.lanes or row.is_task or other.is_task) and other.session != row.session:
                continue
            if other.id in self.left_behind or other.abort is not None or other.host is not None or other.out_of_order:
                continue
            if other.seq < row.seq:
                self.blame(f"{row.id} passed {other.id} ({other.status}), which was accepted before it")
            elif other.status == "running" and other.life == self.life:
                self.blame(f"{row.id} began while {other.id} ran")

    def _running(self, submission_id: str, attempt: int, what: str) -> Row | None:
        row = self.rows.get(submission_id)
        if row is None:
            if submission_id not in self.erased:
                self.blame(f"{submission_id} is {what} and unknown")
        elif row.status != "running" or row.attempt != attempt:
            self.blame(f"{submission_id} is {what} by attempt {attempt}; it is {row.status} at {row.attempt}")
        else:
            return row
        return None

    def _append(self, op: Append) -> None:
        entries = self.entries.setdefault((op.key, op.session), [])
        self.children.named(op)
        if op.submission_id is not None:
            self._running(op.submission_id, op.attempt, "written to")
        elif op.session.startswith(TASK_PREFIX) and not self.children.is_detached((op.key, op.session)):
            self.blame(f"{op.session} is written to, and no attempt guards it")
        for entry in op.entries:
            if entry.seq != len(entries) + 1:
                self.blame(f"entry {entry.seq} of {op.key} stands at {len(entries) + 1}")
            self._entry(entry, (op.key, op.session))
            entries.append(entry)

    def _entry(self, entry: Entry, place: Place) -> None:
        row = self.rows.get(entry.submission_id or "")
        if entry.kind == "compaction":
            self._summary(row, entry, place)
        elif row is None:
            self.blame(f"entry {entry.seq} belongs to nobody: {entry.submission_id}")
        elif place != row.place:
            self._task_entry(row, place, entry)
        elif entry.kind == "settled":
            row.outcomes += 1
            if row.owed:
                self.blame(f"{row.id}: its streamed text is lost: {row.owed}")
        elif entry.kind == "resumed":
            if read_resumed(entry).attempt != row.attempt:
                self.blame(f"{row.id}: the resumed entry of another attempt")
        elif is_message(entry):
            self._message(row, entry)

    def _summary(self, row: Row | None, entry: Entry, place: Place) -> None:
        """A summary is made for an input, or for nobody."""
        body = read_compaction(entry)
        used = 0 if body.usage is None else body.usage.output
        self.summaries.written(place, self.entries[place], body)
        if row is None:
            self.totals.used(place[0], used)
            return
        work = row.work if place == row.place else self.children.child_of(row.id, place)
        work.below += used
        row.summaries += 1

    def _task_entry(self, row: Row, place: Place, entry: Entry) -> None:
        """An entry in the session of a task of this row."""
        if not place[1].startswith(TASK_PREFIX) or not is_message(entry):
            self.blame(f"{row.id}: {entry.kind} {entry.seq} stands in {place[1]}")
            return
        message, child = read_message(entry).message, self.children.child_of(row.id, place)
        if isinstance(message, ToolResultMessage):
            self._result(row, child, message)
        elif isinstance(message, AssistantMessage):
            child.calls.extend([call.id for call in tool_calls_of(message)])
            self._said(row, child, message)
        else:
            self.children.prompt(child, place, message)

    def _message(self, row: Row, entry: Entry) -> None:
        body = read_message(entry)
        message = body.message
        if body.source in {"prompt", "dispatch"}:
            row.inputs += 1
            if row.inputs > 1:
                self.blame(f"{row.id}: its input is written twice")
        if isinstance(message, ToolResultMessage):
            self._result(row, row.work, message)
        elif isinstance(message, AssistantMessage):
            self._reply(row, message)

    def _result(self, row: Row, work: Work, message: ToolResultMessage) -> None:
        call_id = message.tool_call_id
        if call_id in self.results:
            self.blame(f"{row.id}: a second result of {call_id}")
        self.results[call_id] = text_of(message)
        self.children.result(work, row.key, message)
        self.decisions.result(message, runs=self.runs[call_id], giving_up=self._ending)

    def _said(self, row: Row, work: Work, message: AssistantMessage) -> None:
        """A reply of its own work, or of a task's."""
        for call in tool_calls_of(message):
            if call.id in self.calls:
                self.blame(f"{row.id}: call {call.id} is written twice")
            self.calls[call.id] = row.id
        work.used += message.usage.output
        self._text(row, text_of(message), whole=message.stop_reason not in {"aborted", "error"})
        if work.final is not None:
            self.blame(f"{row.id}: replies again after its last reply")
        if message.stop_reason != "aborted" and not tool_calls_of(message):
            work.final = message

    def _reply(self, row: Row, message: AssistantMessage) -> None:
        text = text_of(message)
        if row.owed and text != row.owed:
            self.blame(f"{row.id}: {row.owed!r} was streamed and stored, and became {text!r}")
        row.owed = ""
        self._said(row, row.work, message)
        if message.stop_reason == "aborted":
            row.kept += text
        elif tool_calls_of(message):
            row.kept = ""

    def _text(self, row: Row, text: str, *, whole: bool) -> None:
        """The text of one reply from its first word on, told once."""
        found = _WORD.match(text)
        if found is None:
            if text:
                self.blame(f"{row.id}: {text!r} was never said")
            return
        reply, count = int(found[1]), len(text.split())
        if text != words(reply, count) or count > self.sent[reply]:
            self.blame(f"{row.id}: {text!r} is not what reply {reply} said ({self.sent[reply]} words)")
        if whole and count != self.whole[reply]:
            self.blame(f"{row.id}: {text!r} is passed off as the whole reply {reply}")
        if reply in self.told:
            self.blame(f"{row.id}: reply {reply} is written twice")
        self.told[reply] = row.id

    def _journal(self, op: WriteJournal) -> None:
        row = self._running(op.submission_id, op.attempt, "journaled")
        if row is None:
            return
        row.journal.append(op)
        if op.kind == "approval":
            self.decisions.journaled(row, op)
        if op.kind == "step":
            if self.steps.get(op.name, op.body) != op.body:
                self.blame(f"{row.id}: step {op.name} is recorded again with another value")
            self.steps[op.name] = op.body

    def _settle(self, op: Settle) -> None:
        row = self.rows.get(op.submission_id)
        if row is None or row.status == "settled" or row.attempt != op.attempt:
            self.blame(f"{op.submission_id} is settled by attempt {op.attempt} though it is {row and row.status}")
            return
        del self.open[row.id]
        row.status, row.outcome, row.result, row.error = "settled", op.outcome, op.result, op.error
        row.journal = []
        if row.host is None:
            self.totals.used(row.key, row.work.used + row.work.below, self.children.untold(row.id))
        self.children.settled(row, op.result, op.error)
        if row.result is not None:
            host = self.rows.get(row.host or row.id)
            said = host.kept + text_of(host.final) if host is not None and host.final is not None else "nothing"
            if row.is_wish:
                self._wished(row, _decode_result(row.result))
            elif _decode_result(row.result).text != said:
                self.blame(f"{row.id} is completed with {row.result!r}, and {said!r} was said")
            if host is not None:
                self._usage(host, _decode_result(row.result))

    def _wished(self, row: Row, result: PromptResult) -> None:
        if (result.text, result.data) != ("", {"compacted": row.summaries > 0}) or row.summaries > 1:
            self.blame(f"{row.id} made {row.summaries} summaries, and {result} is told")

    def _usage(self, row: Row, result: PromptResult) -> None:
        """Its own usage, and the whole with its tasks'."""
        total = result.usage if result.total_usage is UNSET else result.total_usage
        told, work = (result.usage.output, total.output), row.work
        unsure = self.summaries.lost  # of what came to no summary nothing is written
        if told[0] != work.used or not 0 <= told[1] - work.used - work.below <= unsure:
            self.blame(f"{row.id} used {work.used} and its tasks {work.below}; {told} is told")

    def _erase(self, op: Erase) -> None:
        names = {None} if op.session is None else {op.session, *self.children.below(op.key, op.session)}
        if op.session is None:
            self.states.removed(op.key)
            self.totals.removed(op.key)
        for row in [r for r in self.rows.values() if r.key == op.key and (None in names or r.session in names)]:
            del self.rows[row.id]
            self.open.pop(row.id, None)
            self.erased.add(row.id)
            if row.idempotency_key is not None:
                self.keys.pop((row.place, row.idempotency_key), None)
        for place in [p for p in self.entries if p[0] == op.key and (None in names or p[1] in names)]:
            self.children.removed(place)
            self.summaries.removed(place)
            self.gone.add(place)
            del self.entries[place]
            self._offsets.pop(place, None)

    # -- what happens outside -------------------------------------------------------------------------------------

    def seen(self, event: Event, *, stopping: bool) -> None:
        """Somebody sees this event: what it tells as durable is on the disk, and its place is behind the last one's."""
        if not isinstance(event.offset, str) or not isinstance(event.instance_id, str):
            return
        row = self.rows.get(str(event.submission_id))
        session = str(event.session) if row is None else row.session  # a task's events are seen in its parent's
        place = (AgentKey("agent", event.instance_id), session)
        entries = self.entries.get(place)
        if entries is None:
            return  # erased
        seq, n = map(int, event.offset.split("-"))
        if n == 0 and seq > len(entries):
            self.blame(f"{_kind(event)} {event.offset} of {place[0]} is told, and its entry is not on disk")
        last = self._offsets.get(place, (0, 0))
        # What is shown behind an entry that is then refused has places of its own; readers of streams pass over it.
        if (seq, n) <= last and not self.refusals:
            self.blame(f"{_kind(event)} {event.offset} of {place[0]} comes after {last}")
        self._offsets[place] = max(last, (seq, n))
        if isinstance(event, TERMINAL) and row is not None and row.status != "settled" and not stopping:
            self.blame(f"{row.id}: {_kind(event)} is told, and it is {row.status}")

    def misreported(self, ops: tuple[Op, ...]) -> None:
        """These are on disk, and their sender is told that they are not."""
        self.misreports += 1
        self.decisions.unsure = True
        for op in ops:
            if isinstance(op, Admit) and (row := self.rows.get(op.submission.id)) is not None:
                row.unsure = row.out_of_order = True

    def acknowledged(self, submission_id: str) -> None:
        """A client knows that this input was accepted."""
        if (row := self.rows.get(submission_id)) is not None:
            row.unsure = False

    def stopped(self, *, writable: bool) -> None:
        """The process stopped gracefully: nothing is left as if it still ran, but what a stubborn tool holds."""
        for row in self.open.values():
            if (
                writable
                and row.status == "running"
                and row.life == self.life
                and (row.host or row.id) not in self.left_behind
            ):
                self.blame(f"{row.id} was running when the process stopped, and is not back in the queue")

    def died(self) -> None:
        """The process is dead: what it leaves has to be right, and what it had stored of a reply has to be kept."""
        self._offsets.clear()
        self.check_histories()
        for row in self.open.values():
            last = len(self.entries[row.place])
            text = _streamed([each for each in row.journal if each.kind == "text" and each.after == last])
            if text and row.status == "running" and row.host is None:
                row.owed = text

    def model_called(self, place: Place, messages: tuple[Message, ...]) -> None:
        """The model is asked for this session."""
        older = self.summaries.shown(place, self.entries[place], messages)
        self.children.asked(place, asked_behind((*older, *messages)), self._is_running)
        for row in self.open.values():
            if row.place == place and row.status == "running" and row.final is not None:
                self.blame(f"{row.id}: its last reply is stored, and is made again")

    def _is_running(self, submission_id: str) -> bool:
        row = self.rows.get(submission_id)
        return row is not None and row.status == "running"

    def check_histories(self) -> None:
        """What is stored is valid as it is."""
        for (key, session), entries in self.entries.items():
            attached = session.startswith(TASK_PREFIX) and not self.children.is_detached((key, session))
            # What its parent is given up with is not told to a task: its last calls may have no results.
            unsettled = {entry.submission_id or "" for entry in entries} if attached else self.open
            for problem in history_problems(entries, unsettled, self.left_behind):
                self.blame(f"{key} {session}: {problem}")

    def finish(self) -> None:
        """The system was left alone: everything is settled, and the stored story is one.

        What a stubborn tool was left behind with has its outcome in its row only.
        """
        for row in self.open.values():
            self.blame(f"{row.id} is never settled: {row.status} at attempt {row.attempt}")
        self.check_histories()
        for row in self.rows.values():
            for problem in _ended(row, fenced=(row.host or row.id) in self.left_behind):
                self.blame(f"{row.id}: {problem}")


def _streamed(rows: Sequence[WriteJournal]) -> str:
    """The text of the newest try, from its first word on as far as no word is missing."""
    if not rows:
        return ""
    turn = rows[-1].name.partition("/")[0]
    found = _WORD.findall(b"".join([row.body for row in rows if row.name.partition("/")[0] == turn]).decode())
    places = {int(place) for _, place in found}
    return words(int(found[0][0]), next(place for place in count() if place not in places)) if found else ""


def _kind(event: Event) -> str:
    return str(type(event).__struct_config__.tag)


def _ended(row: Row, *, fenced: bool) -> Iterator[str]:
    if row.status != "settled":
        return
    if row.outcomes > 1 or (row.attempt and not row.outcomes and not fenced):
        yield f"{row.outcomes} entries tell its outcome"
    if row.attempt and row.inputs != (not (row.is_task or row.is_wish)):
        yield f"ran, and its input is written {row.inputs} times"
    if row.outcome == "completed" and row.host is None and row.final is None and not row.is_wish:
        yield "is completed without a last reply"
