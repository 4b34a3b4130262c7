"""What is erased, what is pruned, and what may be erased because it is idle."""

from collections.abc import Sequence

from flue_actors.ids import AgentKey
from flue_actors.storage import Admit, Append, Committed, Entry, Erase, Op, Prune, PutKv, Settle, Store
from flue_actors.store.contract.records import (
    KEY,
    NOBODY,
    OTHER,
    Make,
    append,
    claim,
    entry,
    held,
    journal,
    keyed,
    opened,
    refused,
    same,
    settle,
    submission,
)

NAMES = ("settled", "silent", "dropped", "running", "queued")


def everything(of: str, key: AgentKey, session: str) -> Sequence[Op]:
    """One of everything: inputs settled with and without an entry, dropped from the queue, running, queued; values."""
    rows = (entry(1, submission_id=f"{of}_settled"), entry(2))
    dropped = Settle(submission_id=f"{of}_dropped", attempt=0, outcome="aborted", at=4_000)
    return (
        *(Admit(submission(f"{of}_{name}", key, session)) for name in NAMES),
        claim(f"{of}_settled"),
        claim(f"{of}_running"),
        claim(f"{of}_silent"),
        settle(f"{of}_silent"),
        Append(key=key, session=session, entries=rows, submission_id=f"{of}_settled", attempt=1),
        settle(f"{of}_settled"),
        dropped,
        journal(f"{of}_running"),
        PutKv(key=key, kind="frozen", name=session, body=b"f"),
        PutKv(key=key, kind="state", name=session, body=b"s"),
    )


async def seen(store: Store, of: str, key: AgentKey, session: str) -> list[object]:
    """All that `everything` stores."""
    names = [f"{of}_{name}" for name in NAMES]
    return [
        [await store.submission(name) for name in names],
        [waiting for waiting in await store.unsettled() if waiting.id in names],
        [found for found in await store.sessions(key) if found.name == session],
        await store.entries(key, session),
        await store.last_seq(key, session),
        await store.journal(f"{of}_running"),
        (await store.kv(key, "frozen")).get(session),
    ]


GONE = [[None] * len(NAMES), [], [], [], 0, [], None]


async def check_an_erased_session_leaves_nothing_and_its_neighbours_alone(make: Make) -> None:
    async with opened(make) as (store, fence):
        for of, key, session in (("a", KEY, "s1"), ("b", KEY, "s2"), ("c", OTHER, "s1")):
            await store.commit(fence, *everything(of, key, session))
        others = [await seen(store, "b", KEY, "s2"), await seen(store, "c", OTHER, "s1")]
        await store.commit(fence, Erase(key=KEY, session="s1"))
        same(await seen(store, "a", KEY, "s1"), GONE)
        same([await seen(store, "b", KEY, "s2"), await seen(store, "c", OTHER, "s1")], others)
        same(await store.kv(KEY, "state"), {"s1": b"s", "s2": b"s"})
    async with opened(make) as (store, _):
        same(await seen(store, "a", KEY, "s1"), GONE)
        same([await seen(store, "b", KEY, "s2"), await seen(store, "c", OTHER, "s1")], others)


async def check_an_erased_instance_leaves_nothing_and_its_neighbours_alone(make: Make) -> None:
    async with opened(make) as (store, fence):
        for of, key, session in (("a", KEY, "s1"), ("b", KEY, "s2"), ("c", OTHER, "s1")):
            await store.commit(fence, *everything(of, key, session))
        other = await seen(store, "c", OTHER, "s1")
        await store.commit(fence, Erase(key=KEY))
        same([await seen(store, "a", KEY, "s1"), await seen(store, "b", KEY, "s2")], [GONE, GONE])
        same(await seen(store, "c", OTHER, "s1"), other)
        same(await store.kv(KEY, "state"), {})
        same(await store.sessions(KEY), [])
        same(await store.idle(before=9_000, after=OTHER, limit=9), NOBODY)
        same((await store.idle(before=0, after=None, limit=1))[1], OTHER)


async def check_nothing_happens_where_there_is_nothing_to_erase(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, append(1))
        same(await store.commit(fence, Erase(key=OTHER), Erase(key=KEY, session="another")), Committed())
        same(await store.last_seq(KEY, "default"), 1)
        await store.commit(fence, Erase(key=KEY))
        same(await store.commit(fence, Erase(key=KEY)), Committed())


async def check_work_on_something_erased_is_refused(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()), claim(), append(1, of="sub_1", attempt=1), journal())
        await store.commit(fence, Erase(key=KEY))
        for late in (append(2, of="sub_1", attempt=1), append(of="sub_1", attempt=1), journal(), settle()):
            await refused(store, fence, late)
        same(await store.sessions(KEY), [])


async def check_what_was_erased_begins_anew(make: Make) -> None:
    async with opened(make) as (store, fence):
        for key in (KEY, OTHER):
            await store.commit(fence, append(1, 2, key=key))
        await store.commit(fence, keyed("sub_1", "k"), append(3))
        await store.commit(fence, Erase(key=KEY))
        await refused(store, fence, append(4))
        same((await store.commit(fence, keyed("sub_1", "k"), append(1))).known, None)
        same([await store.last_seq(key, "default") for key in (KEY, OTHER)], [1, 2])


