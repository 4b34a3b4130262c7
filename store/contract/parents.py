"""Sessions that belong to another one."""

from flue_actors.ids import AgentKey
from flue_actors.storage import Admit, Append, Erase, PutKv, Rename, SessionRecord, Store
from flue_actors.store.contract.records import (
    KEY,
    OTHER,
    Make,
    append,
    claim,
    entry,
    opened,
    refused,
    same,
    settle,
    submission,
)


def begin(name: str, parent: str | None, key: AgentKey = KEY, seq: int = 1) -> Append:
    """An entry of a session that belongs to another."""
    return Append(key=key, session=name, entries=(entry(seq),), parent=parent)


async def family(store: Store, key: AgentKey = KEY) -> list[tuple[str, str | None]]:
    """The instance's sessions and their parents."""
    return [(found.name, found.parent) for found in await store.sessions(key)]


async def check_a_session_tells_its_parent(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1), begin("t1", "default"))
        await store.commit(fence, begin("t2", "t1"), begin("s2", None))
    async with opened(make) as (store, fence):
        same(await family(store), [("default", None), ("t1", "default"), ("t2", "t1"), ("s2", None)])
        same((await store.sessions(KEY))[1], SessionRecord(name="t1", created_at=2_001, last_seq=1, parent="default"))


async def check_a_parent_is_there_before_what_belongs_to_it(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1, key=OTHER))
        await refused(store, fence, begin("t1", "default"))  # another instance's
        await refused(store, fence, begin("t1", "t1"))
        await refused(store, fence, PutKv(key=KEY, kind="state", name="n", body=b"1"), begin("t1", "default"))
        same(await family(store), [])
        same(await store.kv(KEY, "state"), {})
        await store.commit(fence, Admit(submission()), begin("t1", "default"))
        same(await family(store), [("default", None), ("t1", "default")])


async def check_a_session_keeps_the_parent_it_has(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1), begin("t1", "default"), begin("s2", None))
        for other in ("s2", None, "nobody"):
            seq = await store.last_seq(KEY, "t1") + 1
            await store.commit(fence, begin("t1", other, seq=seq), begin("s2", "default", seq=seq))
        same(await family(store), [("default", None), ("t1", "default"), ("s2", None)])


async def check_an_append_without_entries_makes_no_session(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1), Append(key=KEY, session="t1", entries=(), parent="default"))
        same(await family(store), [("default", None)])


async def check_what_a_task_writes_is_guarded_by_the_attempt_of_its_parents_submission(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), append(1, of="sub_1", attempt=1))
        rows = (entry(1, submission_id="sub_1"),)
        task = Append(key=KEY, session="t1", entries=rows, submission_id="sub_1", attempt=1, parent="default")
        await store.commit(fence, task)
        await store.commit(fence, claim(attempt=2))
        late = Append(key=KEY, session="t1", entries=(entry(2),), submission_id="sub_1", attempt=1, parent="default")
        await refused(store, fence, late)
        same(await store.entries(KEY, "t1"), list(rows))


async def check_a_session_is_erased_with_all_that_belongs_to_it(make: Make) -> None:
    async with opened(make) as (store, fence):
        for key in (KEY, OTHER):
            await store.commit(fence, append(1, key=key), begin("t1", "default", key), begin("t2", "t1", key))
            await store.commit(fence, begin("t3", "t2", key), begin("t4", "default", key), begin("s2", None, key))
            await store.commit(fence, begin("t5", "s2", key), PutKv(key=key, kind="frozen", name="t3", body=b"f"))
        await store.commit(fence, Admit(submission(session="t3")), claim())
        await store.commit(fence, Erase(key=KEY, session="default"))
        same(await family(store), [("s2", None), ("t5", "s2")])
        same([await store.last_seq(KEY, name) for name in ("default", "t1", "t2", "t3", "t4")], [0] * 5)
        same(await store.submission("sub_1"), None)
        same(await store.kv(KEY, "frozen"), {})
        await refused(store, fence, settle())
        same(len(await family(store, OTHER)), 7)
        same(await store.kv(OTHER, "frozen"), {"t3": b"f"})


async def check_a_task_is_erased_without_what_it_belongs_to(make: Make) -> None:
    async with opened(make) as (store, fence):
        rows = (entry(1, submission_id="sub_1"),)
        await store.commit(fence, Admit(submission()), claim(), append(1, of="sub_1", attempt=1))
        task = Append(key=KEY, session="t1", entries=rows, submission_id="sub_1", attempt=1, parent="default")
        await store.commit(fence, task, begin("t2", "t1"), settle())
        await store.commit(fence, Erase(key=KEY, session="t1"))
        same(await family(store), [("default", None)])
        found = await store.submission("sub_1")
        same(found is not None and found.outcome, "completed")
        await store.commit(fence, Erase(key=KEY, session="default"))
        same(await store.submission("sub_1"), None)
        same(await family(store), [])


async def check_a_refused_erasure_leaves_the_family(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1), begin("t1", "default"), begin("t2", "t1"))
        before = await family(store)
        await refused(store, fence, Erase(key=KEY, session="default"), claim("nobody"))
        same(await family(store), before)
        same(await store.last_seq(KEY, "t2"), 1)


async def check_a_session_that_begins_anew_has_nothing_that_belonged_to_the_old_one(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1), begin("t1", "default"))
        await store.commit(fence, Erase(key=KEY, session="default"))
        await store.commit(fence, append(1), begin("t1", None))
        same(await family(store), [("default", None), ("t1", None)])
        await store.commit(fence, Erase(key=KEY, session="default"))
        same(await family(store), [("t1", None)])


async def check_a_whole_instance_is_erased_with_its_families(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1), begin("t1", "default"), begin("t2", "t1"), begin("s2", None))
        await store.commit(fence, Erase(key=KEY))
        same(await family(store), [])
        same(await store.last_seq(KEY, "t2"), 0)


async def check_a_renamed_agent_keeps_its_families(make: Make) -> None:
    async with opened(make) as (store, fence):
        new = AgentKey("comedian", KEY.id)
        await store.commit(fence, append(1), begin("t1", "default"))
        await store.commit(fence, Rename(old=KEY.agent, new=new.agent))
        same(await family(store, new), [("default", None), ("t1", "default")])
        await store.commit(fence, begin("t2", "t1", new))
        await store.commit(fence, Erase(key=new, session="default"))
        same(await family(store, new), [])
