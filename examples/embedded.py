"""A program with agents inside and no server: python embedded.py"""

import asyncio

from flue_actors import Runtime, create_agent, sqlite
from flue_actors.events import TextDelta

agent = create_agent(model="scripted/echo", instructions="Repeat what was said.")


async def main() -> None:
    async with Runtime(agents={"parrot": agent}, store=sqlite("data/embedded.db")) as runtime:
        parrot = runtime.ref("parrot", "polly")
        answer = await parrot.prompt("Hello!")
        print(answer.text)
        async for event in parrot.stream("And again, as it comes."):
            if isinstance(event, TextDelta):
                print(event.text, end="", flush=True)
        print()
        print(len(await parrot.history()), "messages so far; run me again")


if __name__ == "__main__":
    asyncio.run(main())
