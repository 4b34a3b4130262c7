from flue_actors.gateway.reading import ReaderWatch


def test_a_peer_that_is_not_behind_never_stalls() -> None:
    assert not ReaderWatch().stalled(100, 0, 1)


def test_a_peer_that_takes_nothing_stalls() -> None:
    watch = ReaderWatch()
    watch.begin(0, 1000)
    assert not watch.stalled(5, 1000, 10)
    assert watch.stalled(11, 1000, 10)


def test_a_slow_peer_that_goes_on_reading_does_not() -> None:
    watch = ReaderWatch()
    watch.begin(0, 1000)
    assert not any(watch.stalled(now, 1000 - now, 10) for now in range(0, 100, 5))


def test_what_was_read_enough_is_over() -> None:
    watch = ReaderWatch()
    watch.begin(0, 1000)
    watch.end()
    assert not watch.behind
    assert not watch.stalled(100, 1000, 10)
