"""An agent that got a new name keeps its conversations and its unsettled inputs."""

from flue_actors import Runtime, create_agent, memory_store
from flue_actors.storage import Store
from tests.runtime.support import virtual_time


async def talk(store: Store, name: str, message: str, *aliases: str, to: str | None = None) -> str:
    agent = create_agent(model="scripted/echo", name=name, aliases=aliases)
    async with Runtime({"file": agent}, store=store) as runtime:
        return (await runtime.ref(to or name, "u1").prompt(message)).text


@virtual_time
async def test_a_conversation_goes_on_under_the_new_name() -> None:
    store = memory_store()
    await talk(store, "old", "one")
    assert await talk(store, "new", "two", "old") == "echo: two (3 messages)"


@virtual_time
async def test_the_old_name_still_reaches_it() -> None:
    store = memory_store()
    await talk(store, "old", "one")
    assert await talk(store, "new", "two", "old", to="old") == "echo: two (3 messages)"


@virtual_time
async def test_what_was_accepted_under_the_old_name_is_worked_on() -> None:
    store = memory_store()
    runtime = Runtime({"old": create_agent(model="scripted/echo")}, store=store)
    await runtime.start()
    submitted = await runtime.ref("old", "u1").submit("wait 5\nhello")
    await runtime.stop(timeout=0)
    async with Runtime(
        {"file": create_agent(model="scripted/echo", name="new", aliases=["old"])}, store=store
    ) as again:
        assert again.parked == ()
        assert (await again.ref("new", "u1").wait(submitted.submission_id)).text.startswith("echo:")
