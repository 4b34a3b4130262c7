"""Feeds: what a slow reader loses, and who does not."""

import asyncio

from flue_actors.events import AgentStart, Event, Idle, TextDelta
from flue_actors.ids import AgentKey
from flue_actors.observing import Feed, Feeds
from flue_actors.places import Position


def delta(submission: str, number: int) -> Event:
    return TextDelta(text=str(number), submission_id=submission)


def test_a_reader_takes_only_its_own_submissions_events_in_order() -> None:
    feed = Feed()
    reader = feed.subscribe("a")
    for number in range(3):
        feed.append("a", delta("a", number))
        feed.append("b", delta("b", number))
    assert reader.take() == [delta("a", number) for number in range(3)]
    assert reader.take() == []


def test_a_reader_sees_nothing_from_before_it_subscribed() -> None:
    feed = Feed()
    feed.append("a", delta("a", 1))
    reader = feed.subscribe("a")
    feed.append("a", delta("a", 2))
    assert reader.take() == [delta("a", 2)]


async def test_a_reader_that_falls_a_ring_behind_is_told() -> None:
    feed = Feed(capacity=4)
    reader = feed.subscribe("a")
    for number in range(5):
        feed.append("a", delta("a", number))
    assert reader.lagged


async def test_a_reader_that_waits_behind_others_events_has_lost_nothing() -> None:
    feed = Feed(capacity=4)
    reader = feed.subscribe("b")
    for number in range(50):
        feed.append("a", delta("a", number))
    feed.append("b", AgentStart(submission_id="b"))
    assert not reader.lagged
    assert reader.take() == [AgentStart(submission_id="b")]


async def test_many_events_are_one_wake_up() -> None:
    feed = Feed()
    reader = feed.subscribe("a")
    taken: list[int] = []
    reader.on_ready(lambda: taken.append(len(reader.take())))
    for number in range(10):
        feed.append("a", delta("a", number))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert taken == [10]


async def test_batches_end_with_the_submissions_last_event() -> None:
    feed = Feed()
    with feed.subscribe("a") as reader:
        feed.append("a", delta("a", 1))
        feed.append("a", Idle(submission_id="a"))
        feed.append("a", delta("a", 2))
        batches = [batch async for batch in reader.batches()]
    assert [type(event) for event in batches[0]][:2] == [TextDelta, Idle]


async def test_a_closed_reader_is_woken_no_more() -> None:
    feed = Feed()
    reader = feed.subscribe("a")
    woken: list[bool] = []
    reader.on_ready(lambda: woken.append(True))
    reader.close()
    feed.append("a", delta("a", 1))
    await asyncio.sleep(0)
    assert woken == []


def test_a_feed_remembers_who_was_watched_also_after_the_reader_left() -> None:
    feed = Feed()
    feed.subscribe("a").close()
    assert feed.is_watched("a", "default")
    assert not feed.is_watched("b", "default")


def test_a_settled_submission_is_watched_only_by_who_reads_it_still() -> None:
    feed = Feed()
    reader = feed.subscribe("a")
    feed.forget("a")
    assert feed.is_watched("a", "default")
    reader.close()
    assert not feed.is_watched("a", "default")


def test_every_submission_of_a_followed_session_is_watched_to_its_end() -> None:
    feed = Feed()
    follower = feed.follow("default")
    assert feed.is_watched("a", "default")
    assert not feed.is_watched("b", "another")
    follower.close()
    assert feed.is_watched("a", "default")  # its reader may come back for the rest


def test_a_follower_that_loses_an_event_of_its_session_lags() -> None:
    feed = Feed(capacity=2)
    follower, other = feed.follow("default"), feed.follow("another")
    for number in range(3):
        feed.append("a", TextDelta(text=str(number), submission_id="a", session="default", offset=f"1-{number + 1}"))
    assert follower.lagged
    assert not other.lagged


def test_a_feed_goes_when_nothing_is_under_way_and_nobody_follows() -> None:
    feeds, key = Feeds(), AgentKey("agent", "u1")
    feed = feeds.open(key)
    follower = feed.follow("default")
    feeds.tidy(key)
    assert feeds.get(key) is feed
    follower.close()
    feeds.tidy(key)
    assert not len(feeds)


def test_what_comes_back_goes_on_behind_what_was_shown_before_its_feed_went() -> None:
    feeds, key = Feeds(), AgentKey("agent", "u1")
    position = feeds.open(key).place("default", Position(10))
    position.n = 6
    feeds.tidy(key)
    again = feeds.open(key).place("default", Position(10))
    assert again.place == (10, 6)
    again.durable(11)
    assert again.place == (11, 0)
