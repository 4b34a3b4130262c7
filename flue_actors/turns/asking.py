"""Asking the model with a history that it can read: the bytes it names, and a summary where it has become too long."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from flue_actors import events
from flue_actors.conversation.compaction import (
    CompactionPlan,
    Window,
    conclude,
    overflowed_silently,
    plan,
    should_compact,
)
from flue_actors.conversation.compaction_request import SummaryRequest
from flue_actors.conversation.entries import CompactionBody, compaction_entry
from flue_actors.conversation.outcome import ZERO, add_usage
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import ContextOverflowError, ModelError
from flue_actors.events import CompactionReason
from flue_actors.ids import TASK_PREFIX
from flue_actors.inputs import DetachedInput, decode_input
from flue_actors.messages import TextContent, UserMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.models.registry import ResolvedModel
from flue_actors.storage import Op
from flue_actors.turns.entry_writer import EntryWriter
from flue_actors.turns.model_call import ModelCall, Reply, turn_account
from flue_actors.turns.system_prompt import SystemPrompt
from flue_actors.turns.work_place import WorkPlace

logger = logging.getLogger("flue_actors.compaction")

GROWTH: Final = 1.1
"""A history of which no summary came about is tried again when it is so many times as long."""


PLANNED_HERE: Final = 10_000
"""Tokens of a history that is written down for the summary on the loop; a longer one would hold up everybody else."""


class History:
    """The history of one session, for one piece of work.

    Attributes:
        budget: What summaries count for.
    """

    __slots__ = (
        "_agent",
        "_attachments",
        "_known",
        "_resolved",
        "_services",
        "_system",
        "_workspace",
        "_writer",
        "budget",
    )

    def __init__(self, place: WorkPlace, agent: ResolvedAgent, system: SystemPrompt, resolved: ResolvedModel) -> None:
        self._services = place.services
        self._writer = place.writer
        self._agent = agent
        self._system = system
        self._attachments = place.attachments
        self.budget = place.budget
        self._workspace = place.workspace
        self._resolved = resolved
        self._known: Window | None = None

    async def ask(self, call: ModelCall, request: Callable[[], ModelRequest]) -> Reply:
        """Perform the call of this request; if the model cannot read it all, once more behind a summary.

        Raises:
            ModelError: Refused, or still failing after the retries.
            StoreError: A write was refused.
        """
        try:
            asked = request()
            reply = await call.perform(await self._whole(asked) if self._writer.session.illustrated else asked)
            if not self._resolved.info.context_window or not overflowed_silently(reply.message, self._window()):
                return reply
            self.budget.count_below(reply.message.usage)
            error = ContextOverflowError(dev="the reply says so")
        except ContextOverflowError as refused:
            error = refused
            self._learn(refused.window)
        if not await self.compact("overflow"):
            raise error
        return await call.perform(await self._whole(request()))

    def _learn(self, window: int) -> None:
        self._resolved, self._known = self._services.models.learned(self._resolved, window), None

    @property
    def is_long(self) -> bool:
        """True when the history came close to what the model reads, and the agent wants it summarised then."""
        if not self._agent.compaction.automatic or not self._resolved.info.context_window:
            return False
        session = self._writer.session
        tokens = session.transcript.tokens()
        return tokens > session.too_long * GROWTH and should_compact(tokens, self._window())

    async def compact(
        self,
        reason: CompactionReason,
        instructions: str | None = None,
        *,
        together: Callable[[], Awaitable[Sequence[Op]]] | None = None,
    ) -> bool:
        """Replace older messages by a summary; False when there is nothing to, or no summary came about.

        Args:
            together: What is written with the summary.

        Raises:
            StoreError: It could not be recorded; nothing changed.
        """
        writer, session = self._writer, self._writer.session
        view, window, started = session.transcript.view(), self._window(), asyncio.get_running_loop().time()
        if reason == "overflow":
            window = window.after_overflow(view.tokens)
        session.too_long = view.tokens  # until it is done
        make = functools.partial(plan, view, window, instructions=instructions, keeps=_under_way(writer))
        planned = make() if view.tokens <= PLANNED_HERE else await self._services.run_blocking(make)
        if planned is None:
            return False
        writer.emitter.emit(events.CompactionStart, reason=reason, estimated_tokens=planned.tokens_before)
        body = await self._summary(planned, reason, started)
        if body is None:
            writer.emitter.emit(
                events.CompactionEnd,
                messages_before=planned.messages_before,
                messages_after=planned.messages_before,
                duration_ms=_since(started),
                is_error=True,
            )
            return False
        await self._system.refresh(self._agent, self._workspace)
        await self._record(body, () if together is None else await together())
        return True

    async def _record(self, body: CompactionBody, together: Sequence[Op]) -> None:
        """Make the summary durable; then it is what the model reads, and is shown."""
        writer, session = self._writer, self._writer.session
        owner = writer.host.submission_id if writer.claimed else None  # it is nobody's once that is settled
        entry = compaction_entry(session.next_seq(), body, submission_id=owner)
        # Of an input that is worked on, everything is read when that goes on.
        session.read_from = body.first_kept if owner is None else min(body.first_kept, writer.host.seq + 1)
        frozen, _ = self._system.freeze(self._agent, self._services.clock.now_ms())

        def stored() -> None:
            session.transcript.compact(body)
            session.too_long = 0
            writer.emitter.emit(
                events.CompactionEnd,
                durable=entry.seq,
                messages_before=body.messages_before,
                messages_after=body.messages_after,
                duration_ms=body.duration_ms,
                usage=body.usage or UNSET,
            )

        await writer.recording.commit_then(stored, writer.append(entry), *frozen, *together)

    async def _summary(
        self, planned: CompactionPlan, reason: CompactionReason, started: float
    ) -> CompactionBody | None:
        resolved = self._summariser()
        answers = await asyncio.gather(*[self._write(each) for each in planned.requests])
        replies = [answer for answer in answers if answer is not None]
        usage = functools.reduce(add_usage, [reply.message.usage for reply in replies], ZERO)
        self.budget.count_below(usage)
        if len(replies) < len(planned.requests):
            return None
        return conclude(
            planned,
            [text_of(reply.message) for reply in replies],
            reason=reason,
            model=f"{resolved.provider}/{resolved.model}",
            usage=usage,
            duration_ms=_since(started),
            timestamp=self._services.clock.now_ms(),
        )

    async def _write(self, asked: SummaryRequest) -> Reply | None:
        """The reply; None when the model failed."""
        resolved = self._summariser()
        emitter = self._writer.emitter.of_summary()
        call = ModelCall(
            self._services, resolved, emitter, "", journal=lambda _place, _text: None, purpose=asked.purpose
        )
        message = UserMessage(content=(TextContent(text=asked.text),), timestamp=self._services.clock.now_ms())
        request = ModelRequest(
            model=resolved.model,
            messages=(message,),
            instructions=asked.instructions,
            thinking="high" if resolved.info.thinking != "none" else "off",
            max_tokens=asked.max_tokens,
            use_tools=False,
        )
        try:
            reply = await call.perform(request)
        except ModelError as error:
            logger.warning("no summary of %s came about: %s", self._writer.session.key, error.dev or error)
            return None
        ended = asyncio.get_running_loop().time()
        emitter.emit(events.Turn, **turn_account(reply.message, reply.started, ended, asked.purpose), is_error=False)
        return reply

    async def _whole(self, request: ModelRequest) -> ModelRequest:
        if not self._writer.session.illustrated:
            return request
        return msgspec.structs.replace(request, attachments=await self._attachments.of(request.messages))

    def _window(self) -> Window:
        if self._known is None:
            info, compaction = self._resolved.info, self._agent.compaction
            self._known = Window.of(
                info.context_window,
                keep=compaction.keep_recent_tokens,
                max_tokens=info.max_tokens,
                reserve=compaction.reserve_tokens,
                reads=None if compaction.model is None else self._summariser().info.context_window or None,
            )
        return self._known

    def _summariser(self) -> ResolvedModel:
        model = self._agent.compaction.model
        return self._resolved if model is None else self._services.models.resolve(model)


def _under_way(writer: EntryWriter) -> list[str]:
    """What the session's detached tasks are, that it still has to hear from."""
    found: list[str] = []
    for each in writer.host.instance.unsettled.values():
        if each.submission.session.startswith(TASK_PREFIX):
            given = decode_input(each.submission.payload)
            if isinstance(given, DetachedInput) and given.reports_to == writer.session.name:
                found.append(f"Task {given.task_id}, given to {given.path[-1]}, is under way; its answer will come.")
    return found


def _since(started: float) -> int:
    return round((asyncio.get_running_loop().time() - started) * 1000)
