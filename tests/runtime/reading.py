"""A client of a session's stream that loses its connection all the time, and notices every gap and duplicate."""

import asyncio
import random
from collections.abc import AsyncGenerator

from flue_actors.conversation.entries import is_private, read_message
from flue_actors.errors import ReaderTooSlowError
from flue_actors.events import Event, MessageEnd, MessageSnapshot, MessageStart, TextDelta
from flue_actors.messages import (
    AssistantContent,
    AssistantMessage,
    TextContent,
    ToolCall,
    Usage,
    UserMessage,
    text_of,
)
from flue_actors.models.protocol import ModelEvent, ModelRequest, ReplyDone
from flue_actors.models.protocol import TextDelta as ModelText
from flue_actors.places import Place
from flue_actors.refs import LocalSessionRef
from flue_actors.storage import Entry


async def breathe(turns: int) -> None:
    """Let everybody else run so often."""
    for _ in range(turns):
        await asyncio.sleep(0)


class Talkative:
    """A model that says words nobody said before, calls tools twice, and lets others run between any two words."""

    api = "scripted"

    def __init__(self, seed: int, words: int = 12) -> None:
        self._rng = random.Random(seed)
        self._words = words
        self._said = 0

    async def aclose(self) -> None:
        """Nothing is open."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        said = list[str]()
        for _ in range(self._rng.randrange(1, self._words)):
            self._said += 1
            said.append(f"<{self._said}>")
            yield ModelText(said[-1])
            await breathe(self._rng.randrange(3))
        content: list[AssistantContent] = [TextContent(text="".join(said))]
        if _rounds(request) < 2:
            content += [ToolCall(id=f"call_{self._said}_{n}", name="look", arguments={}) for n in range(2)]
        stop = "toolUse" if len(content) > 1 else "stop"
        yield ReplyDone(content=tuple(content), stop_reason=stop, usage=Usage())


def _rounds(request: ModelRequest) -> int:
    """Replies since the last message of a person."""
    replies = 0
    for message in request.messages:
        if isinstance(message, UserMessage):
            replies = 0
        elif isinstance(message, AssistantMessage):
            replies += 1
    return replies


class Reader:
    """Reads one session over many connections. What it got is checked as it comes; `check_whole` at the end."""

    def __init__(self, rng: random.Random, after: str = "0-0") -> None:
        self._rng = rng
        self.after = after
        self.connections = 0
        self.snapshots = 0
        self.cut_off = 0
        self._durable: list[int] = []
        self._ended: list[str] = []
        self._reply: str | None = None  # as far as the reader has it
        self._torn = False  # the connection broke since the reply was begun
        self._offsets: list[str] = []

    async def connect(self, ref: LocalSessionRef, events: int, *, until: Place | None = None) -> None:
        """One connection; it breaks after so many events, in the middle of whatever was sent."""
        self.connections += 1
        self._torn = True
        stream = ref.follow(self.after)
        try:
            while events and not (until is not None and Place.parse(self.after) >= until):
                for shown in (await stream.next())[:events]:
                    self._take(shown.event)
                    events -= 1
                if self._rng.random() < 0.2:
                    await breathe(self._rng.randrange(40))
        except ReaderTooSlowError as error:
            self.cut_off += 1
            assert error.meta is not None
            assert Place.parse(error.meta["offset"]) >= Place.parse(self.after)
        finally:
            stream.close()

    def _take(self, event: Event) -> None:
        assert isinstance(event.offset, str)
        here, last = Place.parse(event.offset), Place.parse(self.after)
        assert here > last, f"{type(event).__name__} at {here} came behind {last}"
        self.after = event.offset
        self._offsets.append(event.offset)
        if isinstance(event, MessageStart) and isinstance(event.message, AssistantMessage):
            self._reply, self._torn = "", False
        elif isinstance(event, MessageSnapshot):
            self.snapshots += 1
            self._reply = text_of(event.message)
        elif isinstance(event, TextDelta):
            assert self._reply is not None, f"a delta of a reply that never began at {here}"
            self._reply += event.text
        elif isinstance(event, MessageEnd) and isinstance(event.message, AssistantMessage):
            self._check_reply(event.message)
        if here.n == 0:
            self._durable.append(here.seq)

    def _check_reply(self, message: AssistantMessage) -> None:
        whole, had = text_of(message), self._reply
        if had is not None and message.stop_reason == "aborted":  # a crash may take the end of it
            assert had.startswith(whole), f"had {had!r}, kept was {whole!r}"
        elif had is not None:
            assert whole.startswith(had) if self._torn else whole == had, f"had {had!r} of {whole!r}"
        self._reply = None

    def check_whole(self, entries: list[Entry]) -> None:
        """Everything stored was seen, once."""
        shown = [each.seq for each in entries if each.kind != "message" or not is_private(read_message(each))]
        assert self._durable == shown
        settled = [f"{each.seq}-1" for each in entries if each.kind == "settled"]
        seen = set(self._offsets)
        assert [each for each in settled if each not in seen] == []
