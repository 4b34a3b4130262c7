"""Bugs to plant: each replaces one piece of the product by a wrong one, so the simulation can be seen to find it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from flue_actors import memory_tables, streaming
from flue_actors.agents import operation, subagents
from flue_actors.conversation import resumption
from flue_actors.conversation.approval import Approval
from flue_actors.conversation.budget import Budget
from flue_actors.conversation.compaction import CompactionPlan
from flue_actors.conversation.compaction_summary import summary_signal
from flue_actors.conversation.entries import CompactionBody, Source
from flue_actors.conversation.transcript import Transcript, TranscriptView
from flue_actors.definition.limits import Limits
from flue_actors.events import CompactionEnd, Event, Operation
from flue_actors.ids import TASK_PREFIX
from flue_actors.instances.state import InstanceState
from flue_actors.intake import approvals
from flue_actors.intake.admission import Admission
from flue_actors.lifetime import Lifetime
from flue_actors.memory import MemoryStore
from flue_actors.memory_tables import Tables
from flue_actors.messages import Message, ToolCall, ToolResultMessage, Usage
from flue_actors.owed import Owed
from flue_actors.storage import Admit, Append, Committed, Entry, JournalRow, Op, Settle, Store, Submission
from flue_actors.submissions import LiveInstance, Pending
from flue_actors.turns import approving, asking, reopening
from flue_actors.turns.entry_writer import EntryWriter
from flue_actors.turns.loop import TurnLoop
from flue_actors.turns.party import Party
from flue_actors.turns.record import TurnRecord
from flue_actors.turns.recording import Recording
from flue_actors.turns.system_prompt import SystemPrompt
from flue_actors.turns.tool_calls import Steps, ToolRunner

Plant = Callable[[], AbstractContextManager[Any]]


def _told_before_the_commit() -> AbstractContextManager[Any]:
    async def conclude(self: Recording, *ops: Op, owed: Owed | None = None) -> None:
        self.write(*ops, *([] if owed is None else [owed.admit]))

    return patch.object(Recording, "conclude", conclude)


def _unknown_outcome_forgotten() -> AbstractContextManager[Any]:
    def unanswered(_: Transcript) -> tuple[ToolCall, ...]:
        return ()

    return patch.object(Transcript, "unanswered", unanswered)


def _attempt_not_checked() -> AbstractContextManager[Any]:
    def running(self: Tables, submission_id: str, attempt: int) -> Submission:
        return self.submissions[submission_id]

    return patch.object(Tables, "_running", running)


def _requeue_forgotten() -> AbstractContextManager[Any]:
    async def requeue(_: operation.Operation) -> bool:
        return True

    return patch.object(operation.Operation, "requeue", requeue)


def _order_swapped() -> AbstractContextManager[Any]:
    unsettled = MemoryStore.unsettled

    async def backwards(self: MemoryStore) -> list[Submission]:
        return (await unsettled(self))[::-1]

    return patch.object(MemoryStore, "unsettled", backwards)


def _every_tool_runs_again() -> AbstractContextManager[Any]:
    def reruns(_: ToolRunner, calls: Sequence[ToolCall]) -> list[ToolCall]:
        return list(calls)

    return patch.object(ToolRunner, "reruns", reruns)


def _joined_not_settled() -> AbstractContextManager[Any]:
    settles = Party.settles

    def of_the_host(self: Party, *args: Any, **kwargs: Any) -> Sequence[Settle]:
        return settles(self, *args, **kwargs)[:1]

    return patch.object(Party, "settles", of_the_host)


def _abort_forgotten() -> AbstractContextManager[Any]:
    resume = Admission.resume

    def without_the_wish(self: Admission, submission: Submission) -> Pending:
        return resume(self, replace(submission, abort=None))

    return patch.object(Admission, "resume", without_the_wish)


def _text_doubled() -> AbstractContextManager[Any]:
    piece = resumption._piece  # pyright: ignore[reportPrivateUsage]  # the place of the bug

    def twice(rows: Sequence[JournalRow]) -> resumption.Piece | None:
        found = piece(rows)
        return found and resumption.Piece(found.turn_id, found.text * 2)

    return patch.object(resumption, "_piece", twice)


def _text_lost() -> AbstractContextManager[Any]:
    def nothing(_: Sequence[JournalRow]) -> None:
        return None

    return patch.object(resumption, "_piece", nothing)


def _stored_too_late() -> AbstractContextManager[Any]:
    async def not_awaited(self: TurnRecord, message: Message, source: Source) -> None:
        entry, _ = added = self.add(message, source)
        self.recording.write(self.append(entry))
        self.show(added)

    return patch.object(TurnRecord, "record", not_awaited)


def _step_not_replayed() -> AbstractContextManager[Any]:
    def nothing(_: Steps) -> dict[str, bytes]:
        return {}

    return patch.object(Steps, "recorded", property(nothing))


def _key_forgotten() -> AbstractContextManager[Any]:
    apply = Tables.apply

    def keyless(self: Tables, ops: Sequence[Op]) -> Committed:
        plain = [Admit(replace(op.submission, idempotency_key=None)) if isinstance(op, Admit) else op for op in ops]
        return apply(self, plain)

    return patch.object(Tables, "apply", keyless)


def _outcomes_left_out() -> AbstractContextManager[Any]:
    whole = streaming.replay

    def without_operations(*about: Any) -> list[Event]:
        return [event for event in whole(*about) if not isinstance(event, Operation)]

    return patch.object(streaming, "replay", without_operations)


def _child_unguarded() -> AbstractContextManager[Any]:
    append = EntryWriter.append

    def anyhow(self: EntryWriter, *entries: Entry, of: Pending | None = None) -> Append:
        found = append(self, *entries, of=of)
        return replace(found, submission_id=None) if found.session.startswith(TASK_PREFIX) else found

    return patch.object(EntryWriter, "append", anyhow)


def _task_begun_anew() -> AbstractContextManager[Any]:
    named = subagents._task_id  # pyright: ignore[reportPrivateUsage]  # the place of the bug

    def another(writer: EntryWriter, call_id: str) -> str:
        return named(writer, f"{call_id}/{writer.host.submission.attempt}")

    return patch.object(subagents, "_task_id", another)


def _tasks_not_erased() -> AbstractContextManager[Any]:
    def alone(_: memory_tables.Instance, session: str) -> list[str]:
        return [session]

    return patch.object(memory_tables.Instance, "family", alone)


def _usage_forgotten() -> AbstractContextManager[Any]:
    def nothing(_: ToolResultMessage) -> Usage:
        return Usage()

    return patch.object(resumption, "used_below", nothing)


def _reported_before_the_outcome() -> AbstractContextManager[Any]:
    conclude = Recording.conclude

    async def apart(self: Recording, *ops: Op, owed: Owed | None = None) -> None:
        if owed is not None:
            await conclude(self, owed=owed)
        await conclude(self, *ops)

    return patch.object(Recording, "conclude", apart)


def _report_not_let_in() -> AbstractContextManager[Any]:
    def nothing(_: Owed, write: object) -> None:
        pass

    return patch.object(Owed, "_recorded", nothing)


def _decided_in_memory() -> AbstractContextManager[Any]:
    write = approvals.Approvals._write  # pyright: ignore[reportPrivateUsage]  # the place of the bug

    def nothing(self: approvals.Approvals, pending: Pending, row: str, decided: Approval, *, resume: bool) -> Op:
        return replace(write(self, pending, row, replace(decided, decision=None), resume=resume), **_unresumed(pending))

    return patch.object(approvals.Approvals, "_write", nothing)


def _unresumed(pending: Pending) -> dict[str, Any]:
    return {"resume": False} if pending.suspended else {}


def _last_decision_counts() -> AbstractContextManager[Any]:
    class Anytime(asyncio.Lock):
        async def acquire(self) -> Any:
            return True

        def release(self) -> None:
            pass

    return patch.object(approvals.asyncio, "Lock", Anytime)


def _approved_again() -> AbstractContextManager[Any]:
    def holds_back(self: approving.Approvals, call: ToolCall) -> bool:
        return call.id in self._known  # pyright: ignore[reportPrivateUsage]  # the place of the bug

    return patch.object(approving.Approvals, "holds_back", holds_back)


def _lane_not_blocked() -> AbstractContextManager[Any]:
    def nobody(_: LiveInstance, session: str, *, by_session: bool) -> None:
        return None

    return patch.object(LiveInstance, "suspended_in", nobody)


def _state_before_the_result() -> AbstractContextManager[Any]:
    record = EntryWriter.record

    async def apart(self: EntryWriter, message: Message, source: Source, *together: Op) -> None:
        if together:
            self.recording.write(*together)
        await record(self, message, source)

    return patch.object(EntryWriter, "record", apart)


def _state_unseen() -> AbstractContextManager[Any]:
    async def nothing(_: InstanceState) -> dict[str, bytes]:
        return {}

    return patch.object(InstanceState, "values", nothing)


def _summary_while_tools_run() -> AbstractContextManager[Any]:
    view, run = Transcript.view, TurnLoop._run_tools  # pyright: ignore[reportPrivateUsage]  # the place of the bug

    def settled(self: Transcript) -> TranscriptView:
        return replace(view(self), unsettled=False)

    async def early(self: TurnLoop, *given: Any) -> Any:
        history = self._ask_model.__self__  # pyright: ignore[reportAttributeAccessIssue, reportFunctionMemberAccess, reportPrivateUsage, reportUnknownMemberType, reportUnknownVariableType]  # the same
        await history.compact("threshold")
        return await run(self, *given)

    both = ExitStack()
    both.enter_context(patch.object(Transcript, "view", settled))
    both.enter_context(patch.object(TurnLoop, "_run_tools", early))
    return both


def _summary_in_memory() -> AbstractContextManager[Any]:
    append = EntryWriter.append

    def nothing(self: EntryWriter, *entries: Entry, of: Pending | None = None) -> Append:
        found = append(self, *entries, of=of)
        if [each.kind for each in entries] != ["compaction"]:
            return found
        self.session.seq -= 1
        return replace(found, entries=())

    return patch.object(EntryWriter, "append", nothing)


def _cut_one_too_far() -> AbstractContextManager[Any]:
    plan = asking.plan

    def further(view: TranscriptView, *window: Any, **how: Any) -> CompactionPlan | None:
        made = plan(view, *window, **how)
        later = [seq for seq in view.seqs if made is not None and seq > made.first_kept]
        return replace(made, first_kept=later[0]) if made is not None and later else made

    return patch.object(asking, "plan", further)


def _summary_beside_the_messages() -> AbstractContextManager[Any]:
    def forgotten(self: Transcript, body: CompactionBody) -> None:
        self._summary = (summary_signal(body),)  # pyright: ignore[reportPrivateUsage]  # the place of the bug

    return patch.object(Transcript, "compact", forgotten)


def _earlier_summary_forgotten() -> AbstractContextManager[Any]:
    view = Transcript.view

    def without(self: Transcript) -> TranscriptView:
        return replace(view(self), compaction=None)

    return patch.object(Transcript, "view", without)


def _summary_not_read_again() -> AbstractContextManager[Any]:
    freeze = SystemPrompt.freeze

    def further(self: SystemPrompt, *given: Any) -> Any:
        session = self._session  # pyright: ignore[reportPrivateUsage]  # the place of the bug
        session.read_from += 1 if session.read_from > 1 else 0
        return freeze(self, *given)

    return patch.object(SystemPrompt, "freeze", further)


def _summary_not_replayed() -> AbstractContextManager[Any]:
    whole = streaming.replay

    def without(*about: Any) -> list[Event]:
        return [event for event in whole(*about) if not isinstance(event, CompactionEnd)]

    return patch.object(streaming, "replay", without)


def _summary_paid_twice() -> AbstractContextManager[Any]:
    count = Budget.count_below

    def twice(self: Budget, usage: Usage, *, turns: int = 0) -> None:
        for _ in range(1 if turns else 2):
            count(self, usage, turns=turns)

    return patch.object(Budget, "count_below", twice)


def _made_again() -> AbstractContextManager[Any]:
    whole = reopening.resumption

    def forgetful(*given: Any, **more: Any) -> resumption.Resumption:
        return replace(whole(*given, **more), compacted=False)

    return patch.object(reopening, "resumption", forgetful)


def _task_counts_for_nobody() -> AbstractContextManager[Any]:
    used = Lifetime.used

    async def of_the_task(self: Lifetime, store: Store, *limits: Limits) -> Usage | None:
        return await used(self, store, limits[-1])

    return patch.object(Lifetime, "used", of_the_task)


BUGS: Final[dict[str, Plant]] = {
    "an outcome is told before its commit": _told_before_the_commit,
    "the unknown-outcome result is forgotten": _unknown_outcome_forgotten,
    "the store does not check the attempt": _attempt_not_checked,
    "a stop does not requeue": _requeue_forgotten,
    "the order of acceptance is swapped": _order_swapped,
    "a tool that is not idempotent runs again": _every_tool_runs_again,
    "a joined input is not settled with its host": _joined_not_settled,
    "an abort is forgotten at the restart": _abort_forgotten,
    "the partial text is doubled": _text_doubled,
    "the partial text is lost": _text_lost,
    "tools begin before their reply is stored": _stored_too_late,
    "a recorded step runs again": _step_not_replayed,
    "an idempotency key is forgotten": _key_forgotten,
    "a replayed stream leaves outcomes out": _outcomes_left_out,
    "a task writes though its parent's attempt is over": _child_unguarded,
    "a task begins anew after a crash": _task_begun_anew,
    "a task's conversation outlives its parent's": _tasks_not_erased,
    "what a task used is forgotten at the restart": _usage_forgotten,
    "a task's report is written before its outcome": _reported_before_the_outcome,
    "a task's report is not let in": _report_not_let_in,
    "a decision is acknowledged and not on disk": _decided_in_memory,
    "of two decisions the last counts": _last_decision_counts,
    "an approved call runs again after a crash": _approved_again,
    "a lane goes on while one of it waits": _lane_not_blocked,
    "state is written apart from the result": _state_before_the_result,
    "a call does not see the state": _state_unseen,
    "a summary is made while calls have no results": _summary_while_tools_run,
    "a summary is not on disk": _summary_in_memory,
    "a summary hides a message that is not in it": _cut_one_too_far,
    "what is summarised is shown as well": _summary_beside_the_messages,
    "an earlier summary is not in the next one": _earlier_summary_forgotten,
    "a process reads less than the summary leaves": _summary_not_read_again,
    "a replayed stream leaves summaries out": _summary_not_replayed,
    "a summary is paid for twice": _summary_paid_twice,
    "a summary that was asked for is made again after a crash": _made_again,
    "what a detached task uses does not count for its instance": _task_counts_for_nobody,
}
"""By name: what to plant, for as long as the context lasts."""
