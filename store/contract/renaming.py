"""An agent's instances under a new name."""

from flue_actors.ids import AgentKey
from flue_actors.storage import Admit, Append, Rename
from flue_actors.store.contract.records import (
    KEY,
    OTHER,
    Make,
    append,
    claim,
    entry,
    held,
    keyed,
    opened,
    same,
    settle,
    submission,
)

NEW = "comedian"
RENAMED = AgentKey(NEW, KEY.id)


async def check_a_renamed_agent_keeps_everything_it_had(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, keyed("sub_1", "k"), claim(), append(1, 2, of="sub_1", attempt=1))
        await store.commit(fence, Rename(old=KEY.agent, new=NEW))
        same((await held(store)).key, RENAMED)
        same(await store.entries(KEY, "default"), [])
        same([each.key for each in await store.unsettled()], [RENAMED])
        same((await store.commit(fence, keyed("sub_2", "k", RENAMED))).known, "sub_1")
    async with opened(make) as (store, fence):
        more = Append(key=RENAMED, session="default", entries=(entry(3),), submission_id="sub_1", attempt=1)
        await store.commit(fence, more, settle())
        same(await store.last_seq(RENAMED, "default"), 3)


async def check_an_id_the_new_name_has_already_is_left_alone(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1), append(1, key=OTHER))
        await store.commit(fence, Admit(submission(key=RENAMED)))
        await store.commit(fence, Rename(old=KEY.agent, new=NEW))
        same(await store.last_seq(KEY, "default"), 1)
        same(await store.last_seq(RENAMED, "default"), 0)
        same(await store.last_seq(AgentKey(NEW, OTHER.id), "default"), 1)


async def check_nothing_happens_where_nobody_has_the_old_name(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1))
        await store.commit(fence, Rename(old="nobody", new=KEY.agent))
        same(await store.last_seq(KEY, "default"), 1)
