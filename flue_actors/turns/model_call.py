"""Performs one model call of a turn: streams it out as events, retries what may be retried, gives up with a TurnError.

A retry repeats only the call, never a tool. What a failed try already streamed is closed by a ``message_end`` with stop
reason ``error``; the next try begins a new turn, so a client never glues two tries together. What a cancelled call
streamed stays at hand (`ModelCall.piece`): whoever cancelled decides what is kept of it.

The text of a reply that takes long is handed to the journal every second or 8 KiB.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import msgspec

from flue_actors import events
from flue_actors.conversation.outcome import ZERO, cut_off_reply
from flue_actors.errors import ModelError
from flue_actors.events import Purpose
from flue_actors.messages import AssistantContent, AssistantMessage, StopReason, TextContent, Usage, with_distinct_ids
from flue_actors.models.catalog import cost_of
from flue_actors.models.protocol import (
    ModelRequest,
    ReplyDone,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)
from flue_actors.models.registry import ResolvedModel
from flue_actors.models.retry import MAX_RETRIES, retry_delay
from flue_actors.services import Services
from flue_actors.turns.emitting import Emitter
from flue_actors.turns.idle import IdleTimeout

logger = logging.getLogger("flue_actors.models")

Journal = Callable[[str, str], None]
"""Keeps (turn id, a slash and the piece's number from 0 on; its text)."""

JOURNAL_SECONDS: Final = 1.0
JOURNAL_BYTES: Final = 8 * 1024
"""What a crash may take of a reply in progress; a reply that is done sooner is never journaled."""


class Reply(msgspec.Struct, frozen=True):
    """The model's whole answer, and the turn it belongs to. ``started`` is loop time."""

    message: AssistantMessage
    turn_id: str
    started: float


class ModelCall:
    """Calls one model for one operation.

    Args:
        background: It may wait until nobody else wants the model: work that a restart interrupted.
    """

    __slots__ = (
        "_background",
        "_emitter",
        "_journal",
        "_partial",
        "_purpose",
        "_resolved",
        "_services",
        "_tenant",
    )

    def __init__(
        self,
        services: Services,
        resolved: ResolvedModel,
        emitter: Emitter,
        tenant: str,
        *,
        journal: Journal,
        background: bool = False,
        purpose: Purpose = "agent",
    ) -> None:
        self._services = services
        self._resolved = resolved
        self._emitter = emitter
        self._tenant = tenant
        self._journal = journal
        self._background = background
        self._purpose: Purpose = purpose
        self._partial: _Partial | None = None

    @property
    def model(self) -> str:
        """What the provider calls it."""
        return self._resolved.model

    @property
    def name(self) -> tuple[str, str, str]:
        """Protocol, provider and model."""
        return self._resolved.client.api, self._resolved.provider, self._resolved.model

    def piece(self) -> tuple[str, AssistantMessage] | None:
        """The turn id and text of the reply that was being streamed when the call was cancelled; None without any."""
        partial, self._partial = self._partial, None
        if partial is None or not (text := "".join(partial.text)).strip():
            return None
        return partial.turn_id, cut_off_reply(text, *self.name, self._services.clock.now_ms())

    def save(self) -> None:
        """Journal what there is of the reply that was being streamed when the call was cancelled."""
        if self._partial is not None:
            self._partial.save()

    async def perform(self, request: ModelRequest) -> Reply:
        """Ask until there is a whole reply.

        Raises:
            ModelError: Refused, or still failing after the retries.
        """
        attempt = 1
        while True:
            turn_id = self._services.ids.turn()
            started = asyncio.get_running_loop().time()
            self._announce(request, turn_id)
            if self._partial is not None and self._partial.pieces:
                self._journal(f"{turn_id}/0", "")  # what is journaled of the failed try is void
            self._partial = partial = _Partial(turn_id, self._journal)
            try:
                message = await self._stream(request, partial)
                self._partial = None
                return Reply(message, turn_id, started)
            except ModelError as error:
                self._report_failure(partial, error, started)
                logger.warning("%s/%s failed: %s", self._resolved.provider, self._resolved.model, error.dev or error)
                delay = retry_delay(attempt, error, self._services.rng)
                if delay is None:
                    self._partial = None
                    raise
                self._report_retry(attempt, delay, error)
            except asyncio.CancelledError:
                raise
            except BaseException:
                self._close(partial, "error")
                raise
            finally:
                self._emitter.streaming(None)
            await self._pause(delay, partial)
            attempt += 1

    async def _pause(self, delay: float, failed: "_Partial") -> None:
        failed.text.clear()  # cancelled now, nothing of it is kept
        await asyncio.sleep(delay)

    async def _stream(self, request: ModelRequest, partial: "_Partial") -> AssistantMessage:
        seconds = self._services.settings.stream_idle_timeout
        async with self._resolved.limiter.slot(self._tenant, background=self._background):
            try:
                async with (
                    IdleTimeout(seconds, every=JOURNAL_SECONDS, tick=partial.save) as idle,
                    aclosing(self._resolved.client.stream(request)) as stream,
                ):
                    async for event in stream:
                        idle.touch()
                        if isinstance(event, TextDelta) and not event.text:
                            continue  # at work on something it does not show
                        if not partial.begun:
                            self._begin(partial)
                        if isinstance(event, TextDelta):
                            self._emitter.emit(events.TextDelta, text=event.text)
                            partial.add(event.text)
                            self._update(partial, event.text)
                        elif isinstance(event, ReplyDone):
                            return self._message(event)
                        else:
                            self._thinking(event)
            except TimeoutError:
                raise ModelError(
                    "The model stopped answering.", retryable=True, dev=f"no stream event within {seconds} s"
                ) from None
        raise ModelError(retryable=True, dev="the stream ended without a reply")

    def _announce(self, request: ModelRequest, turn_id: str) -> None:
        emitter = self._emitter
        emitter.turn(turn_id)
        emitter.emit(events.TurnStart, purpose=self._purpose)
        shown = msgspec.UNSET
        if emitter.verbose:
            tools = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in request.tools]
            system = "\n\n".join([part for part in (request.instructions, request.instance_text) if part])
            shown = events.TurnInput(system, request.messages, tools)
        emitter.emit(
            events.TurnRequest,
            purpose=self._purpose,
            model=self._resolved.model,
            provider=self._resolved.provider,
            api=self._resolved.client.api,
            input=shown,
            reasoning=request.thinking,
        )

    def _begin(self, partial: "_Partial") -> None:
        partial.begun = True
        self._emitter.streaming(lambda: self._assistant((TextContent(text="".join(partial.text)),), "stop", ZERO))
        self._emitter.emit(events.MessageStart, message=self._assistant((), "stop", ZERO))

    def _update(self, partial: "_Partial", delta: str) -> None:
        if not self._emitter.full:
            return
        message = self._assistant((TextContent(text="".join(partial.text)),), "stop", ZERO)
        step = events.AssistantMessageEvent(type="text_delta", content_index=0, partial=message, delta=delta)
        self._emitter.emit(events.MessageUpdate, message=message, assistant_message_event=step)

    def _thinking(self, event: ThinkingStart | ThinkingDelta | ThinkingEnd) -> None:
        if isinstance(event, ThinkingDelta):
            self._emitter.emit(events.ThinkingDelta, delta=event.text)
        elif isinstance(event, ThinkingStart):
            self._emitter.emit(events.ThinkingStart)
        else:
            self._emitter.emit(events.ThinkingEnd, content=event.text)

    def _message(self, done: ReplyDone) -> AssistantMessage:
        usage = msgspec.structs.replace(done.usage, cost=cost_of(done.usage, self._resolved.info.prices))
        return self._assistant(with_distinct_ids(done.content), done.stop_reason, usage)

    def _assistant(
        self, content: tuple[AssistantContent, ...], stop_reason: StopReason, usage: Usage
    ) -> AssistantMessage:
        return AssistantMessage(
            content=content,
            api=self._resolved.client.api,
            provider=self._resolved.provider,
            model=self._resolved.model,
            usage=usage,
            stop_reason=stop_reason,
            timestamp=self._services.clock.now_ms(),
        )

    def _report_failure(self, partial: "_Partial", error: ModelError, started: float) -> None:
        message = self._close(partial, "error")
        self._emitter.emit(
            events.Turn,
            **turn_account(message, started, asyncio.get_running_loop().time(), self._purpose),
            is_error=True,
            error=error.message,
        )

    def _close(self, partial: "_Partial", stop_reason: StopReason) -> AssistantMessage:
        """End the message this try began, so that the feed stays well formed."""
        content = (TextContent(text="".join(partial.text)),) if partial.text else ()
        message = self._assistant(content, stop_reason, ZERO)
        if partial.begun:
            self._emitter.emit(events.MessageEnd, message=message)
        return message

    def _report_retry(self, attempt: int, delay: float, error: ModelError) -> None:
        attributes = {
            "attempt": attempt,
            "maxRetries": MAX_RETRIES,
            "delayMs": round(delay * 1000),
            "error": error.type,
        }
        self._emitter.emit(
            events.Log, level="warn", message="The model call failed and is tried again.", attributes=attributes
        )


