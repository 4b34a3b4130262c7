"""Every way a provider can fail, through the real SDK and the whole runtime: what the sender gets, and that it goes on.

`tests.models.test_anthropic_client` says how each fault is classed; here is what becomes of the message. Endless tool
loops, broken arguments and unknown tools of the scripted models: `tests.runtime.test_tools`.
"""

import asyncio
import functools
import importlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flue_actors import Runtime, create_agent, sqlite, tool
from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.settings import Settings as RuntimeSettings
from flue_actors.errors import AbortedError
from flue_actors.events import ErrorEvent, Event
from flue_actors.messages import AssistantMessage, text_of
from flue_actors.testing.virtual_time import run_virtual
from tests.faults.house import CANARY
from tests.faults.picture import picture_of
from tests.faults.validity import history_problems
from tests.messages_api import PROVIDER_TEXT, Fault, MessagesServer, Settings, messages_server

Test = Callable[..., Coroutine[Any, Any, None]]


def virtual_time(test: Test) -> Callable[..., None]:
    """Run it on a loop whose clock jumps whenever the sockets have been quiet for 30 ms: retries wait for nothing."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtual(lambda: test(*args, **kwargs), patience=0.03)

    return run


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """Its import takes a second in a thread, for which virtual time would not wait."""
    importlib.import_module("anthropic")


WORDS = "eight words that are said once and never again"


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


BAKER = create_agent(model="anthropic/claude-haiku-4-5", instructions="Bake.", tools=[add], max_turns=20)


@asynccontextmanager
async def baking(server: MessagesServer, path: Path, agent: CreatedAgent = BAKER) -> AsyncGenerator[Runtime]:
    runtime = Runtime({"baker": agent}, store=sqlite(path), settings=RuntimeSettings(stream_idle_timeout=20))
    runtime.configure_provider("anthropic", base_url=server.url, api_key=CANARY)
    async with runtime:
        yield runtime


async def told(runtime: Runtime, message: str) -> tuple[str, list[Event]]:
    """``answered`` or the error's type, and every event."""
    events = [event async for event in runtime.ref("baker", "u1").stream(message)]
    last = events[-1]
    return last.error.type if isinstance(last, ErrorEvent) else "answered", events


def replies_with(words: str, messages: list[AssistantMessage]) -> int:
    return sum(words in text_of(each) for each in messages)


PASSING = {
    "429 once": [Fault("status", status=429)],
    "429 with a time to come back": [Fault("status", status=429, retry_after=3)],
    "500 once": [Fault("status", status=500)],
    "529 twice": [Fault("status", status=529), Fault("status", status=529)],
    "half a stream": [Fault("half")],
    "ends as if whole": [Fault("short")],
    "reset": [Fault("reset")],
    "overloaded in the middle": [Fault("overloaded")],
    "malformed event": [Fault("malformed")],
    "a slow first byte": [Fault("slow", seconds=90)],
    "silence in the middle": [Fault("silence")],
    "one after the other": [Fault("half"), Fault("status", status=529), Fault("reset")],
}
LASTING = {
    "429": ([Fault("status", status=429)] * 4, "model_overloaded"),
    "500": ([Fault("status", status=500)] * 4, "model_error"),
    "529": ([Fault("status", status=529)] * 4, "model_overloaded"),
    "half a stream": ([Fault("half")] * 4, "model_error"),
    "reset": ([Fault("reset")] * 4, "model_error"),
    "malformed": ([Fault("malformed")] * 4, "model_error"),
    "silence": ([Fault("silence")] * 4, "model_error"),
    "400": ([Fault("status", status=400)], "model_rejected"),
    "401": ([Fault("status", status=401)], "model_error"),
    "403": ([Fault("status", status=403)], "model_error"),
    "404": ([Fault("status", status=404)], "model_error"),
    "413": ([Fault("status", status=413)], "context_overflow"),
}


