import asyncio
import threading
from typing import Any

import msgspec
import pytest

from flue_actors import AgentConfig, AgentContext, Tool, ToolContext, create_agent, define_tool, memory_store, tool
from flue_actors.definition.settings import Settings
from flue_actors.errors import InternalError, ToolError, TurnLimitError
from flue_actors.events import Log, TurnEnd
from flue_actors.messages import AssistantMessage, ToolResultMessage, text_of
from flue_actors.runtime import Runtime
from tests.runtime.support import kinds, running, virtual_time, watch


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def agent_with(*tools: Tool, **fields: Any) -> Any:
    return create_agent(model="scripted/echo", instructions="Use tools.", tools=tools, **fields)


async def results(runtime: Runtime, message: str) -> list[ToolResultMessage]:
    ref = runtime.ref("agent", "u1")
    await ref.prompt(message)
    return [entry.message for entry in await ref.history() if isinstance(entry.message, ToolResultMessage)]


async def test_the_model_calls_a_tool_and_answers_with_its_result() -> None:
    async with running(agent_with(add)) as runtime:
        answer = await runtime.ref("agent", "u1").prompt('call add {"a": 1, "b": 2}')
    assert answer.text.startswith("echo: 3")


async def test_calls_of_one_reply_run_side_by_side_and_answer_in_their_order() -> None:
    both = asyncio.Barrier(2)

    @tool
    async def meet(name: str) -> str:
        """Wait for the other one."""
        await both.wait()
        return name

    async with running(agent_with(meet)) as runtime:
        seen = await watch(runtime.ref("agent", "u1"), 'call meet {"name": "a"}\ncall meet {"name": "b"}')
    (first, _) = [event for event in seen if isinstance(event, TurnEnd)]
    assert [text_of(each) for each in first.tool_results] == ["a", "b"]


async def test_arguments_are_converted_where_the_meaning_is_plain() -> None:
    async with running(agent_with(add)) as runtime:
        assert text_of((await results(runtime, 'call add {"a": "1", "b": 2}'))[0]) == "3"


async def test_arguments_that_do_not_fit_are_an_error_the_model_sees() -> None:
    async with running(agent_with(add)) as runtime:
        (found,) = await results(runtime, 'call add {"a": "one"}')
    assert found.is_error
    assert "add" in text_of(found)
    assert '"one"' in text_of(found)


async def test_an_unknown_tool_is_an_error_that_names_those_there_are() -> None:
    async with running(agent_with(add)) as runtime:
        (found,) = await results(runtime, "call fly")
    assert found.is_error
    assert "add" in text_of(found)


async def test_broken_json_is_an_error_the_model_sees() -> None:
    async with running(agent_with(add)) as runtime:
        (found,) = await results(runtime, 'call add {"a": ')
    assert found.is_error


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), RecursionError(), MemoryError()]
)
async def test_whatever_a_tool_raises_only_its_call_fails(error: BaseException) -> None:
    @tool
    async def bad() -> str:
        """Raise."""
        raise error

    async with running(agent_with(add, bad)) as runtime:
        found = await results(runtime, 'call bad\ncall add {"a": 1, "b": 2}')
    assert [each.is_error for each in found] == [True, False]


@pytest.mark.parametrize("value", [b"bytes", object(), float("nan"), (loop := [])])
async def test_an_answer_that_is_no_text_or_json_is_an_error(value: object) -> None:
    loop.append(loop)

    @tool
    async def odd() -> object:
        """Answer something odd."""
        return value

    async with running(agent_with(odd)) as runtime:
        (found,) = await results(runtime, "call odd")
    assert found.is_error


async def test_a_long_answer_is_cut_and_says_so() -> None:
    @tool
    async def flood() -> str:
        """Answer 10 MB."""
        return "é" * 5_000_000

    async with running(agent_with(flood)) as runtime:
        (found,) = await results(runtime, "call flood")
    assert len(text_of(found).encode()) < 51 * 1024
    assert "10000000 bytes" in text_of(found)


async def test_a_sync_tool_runs_off_the_loop() -> None:
    @tool
    def where() -> int:
        """Say which thread."""
        return threading.get_ident()

    async with running(agent_with(where)) as runtime:
        (found,) = await results(runtime, "call where")
    assert int(text_of(found)) != threading.get_ident()


@virtual_time
async def test_a_tool_that_takes_too_long_is_an_error_and_the_turn_goes_on() -> None:
    @tool(timeout=5)
    async def slow() -> str:
        """Take an hour."""
        await asyncio.sleep(3600)
        return "late"

    async with running(agent_with(slow)) as runtime:
        (found,) = await results(runtime, "call slow")
        assert asyncio.get_running_loop().time() < 60
    assert found.is_error
    assert "5 seconds" in text_of(found)


@virtual_time
async def test_a_tool_that_ignores_its_cancellation_is_left_behind() -> None:
    @tool(timeout=5)
    async def stubborn() -> str:
        """Never give up."""
        while True:
            try:
                await asyncio.sleep(3600)
                return "late"
            except asyncio.CancelledError:
                continue

    async with running(agent_with(stubborn)) as runtime:
        (found,) = await results(runtime, "call stubborn")
        assert asyncio.get_running_loop().time() < 60
    assert found.is_error


