"""A store that cannot be written for a while, from outside: what is kept is said so, what is not is refused, reads go on."""

import asyncio

from flue_actors.errors import StoreUnavailableError
from flue_actors.memory import MemoryStore
from flue_actors.storage import Committed, Fence, Op
from tests.gateway.house import eventually, serving_house
from tests.helpers.http import connected, exchange, prompt, request

HERE = "/agents/echo/me"


class Disk(MemoryStore):
    """Takes nothing while ``full``."""

    full = False

    def commit(self, fence: Fence, *ops: Op) -> "asyncio.Future[Committed]":
        if not self.full:
            return super().commit(fence, *ops)
        refused: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        refused.set_exception(StoreUnavailableError())
        return refused


async def test_who_waits_is_told_that_the_message_is_kept_and_finds_its_outcome_later() -> None:
    store = Disk()
    async with serving_house(store=store) as house, connected(house.address) as waiting:
        await waiting.send(prompt(HERE, "wait 0.2"))
        await eventually(lambda: house.runtime.snapshot().actors.running)
        store.full = True
        kept = await waiting.reply()
        refused = await exchange(house.address, prompt(HERE))
        status = await exchange(house.address, request("GET", HERE + "/status"))
        store.full = False
        meta = kept.json["error"]["meta"]
        found = await exchange(house.address, request("GET", f"{HERE}/submissions/{meta['submissionId']}?wait=10"))
        history = await exchange(house.address, request("GET", HERE + "/sessions/default"))
    for reply in (kept, refused):
        assert (reply.status, reply.error, reply.headers["retry-after"]) == (503, "store_unavailable", "1")
    assert set(meta) == {"submissionId", "offset"}
    assert "meta" not in refused.json["error"]
    assert (status.status, status.json["state"]) == (200, "running")
    assert found.json["outcome"] == "completed"
    assert [entry["message"]["role"] for entry in history.json["entries"]] == ["user", "assistant"]
