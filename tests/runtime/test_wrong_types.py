"""A program that sends something else than what the types say: it is told so, and nothing is accepted that could not be read again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flue_actors import File, Image, Limits, Principal, Runtime, create_agent, memory_store, tool
from flue_actors.errors import ApprovalNotFoundError, ConfigError, FlueError, InvalidRequestError
from flue_actors.ids import AgentKey
from flue_actors.storage import Admit, Submission
from tests.runtime.machine import machine
from tests.runtime.models import call, once, until_asked
from tests.runtime.support import virtual_time


@tool(approval=True)
async def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


Sends = Callable[[Any], Awaitable[Any]]

WRONG: dict[str, Sends] = {
    "a message that is a number": lambda ref: ref.prompt(3),
    "a message that is bytes": lambda ref: ref.prompt(b"hi"),
    "an if_busy that is none": lambda ref: ref.prompt("hi", if_busy="rejct"),
    "a dispatch's if_busy that is none": lambda ref: ref.dispatch("hi", if_busy=True),
    "a principal's name": lambda ref: ref.prompt("hi", principal="ada"),
    "limits that are a mapping": lambda ref: ref.prompt("hi", limits={"turns": 1}),
    "a limit of nothing": lambda ref: ref.prompt("hi", limits=Limits(turns=0)),
    "a function that is no tool": lambda ref: ref.prompt("hi", tools=[len]),
    "a tool that is no list": lambda ref: ref.prompt("hi", tools=pay),
    "a picture's bytes": lambda ref: ref.prompt("hi", images=[b"\x89PNG"]),
    "a path of a file": lambda ref: ref.prompt("hi", files="report.pdf"),
    "a skill's arguments in a list": lambda ref: ref.skill("review", args=[1]),
    "a skill without a name": lambda ref: ref.skill(None),
    "a task's folder that is a number": lambda ref: ref.task("look", cwd=1),
    "a command in parts": lambda ref: ref.shell(["ls", "-l"]),
    "a command's time in words": lambda ref: ref.shell("ls", timeout="soon"),
    "words for a summary in a list": lambda ref: ref.compact(["numbers"]),
    "a session that is a number": lambda ref: ref.session(7).prompt("hi"),
}


@pytest.mark.parametrize("what", WRONG)
@virtual_time
async def test_it_is_refused_and_nothing_is_kept_of(what: str) -> None:
    async with machine(create_agent(model="scripted/echo")) as one:
        ref = (await one.start()).ref("agent", "u1")
        with pytest.raises((ConfigError, InvalidRequestError)) as refused:
            await asyncio.wait_for(WRONG[what](ref), 60)
        assert refused.value.message
        assert await ref.history() == []
        assert (await ref.prompt("hi")).text == "echo: hi (1 messages)"


@virtual_time
async def test_an_id_that_is_a_number_is_refused_by_name() -> None:
    async with machine(create_agent(model="scripted/echo")) as one:
        id: Any = 42
        with pytest.raises(InvalidRequestError) as refused:
            await (await one.start()).ref("agent", id).prompt("hi")
        assert (refused.value.message, refused.value.details) == ("The id is int, not text.", "Write str(id).")


@pytest.mark.parametrize("verdict", ["approve", "deny", True, None])
@virtual_time
async def test_a_decision_is_one_of_two_words(verdict: Any) -> None:
    async with machine(create_agent(model=once(call("pay", amount=5)), tools=[pay])) as one:
        ref = (await one.start()).ref("agent", "u1")
        pending = await ref.submit("go")
        await until_asked(ref)
        with pytest.raises(InvalidRequestError) as refused:
            await ref.decide("c1", verdict)
        assert refused.value.details == 'It is "approved" or "denied".'
        someone: Any = "ada"
        with pytest.raises(ConfigError):
            await ref.decide("c1", "approved", principal=someone)
        reason: Any = 3
        with pytest.raises(InvalidRequestError):
            await ref.decide("c1", "denied", reason=reason)
        await ref.decide("c1", "denied")
        assert (await pending.result()).text == "Not run: it was not approved."
        with pytest.raises(ApprovalNotFoundError):
            await ref.decide("c1", "denied")


def test_a_principal_is_text_for_what_is_stored_has_to_be_readable_at_the_next_start() -> None:
    number: Any = 42
    wrong: list[Callable[[], Any]] = [
        lambda: Principal(number),
        lambda: Principal("ada", tenant=number),
        lambda: Principal("ada", claims=number),
    ]
    for make in wrong:
        with pytest.raises(ConfigError):
            make()
    assert Principal(str(number)).subject == "42"


def test_the_data_of_an_attachment_are_bytes() -> None:
    text: Any = "month,sum"
    name: Any = None
    wrong: list[Callable[[], Any]] = [
        lambda: File(text, "text/csv", name="a.csv"),
        lambda: File(b"a", "text/csv", name=name),
        lambda: Image(text, "image/png"),
    ]
    for make in wrong:
        with pytest.raises(FlueError):
            make()


@virtual_time
async def test_what_cannot_be_read_any_more_keeps_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    store, key = memory_store(), AgentKey("agent", "u1")
    written = Submission(id="sub_1", key=key, session="default", kind="direct", payload=b'{"kind":"?"}', accepted_at=1)
    await store.commit(await store.open(), Admit(written))
    await store.close()
    async with Runtime({"agent": create_agent(model="scripted/echo")}, store=store) as runtime:
        answer = await asyncio.wait_for(runtime.ref("agent", "u1").prompt("hi"), 60)
        assert answer.text == "echo: hi (1 messages)"


@pytest.mark.parametrize("agents", [[create_agent(model="scripted/echo")], {"a": "scripted/echo"}, {1: create_agent()}])
def test_a_runtime_takes_agents_by_name(agents: Any) -> None:
    with pytest.raises(ConfigError):
        Runtime(agents=agents)