async def test_an_endless_tool_loop_stops_at_the_turn_limit() -> None:
    store = memory_store()
    async with running(agent_with(add, max_turns=7), store=store) as runtime:
        ref = runtime.ref("agent", "u1")
        with pytest.raises(TurnLimitError):
            await ref.prompt('loop add {"a": 1, "b": 2}')
        asked = [entry for entry in await ref.history() if isinstance(entry.message, AssistantMessage)]
        assert len(asked) == 7
        assert (await ref.prompt("hello")).text.startswith("echo: hello")


async def test_a_tool_knows_its_call_and_its_caller() -> None:
    seen: list[ToolContext] = []

    @tool
    async def look(context: ToolContext) -> str:
        """Look around."""
        seen.append(context)
        context.log.info("looked", far=True)
        return "ok"

    async with running(agent_with(look)) as runtime:
        events = await watch(runtime.ref("agent", "u1"), "call look")
    assert (seen[0].agent.id, seen[0].session, seen[0].tool) == ("u1", "default", "look")
    assert "log" in kinds(events)


async def test_tools_of_one_instance_close_over_its_id() -> None:
    @create_agent
    def agent(ctx: AgentContext) -> AgentConfig:
        @tool
        async def whose() -> str:
            """Say whose."""
            return ctx.id

        return AgentConfig(model="scripted/echo", tools=[whose])

    async with running(agent) as runtime:
        for id in ("u1", "u2"):
            assert (await runtime.ref("agent", id).prompt("call whose")).text.startswith(f"echo: {id}")


async def test_an_initializer_that_raises_fails_only_its_message() -> None:
    @create_agent
    def agent(ctx: AgentContext) -> AgentConfig:
        if ctx.id == "bad":
            raise ValueError("no such ticket")
        return AgentConfig(model="scripted/echo")

    async with running(agent) as runtime:
        with pytest.raises(InternalError) as failure:
            await runtime.ref("agent", "bad").prompt("hi")
        assert "ticket" not in failure.value.message
        assert await runtime.ref("agent", "good").prompt("hi")


async def test_a_tool_with_a_raw_schema_gets_its_arguments_as_one_dict() -> None:
    async def run(arguments: dict[str, Any]) -> Any:
        return arguments

    query = define_tool(
        name="query",
        description="Ask.",
        parameters={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        execute=run,
    )
    async with running(agent_with(query)) as runtime:
        found = await results(runtime, 'call query {"n": "3"}\ncall query {"n": "x"}')
    found.sort(key=lambda each: each.tool_call_id)
    assert text_of(found[0]) == '{"n":3}'
    assert found[1].is_error


@virtual_time
async def test_sessions_run_side_by_side_when_the_agent_says_so() -> None:
    agent = create_agent(model="scripted/echo?rate=1", instructions="", concurrency="session")
    async with running(agent) as runtime:
        ref = runtime.ref("agent", "u1")
        await ref.prompt("first")  # from here on the concurrency is known
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*[ref.session(name).prompt("hello") for name in "abcd"])
        alone = asyncio.get_running_loop().time() - started
        await asyncio.gather(*[ref.session("a").prompt("hello") for _ in range(4)])
        assert asyncio.get_running_loop().time() - started > 3 * alone


@virtual_time
async def test_an_input_beyond_its_time_budget_fails_and_the_next_one_runs() -> None:
    from flue_actors import Durability

    agent = create_agent(model="scripted/echo", instructions="", durability=Durability(timeout=10))
    async with running(agent, settings=Settings(stream_idle_timeout=1000)) as runtime:
        ref = runtime.ref("agent", "u1")
        from flue_actors.errors import DeadlineExceededError

        with pytest.raises(DeadlineExceededError):
            await ref.prompt("hang")
        assert (await ref.prompt("hello")).text.startswith("echo: hello")


async def test_a_tool_may_tell_the_model_what_went_wrong() -> None:
    @tool
    async def fail() -> str:
        """Fail."""
        raise ToolError("There is no order \ud800 12.")

    async with running(agent_with(fail)) as runtime:
        (result,) = await results(runtime, "call fail")
    assert result.is_error
    assert text_of_result(result) == "There is no order ? 12."


async def test_of_any_other_exception_only_its_kind_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    @tool
    async def fail() -> str:
        """Fail."""
        raise FileNotFoundError("/etc/secret/key")

    async with running(agent_with(fail)) as runtime:
        (result,) = await results(runtime, "call fail")
    assert text_of_result(result) == "The tool failed (FileNotFoundError)."
    assert "/etc/secret/key" in caplog.text


def text_of_result(result: ToolResultMessage) -> str:
    return "".join([block.text for block in result.content])


async def test_whatever_a_tool_logs_can_be_sent() -> None:
    @tool
    async def talk(ctx: ToolContext) -> str:
        """Log."""
        items = [1]
        ctx.log.info("\ud800", items=items, odd=object(), text="fine")
        ctx.log.info("again", bad="\ud800")
        items.append(2)
        return "talked"

    async with running(agent_with(talk)) as runtime:
        logs = [event for event in await watch(runtime.ref("agent", "u1"), "call talk {}") if isinstance(event, Log)]
    first, second = [msgspec.json.decode(msgspec.json.encode(event)) for event in logs]
    assert (first["message"], first["attributes"]["items"], first["attributes"]["text"]) == ("?", [1], "fine")
    assert "object" in first["attributes"]["odd"]
    assert second["attributes"] == {"bad": "'\\ud800'"}
