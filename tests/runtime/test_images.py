"""Pictures and files: stored once, shown to the model whenever it sees their message."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from flue_actors import create_agent, tool
from flue_actors.definition.attaching import MOST, File, Image
from flue_actors.definition.tools import ToolAnswer
from flue_actors.errors import (
    AttachmentNotFoundError,
    ContextOverflowError,
    InvalidRequestError,
    ModelError,
    ModelRejectedError,
    SubmissionConflictError,
)
from flue_actors.ids import AgentKey
from flue_actors.instances.attachments import KEPT_BYTES, Attachments
from flue_actors.memory import MemoryStore, memory_store
from flue_actors.messages import (
    AssistantMessage,
    FileContent,
    ImageContent,
    TextContent,
    ToolResultMessage,
    UserMessage,
    text_of,
)
from flue_actors.models.protocol import ModelRequest
from flue_actors.storage import Attachment, Store
from flue_actors.store.sqlite_store import sqlite
from flue_actors.testing import FunctionModel
from tests.runtime.machine import Machine, machine
from tests.runtime.models import InThreads, by_message, call, once
from tests.runtime.support import virtual_time

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
OTHER = b"\x89PNG\r\n\x1a\n" + bytes(200)
ID = hashlib.sha256(PNG).hexdigest()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return memory_store() if request.param == "memory" else cast("Store", InThreads(sqlite(tmp_path / "flue.db")))


@tool
async def draw() -> ToolAnswer:
    """Draw."""
    return ToolAnswer(text="drawn", images=(Image(PNG, "image/png"),))


def agent(model: FunctionModel) -> Any:
    return create_agent(model=model, instructions="", tools=[draw])


@asynccontextmanager
async def at(store: Store, made: Any) -> AsyncGenerator[Machine]:
    async with machine(made) as one:
        one.store = store
        yield one


@virtual_time
async def test_a_picture_is_shown_to_the_model_now_later_and_after_a_restart(store: Store) -> None:
    model = FunctionModel(by_message())
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("look", images=[Image(PNG, "image/png")])
        await ref.prompt("again")
        await one.evict(ref)
        await ref.prompt("still")
        ref = (await one.restart()).ref("agent", "u1")
        await ref.prompt("there")
        assert [dict(each.attachments) for each in model.requests] == [{ID: PNG}] * 4
        stored = await ref.attachment(ID)
        assert (stored.mime_type, stored.body) == ("image/png", PNG)


@virtual_time
async def test_a_picture_that_a_tool_answers_with_is_shown_too(store: Store) -> None:
    model = once(call("draw"))
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("go")
        assert [dict(each.attachments) for each in model.requests] == [{}, {ID: PNG}]
        ref = (await one.restart()).ref("agent", "u1")
        await ref.prompt("and now")
        assert dict(model.requests[-1].attachments) == {ID: PNG}


@virtual_time
@pytest.mark.parametrize("refusal", [ModelRejectedError, ContextOverflowError])
async def test_a_picture_that_the_provider_does_not_take_ends_its_own_message_and_no_later_one(
    store: Store, refusal: type[ModelError]
) -> None:
    def answer(request: ModelRequest) -> str | ModelError:
        return refusal() if request.attachments else "well"

    model = FunctionModel(answer)
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        with pytest.raises(refusal):
            await ref.prompt(
                "look", images=[Image(PNG, "image/png")], files=[File(b"%PDF-1.4", "application/pdf", "a.pdf")]
            )
        assert (await ref.prompt("again")).text == "well"
        await one.evict(ref)
        assert (await ref.prompt("still")).text == "well"
        ref = (await one.restart()).ref("agent", "u1")
        assert (await ref.prompt("there")).text == "well"
        shown = text_of(model.requests[-1].messages[0])
        assert shown.startswith("look")
        assert "[A picture was here" in shown
        assert "[The file a.pdf was here" in shown
        first = (await ref.history())[0].message
        assert [type(each) for each in first.content] == [TextContent, ImageContent, FileContent]


@virtual_time
async def test_of_an_answer_with_a_picture_that_the_provider_does_not_take_the_call_and_its_text_stay(
    store: Store,
) -> None:
    def answer(request: ModelRequest) -> Any:
        if request.attachments:
            return ModelRejectedError()
        return call("draw") if len(request.messages) == 1 else "well"

    model = FunctionModel(answer)
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        with pytest.raises(ModelRejectedError):
            await ref.prompt("go")
        assert (await ref.prompt("again")).text == "well"
    asked = model.requests[-1].messages
    assert [type(each) for each in asked] == [UserMessage, AssistantMessage, ToolResultMessage, UserMessage]
    assert text_of(asked[2]).startswith("drawn")


@virtual_time
async def test_what_comes_twice_is_stored_once_and_the_history_names_it(store: Store) -> None:
    model = FunctionModel(by_message())
    async with at(store, agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("one", images=[Image(PNG, "image/png"), Image(OTHER, "image/png")])
        await ref.prompt("two", images=[Image(PNG, "image/png")])
        messages = [each.message for each in await ref.history() if isinstance(each.message, UserMessage)]
        named = [part.attachment for each in messages for part in each.content if isinstance(part, ImageContent)]
        assert named == [ID, hashlib.sha256(OTHER).hexdigest(), ID]
        assert len(model.requests[-1].attachments) == 2


@virtual_time
async def test_files_go_with_a_message_as_pictures_do() -> None:
    model = FunctionModel(by_message())
    async with machine(agent(model)) as one:
        ref = (await one.start()).ref("agent", "u1")
        pdf = File(b"%PDF-1.4 hello", "application/pdf", name="a.pdf")
        await ref.prompt("read", files=[pdf])
        assert list(model.requests[0].attachments.values()) == [pdf.data]


@virtual_time
async def test_the_same_key_with_another_picture_is_another_message() -> None:
    async with machine(agent(FunctionModel(by_message()))) as one:
        ref = (await one.start()).ref("agent", "u1")
        for _ in range(2):
            await ref.prompt("look", images=[Image(PNG, "image/png")], idempotency_key="k")
        with pytest.raises(SubmissionConflictError):
            await ref.prompt("look", images=[Image(OTHER, "image/png")], idempotency_key="k")
        assert len([each for each in await ref.history() if isinstance(each.message, UserMessage)]) == 1


@virtual_time
async def test_a_picture_of_a_message_that_was_not_begun_is_there_after_a_crash(store: Store) -> None:
    model = FunctionModel(by_message())
    async with at(store, agent(model)) as one:
        ref = (await one.start(dies_after=1)).ref("agent", "u1")
        assert one.process is not None
        asking = asyncio.ensure_future(ref.prompt("look", images=[Image(PNG, "image/png")]))
        await one.process.died.wait()
        asking.cancel()
        await asyncio.wait([asking])
        await one.restart()
        for _ in range(50):
            await asyncio.sleep(0.1)
        assert dict(model.requests[-1].attachments) == {ID: PNG}


@virtual_time
async def test_pictures_are_their_instances_own_and_gone_with_it() -> None:
    async with machine(agent(FunctionModel(by_message()))) as one:
        ref = (await one.start()).ref("agent", "u1")
        await ref.prompt("look", images=[Image(PNG, "image/png")])
        with pytest.raises(AttachmentNotFoundError):
            await one.ref("agent", "u2").attachment(ID)
        await ref.erase()
        with pytest.raises(AttachmentNotFoundError):
            await ref.attachment(ID)


@virtual_time
async def test_too_many_at_once_are_refused() -> None:
    async with machine(agent(FunctionModel(by_message()))) as one:
        ref = (await one.start()).ref("agent", "u1")
        with pytest.raises(InvalidRequestError):
            await ref.prompt("look", images=[Image(PNG, "image/png")] * (MOST + 1))


class Reads(MemoryStore):
    """Has every attachment, and knows which were read."""

    def __init__(self) -> None:
        super().__init__()
        self.of: list[str] = []

    async def attachment(self, key: AgentKey, id: str) -> Attachment | None:
        self.of.append(id)
        return Attachment(id=id, mime_type="image/png", body=bytes(KEPT_BYTES // 3))


async def test_an_instance_keeps_so_many_bytes_in_memory_and_reads_others_again() -> None:
    store = Reads()
    attachments = Attachments(store, AgentKey("agent", "u1"))

    async def look(id: str) -> None:
        part = ImageContent(attachment=id, mime_type="image/png", size=KEPT_BYTES // 3)
        assert [*await attachments.of([UserMessage(content=(part,), timestamp=0)])] == [id]

    for each in ("a", "b", "c", "a", "d", "a", "b"):  # what was looked at longest ago gives way
        await look(each)
    assert store.of == ["a", "b", "c", "d", "b"]
