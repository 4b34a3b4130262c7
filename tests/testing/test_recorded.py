"""Recordings: what is written, what is found again, and what an unknown request is told."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flue_actors import create_agent, tool
from flue_actors.errors import ConfigError, ModelError
from flue_actors.messages import ToolCall, Usage
from flue_actors.models.protocol import (
    ModelRequest,
    ReplyDone,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolSpec,
)
from flue_actors.testing import Machine, RecordedModel, ScriptedModel, calls, in_virtual_time, reply, thinks
from flue_actors.testing.cassette import asked, key_of
from flue_actors.testing.recorded import RECORD
from tests.messages_api import messages_server
from tests.models import helpers
from tests.models.helpers import assistant, events_of, result, streamed, user

HAIKU = "anthropic/claude-haiku-4-5"


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "one.jsonl"


def asking(*messages: Any, **fields: Any) -> ModelRequest:
    return helpers.asking(*messages, **({"model": "haiku"} | fields))


async def record(path: Path, *replies: Any, requests: tuple[ModelRequest, ...] = (asking("hello"),)) -> RecordedModel:
    model = RecordedModel(path, mode="record", model=ScriptedModel(replies, size=4))
    for request in requests:
        await events_of(model, request)
    return model


def replaying(path: Path, scrub: Callable[[str], str] | None = None) -> RecordedModel:
    return RecordedModel(path, mode="replay", scrub=scrub)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_stream_is_replayed_as_it_was(cassette: Path) -> None:
    usage = Usage(input=3, output=4, total_tokens=7)
    await record(cassette, reply(thinks("Let me see."), "Hello there!", usage=usage))
    events = await events_of(replaying(cassette), asking("hello"))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hell", "o th", "ere!"]
    assert [type(event) for event in events if not isinstance(event, TextDelta | ThinkingDelta)] == [
        ThinkingStart,
        ThinkingEnd,
        ReplyDone,
    ]
    assert isinstance(done := events[-1], ReplyDone)
    assert (done.usage, done.stop_reason) == (usage, "stop")


async def test_tool_calls_are_replayed(cassette: Path) -> None:
    await record(cassette, calls("add", a=1, b=[2]))
    done = await helpers.reply_of(replaying(cassette), asking("hello"))
    assert isinstance(call := done.content[0], ToolCall)
    assert (call.name, call.arguments, done.stop_reason) == ("add", {"a": 1, "b": [2]}, "toolUse")


async def test_an_answer_is_found_by_what_was_asked_and_not_by_its_place(cassette: Path) -> None:
    await record(cassette, "one", "two", requests=(asking("1"), asking("2")))
    model = replaying(cassette)
    assert [streamed(await events_of(model, asking(text))) for text in ("2", "1")] == ["two", "one"]


async def test_the_same_request_gets_its_answers_in_order_and_then_the_last(cassette: Path) -> None:
    await record(cassette, "one", "two", requests=(asking("hello"), asking("hello")))
    model = replaying(cassette)
    assert [streamed(await events_of(model, asking("hello"))) for _ in range(3)] == ["one", "two", "two"]


VARIED = (
    asking(user("hello"), assistant(ToolCall(id="x1", name="add", arguments={})), result("x1", "3"), affinity="a"),
    asking(
        msgspec.structs.replace(user("hello"), timestamp=99),
        msgspec.structs.replace(
            assistant(ToolCall(id="y7", name="add", arguments={}), api="other", model="other"),
            usage=Usage(input=9),
            timestamp=100,
        ),
        msgspec.structs.replace(result("y7", "3"), details={"seconds": 1}),
        affinity="b",
    ),
)


async def test_what_varies_from_run_to_run_is_not_compared(cassette: Path) -> None:
    await record(cassette, "ok", requests=VARIED[:1])
    assert streamed(await events_of(replaying(cassette), VARIED[1])) == "ok"


async def test_the_date_of_a_conversation_is_not_compared(cassette: Path) -> None:
    def on(date: str) -> ModelRequest:
        return asking("hello", instance_text=f'Conversation id: "u1"\nDate: {date}')

    await record(cassette, "ok", requests=(on("Sat, Nov 21, 2026"),))
    assert streamed(await events_of(replaying(cassette), on("Sun, Nov 22, 2026"))) == "ok"


@pytest.mark.parametrize(
    "other",
    [
        asking("hallo"),
        asking("hello", instructions="Be brief."),
        asking("hello", model="opus"),
        asking("hello", thinking="high"),
        asking("hello", tools=(helpers.tool("add"),)),
        asking("hello", max_tokens=5),
        asking("hello", use_tools=False),
        asking("hello", result_schema={"type": "object"}),
    ],
    ids=["text", "instructions", "model", "thinking", "tools", "max_tokens", "use_tools", "result_schema"],
)
async def test_whatever_else_is_asked_is_another_request(cassette: Path, other: ModelRequest) -> None:
    await record(cassette, "ok")
    with pytest.raises(ModelError, match="no answer to request 1"):
        await events_of(replaying(cassette), other)


async def test_an_unknown_request_is_told_the_nearest_one_and_how_to_record(cassette: Path) -> None:
    requests = (asking("something else", instructions="Be long.", thinking="high"), asking("hello"))
    await record(cassette, "one", "two", requests=requests)
    with pytest.raises(ModelError) as refusal:
        await events_of(replaying(cassette), asking("hallo"))
    message = refusal.value.message
    assert "nearest recorded one, line 2," in message
    assert "messages[0].content[0].text: recorded 'hello', asked 'hallo'" in message
    assert "FLUE_RECORD=1" in message


async def test_a_recording_that_is_not_there_says_how_to_make_it(cassette: Path) -> None:
    with pytest.raises(ModelError, match=r"Nothing is recorded there. Record it anew with FLUE_RECORD=1"):
        await events_of(replaying(cassette), asking("hello"))


async def test_recording_begins_the_file_anew(cassette: Path) -> None:
    await record(cassette, "old")
    await record(cassette, "new", "newer", requests=(asking("1"), asking("2")))
    assert [line["reply"]["content"][0]["text"] for line in lines(cassette)] == ["new", "newer"]


async def test_keys_and_tokens_are_written_nowhere(cassette: Path) -> None:
    key, token = "sk-" + "abcd1234" * 4, "abcdef.ghijkl-mnop"
    request = asking(f"My key is {key}", instructions=f"Authorization: Bearer {token}")
    await record(cassette, f"I saw {key}.", requests=(request,))
    assert key not in cassette.read_text()
    assert token not in cassette.read_text()
    assert streamed(await events_of(replaying(cassette), request)) == "I saw <secret>."


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("HF is hf_AbCdEfGhIjKlMnOpQrSt", "hf_AbCdEfGhIjKlMnOpQrSt"),
        ("ASIAIOSFODNN7EXAMPLE1", "ASIAIOSFODNN7EXAMPLE1"),
        ("authorization: basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
        ('{"Authorization": "bearer 0123456789"}', "0123456789"),
        ("x-api-key: 0123456789", "0123456789"),
        ("export MY_SERVICE_TOKEN=0123456789abc", "0123456789abc"),
        ("see https://ada:hunter2@example.com/x", "hunter2"),
        ("redis://:hunter2@localhost", "hunter2"),
        ("GET /v1?alt=sse&key=0123456789 HTTP/1.1", "0123456789"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
    ],
)
async def test_secrets_of_many_kinds_are_written_nowhere(cassette: Path, text: str, secret: str) -> None:
    request = asking(text, instructions=text, instance_text=text, tools=(ToolSpec("t", text, {"type": "object"}),))
    await record(cassette, (thinks(text), calls("log", line=text), text), requests=(request,))
    assert secret not in cassette.read_text()
    events = await events_of(replaying(cassette), request)
    assert "<secret>" in streamed(events)


async def test_what_a_field_calls_a_secret_is_written_nowhere(cassette: Path) -> None:
    await record(cassette, calls("login", user="ada", password="hunter2", db_api_key="abc"))
    assert lines(cassette)[0]["reply"]["content"][0]["arguments"] == {
        "user": "ada",
        "password": "<secret>",
        "db_api_key": "<secret>",
    }


@pytest.mark.parametrize(
    "text",
    ["Basic understanding: a key is what opens.", "the bearer certificates", "https://example.com/a:b@c", "token=x"],
)
async def test_ordinary_words_stay(cassette: Path, text: str) -> None:
    await record(cassette, text)
    assert streamed(await events_of(replaying(cassette), asking("hello"))) == text


async def test_the_working_directory_is_not_compared(cassette: Path) -> None:
    def at(place: str) -> ModelRequest:
        return asking("hello", instance_text=f"Date: today\nWorking directory: {place}\n\nIn it are:\nREADME.md")

    await record(cassette, "ok", requests=(at("/home/ada/app"),))
    assert streamed(await events_of(replaying(cassette), at("/builds/7/app"))) == "ok"


def test_a_request_keeps_its_key() -> None:
    """Another key would make every recording there is useless."""
    request = asking(
        "hello",
        assistant(ToolCall(id="c7", name="add", arguments={"a": 1})),
        result("c7", "3"),
        instance_text="Date: x",
    )
    assert key_of(asked(request, "haiku", str)) == "00d942628929e579"


async def test_a_secret_that_the_deltas_cut_in_two_is_found_too(cassette: Path) -> None:
    await record(cassette, "sk-0123456789abcdefghij and more")  # in deltas of 4
    written = lines(cassette)[0]
    assert written["deltas"] == [["text", "<secret> and more"]]
    assert "cdef" not in cassette.read_text()


async def test_scrub_takes_out_what_differs_from_run_to_run(cassette: Path, tmp_path: Path) -> None:
    def scrub(text: str) -> str:
        return text.replace("Ada", "<name>").replace("Bob", "<name>")

    model = RecordedModel(cassette, mode="record", model=ScriptedModel(["Hi Ada!"]), scrub=scrub)
    await events_of(model, asking("I am Ada"))
    assert "Ada" not in cassette.read_text()
    assert streamed(await events_of(replaying(cassette, scrub), asking("I am Bob"))) == "Hi <name>!"


async def test_a_failed_request_is_not_recorded_and_fails_as_it_would(cassette: Path) -> None:
    model = RecordedModel(cassette, mode="record", model=ScriptedModel([ModelError("Broken."), "ok"]))
    with pytest.raises(ModelError, match="Broken"):
        await events_of(model, asking("hello"))
    await events_of(model, asking("hello"))
    assert len(lines(cassette)) == 1


def test_the_environment_says_whether_to_record(cassette: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RecordedModel(cassette).mode == "replay"
    monkeypatch.setenv(RECORD, "1")
    assert RecordedModel(cassette, model=HAIKU).mode == "record"
    assert RecordedModel(cassette, mode="replay").mode == "replay"


def test_a_recording_needs_somebody_to_record(cassette: Path) -> None:
    with pytest.raises(ConfigError, match="give RecordedModel a model"):
        RecordedModel(cassette, mode="record")


def test_a_file_that_is_no_recording_is_refused(cassette: Path) -> None:
    cassette.parent.mkdir()
    cassette.write_text('{"key": 1}\n')
    with pytest.raises(ConfigError, match="not a recording"):
        replaying(cassette)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_an_agent_is_recorded_through_the_real_sdk_and_replayed_without_it(
    cassette: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = create_agent(model=HAIKU, instructions="Add.", tools=[add])
    said: list[str] = []
    async with messages_server() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-" + "canary" * 4)
        for mode in ("record", "replay"):
            model = RecordedModel(cassette, mode=mode, model=HAIKU)
            async with Machine({"adder": agent}, models=model) as machine:
                ref = machine.ref("adder", "u1")
                said.append((await ref.prompt('call add {"a": 1, "b": 2}')).text)
                said.append((await ref.prompt("And now?")).text)
                assert (await ref.history())[-1].message.api == "anthropic-messages"  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")  # nobody is there
    assert said[:2] == said[2:]
    assert len(lines(cassette)) == 3
    assert "canary" not in cassette.read_text()


async def test_as_a_definitions_own_model_it_is_the_model_it_records(
    cassette: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "only-for-this-test")
    async with messages_server() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        agent = create_agent(model=RecordedModel(cassette, mode="record", model=HAIKU), instructions="", tools=[add])
        async with Machine({"adder": agent}) as machine:
            await machine.ref("adder", "u1").prompt('think Hm.\ncall add {"a": 1, "b": 2}')
    assert [request.body["model"] for request in server.requests] == ["claude-haiku-4-5"] * 2
    assert [block["type"] for block in server.requests[1].body["messages"][1]["content"]] == ["thinking", "tool_use"]


@in_virtual_time
async def test_an_unknown_request_fails_a_test_that_awaits_nothing(cassette: Path) -> None:
    agent = create_agent(model=HAIKU, instructions="")

    async def scenario() -> None:
        async with Machine({"agent": agent}, models=replaying(cassette)) as machine:
            await machine.runtime.dispatch("agent", id="u1", input="hi")
            await asyncio.sleep(1)

    with pytest.raises(ModelError, match="Nothing is recorded"):
        await scenario()


async def test_a_line_is_readable(cassette: Path) -> None:
    await record(cassette, "Hello!", requests=(asking("hello", instructions="Be brief."),))
    assert lines(cassette) == [
        {
            "key": lines(cassette)[0]["key"],
            "api": "scripted",
            "request": {
                "model": "haiku",
                "instructions": "Be brief.",
                "thinking": "medium",
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
            },
            "deltas": [["text", "Hell"], ["text", "o!"]],
            "reply": {
                "content": [{"type": "text", "text": "Hello!"}],
                "stopReason": "stop",
                "usage": {
                    "input": 4,
                    "output": 2,
                    "cacheRead": 0,
                    "cacheWrite": 0,
                    "totalTokens": 6,
                    "cost": None,
                },
            },
        }
    ]