async def check_ids_of_what_was_erased_are_free(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, *everything("a", KEY, "s1"))
        before = [(waiting.id, waiting.status) for waiting in await store.unsettled()]
        for erase in (Erase(key=KEY, session="s1"), Erase(key=KEY)):
            await store.commit(fence, erase)
            await store.commit(fence, *everything("a", KEY, "s1"))
            same([(waiting.id, waiting.status) for waiting in await store.unsettled()], before)


async def check_a_refused_erasure_leaves_everything(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, *everything("a", KEY, "s1"))
        await store.commit(fence, *everything("b", KEY, "s2"))
        before = [await seen(store, "a", KEY, "s1"), await store.sessions(KEY), await store.unsettled()]
        prune = Prune(settled_before=10_000, limit=9)
        await refused(store, fence, Erase(key=KEY, session="s1"), prune, Erase(key=KEY), claim("nobody"))
        same([await seen(store, "a", KEY, "s1"), await store.sessions(KEY), await store.unsettled()], before)
        await store.commit(fence, Append(key=KEY, session="s1", entries=(entry(3),)))


async def check_pruning_forgets_old_outcomes_and_keeps_entries(make: Make) -> None:
    async with opened(make) as (store, fence):
        for n in range(1, 6):
            await store.commit(fence, keyed(f"sub_{n}", f"k{n}"), claim(f"sub_{n}"))
            await store.commit(fence, append(n, of=f"sub_{n}", attempt=1))
        for n in (4, 1, 2):
            ended = Settle(submission_id=f"sub_{n}", attempt=1, outcome="completed", at=n)
            await store.commit(fence, ended)
        same(await store.commit(fence, Prune(settled_before=4, limit=9)), Committed(removed=2))
        found = [await store.submission(f"sub_{n}") for n in range(1, 6)]
        same([None if kept is None else kept.status for kept in found], [None, None, "running", "settled", "running"])
        same(await store.last_seq(KEY, "default"), 5)
        same(await store.commit(fence, Prune(settled_before=4, limit=9)), Committed())
        same((await store.commit(fence, keyed("sub_1", "k1"))).known, None)


async def check_pruning_takes_the_oldest_first_and_is_bounded(make: Make) -> None:
    async with opened(make) as (store, fence):
        for n in range(1, 31):
            await store.commit(fence, Admit(submission(f"sub_{n}")))
        for n in (2, 3, 4, 25):
            ended = Settle(submission_id=f"sub_{n}", attempt=0, outcome="aborted", at=1)
            await store.commit(fence, ended)
        same((await store.commit(fence, Prune(settled_before=9, limit=0))).removed, 0)
        same((await store.commit(fence, Prune(settled_before=9, limit=2))).removed, 2)
        same([await store.submission("sub_2"), await store.submission("sub_3")], [None, None])
        same((await held(store, "sub_4")).status, "settled")
        same((await store.commit(fence, Prune(settled_before=9, limit=2), Prune(settled_before=9, limit=2))).removed, 1)
        same((await held(store, "sub_25")).status, "settled")  # the 23rd row: behind ten times two
        admitted = await store.commit(fence, Prune(settled_before=9, limit=3), Admit(submission("sub_31")))
        same(admitted, Committed(31, 0, removed=1))


async def check_idle_instances_are_found_a_few_at_a_time(make: Make) -> None:
    async with opened(make) as (store, fence):
        keys = [AgentKey(agent, name) for agent in ("a", "b") for name in ("1", "2", "z", "é")]
        for n, key in enumerate(reversed(keys)):
            rows = (Entry(seq=1, kind="message", at=1_000 + n, body=b"{}"),)
            await store.commit(fence, Append(key=key, session="s", entries=rows))
        found: list[AgentKey] = []
        after = None
        for turns in range(1, 9):
            some, after = await store.idle(before=9_000, after=after, limit=3)
            found += some
            if after is None:
                break
            same(after, keys[turns * 3 - 1])
        same(found, keys)
        same(await store.idle(before=1_002, after=None, limit=9), (keys[-2:], None))
        same(await store.idle(before=9_000, after=AgentKey("a", "x"), limit=2), (keys[2:4], keys[3]))


async def check_an_instance_with_work_or_a_young_session_is_not_idle(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, Admit(submission()))  # its session is made at 1,000
        same(await store.idle(before=9_000, after=None, limit=9), NOBODY)
        await store.commit(fence, claim(), settle())
        same(await store.idle(before=1_000, after=None, limit=9), NOBODY)
        same(await store.idle(before=1_001, after=None, limit=9), ([KEY], None))
        await store.commit(fence, append(1))  # at 2,001
        same(await store.idle(before=2_001, after=None, limit=9), NOBODY)
        same(await store.idle(before=2_002, after=None, limit=9), ([KEY], None))