async def sound(file: Path, events: list[Event]) -> list[str]:
    """What is wrong with the history, or with what was shown."""
    seen = await picture_of(file, file.parent / "copy")
    (entries,) = seen.sessions.values()
    found = list(history_problems(entries, seen.unsettled()))
    stored = b"".join(entry.body for entry in entries) + b"".join(row.error or b"" for row in seen.submissions)
    for secret in (PROVIDER_TEXT, CANARY):
        found += [f"{secret} is stored"] * (secret.encode() in stored)
        found += [f"{secret} was shown"] * (secret in repr(events))
    return found


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING.keys())
@virtual_time
async def test_what_passes_is_retried_and_the_text_is_kept_once(faults: list[Fault], tmp_path: Path) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        server.fail(*faults)
        assert (await told(runtime, WORDS))[0] == "answered"
        outcome, events = await told(runtime, "and now?")
        history = [entry.message for entry in await runtime.ref("baker", "u1").history()]
        assert outcome == "answered"
        assert server.count == len(faults) + 2
    assert replies_with(WORDS, [each for each in history if isinstance(each, AssistantMessage)]) == 1
    assert await sound(tmp_path / "x.db", events) == []


@pytest.mark.parametrize(("faults", "error"), LASTING.values(), ids=LASTING.keys())
@virtual_time
async def test_what_lasts_is_a_named_failure_after_a_bounded_number_of_calls_and_the_session_goes_on(
    faults: list[Fault], error: str, tmp_path: Path
) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        server.fail(*faults)
        outcome, events = await told(runtime, WORDS)
        assert outcome == error
        assert server.count == len(faults)
        assert (await told(runtime, "and now?"))[0] == "answered"
    assert await sound(tmp_path / "x.db", events) == []


ODD = {
    "arguments that are no JSON": ('call add {"a": 1,', "answered"),
    "an unknown tool": ("call subtract {}", "answered"),
    "an empty reply": ("empty", "answered"),
    "a reply cut at the limit": ("length", "answered"),
    "a refusal": ("refuse", "model_refused"),
    "an endless tool loop": ('loop add {"a": 1, "b": 2}', "turn_limit"),
}


@pytest.mark.parametrize(("message", "expected"), ODD.values(), ids=ODD.keys())
@virtual_time
async def test_odd_replies_have_a_named_end_and_the_session_goes_on(
    message: str, expected: str, tmp_path: Path
) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        outcome, events = await told(runtime, message)
        assert outcome == expected
        assert server.count <= 20
        assert (await told(runtime, "and now?"))[0] == "answered"
    assert await sound(tmp_path / "x.db", events) == []


async def test_a_model_that_is_waited_for_can_be_aborted_and_its_connection_is_closed(tmp_path: Path) -> None:
    async with messages_server() as server, baking(server, tmp_path / "x.db") as runtime:
        server.fail(Fault("slow", seconds=3_600), Fault("silence"))
        for message in ("no first byte", "no second word"):
            abandoned = server.abandoned
            submitted = await runtime.ref("baker", "u1").submit(message)
            async with asyncio.timeout(10):
                while server.streaming == 0:
                    await asyncio.sleep(0.01)
                await runtime.ref("baker", "u1").abort()
                with pytest.raises(AbortedError):
                    await submitted.result()
                while server.abandoned == abandoned:
                    await asyncio.sleep(0.01)
        outcome, events = await told(runtime, "and now?")
        assert outcome == "answered"
    assert await sound(tmp_path / "x.db", events) == []


async def test_a_reply_of_3_mb_is_taken_and_the_session_goes_on(tmp_path: Path) -> None:
    settings = Settings(text="x" * 3_000_000, size=3_000)
    reader = create_agent(model="anthropic/claude-sonnet-4-6", instructions="Bake.")  # which reads a million tokens
    async with messages_server(settings) as server, baking(server, tmp_path / "x.db", agent=reader) as runtime:
        for message in ("hello", "and now?"):
            outcome, events = await told(runtime, message)
            assert outcome == "answered"
    assert await sound(tmp_path / "x.db", events) == []