def turn_account(message: AssistantMessage, started: float, ended: float, purpose: Purpose = "agent") -> dict[str, Any]:
    """The fields of a `events.Turn` that tell of its reply. Times are loop times."""
    return {
        "purpose": purpose,
        "duration_ms": round((ended - started) * 1000),
        "model": message.model,
        "provider": message.provider,
        "api": message.api,
        "output": events.TurnOutput("assistant", message.content),
        "usage": message.usage,
        "stop_reason": message.stop_reason,
    }


class _Partial:
    """What one try has streamed so far, and how much of it is in the journal."""

    __slots__ = ("_journal", "_saved", "_unsaved", "begun", "pieces", "text", "turn_id")

    def __init__(self, turn_id: str, journal: Journal) -> None:
        self.turn_id = turn_id
        self.begun = False
        self.text: list[str] = []
        self.pieces = 0  # that are in the journal, numbered
        self._saved = 0  # how much of `text` they hold
        self._unsaved = 0  # bytes of it that are not
        self._journal = journal

    def add(self, text: str) -> None:
        """More of the reply."""
        self.text.append(text)
        self._unsaved += len(text.encode())
        if self._unsaved >= JOURNAL_BYTES:
            self.save()

    def save(self) -> None:
        """Journal what is not yet. Called every second."""
        if not self._unsaved:
            return
        text = "".join(self.text[self._saved :])
        self._journal(f"{self.turn_id}/{self.pieces}", text)
        self.pieces += 1
        self._saved = len(self.text)
        self._unsaved = 0
