"""How soon a server is asked again."""

from flue_actors.mcp.backoff import LONGEST, Backoff


def test_nothing_failed_means_now():
    assert Backoff().remaining(100.0) == 0


def test_the_delay_doubles_up_to_the_longest():
    backoff = Backoff()
    delays = []
    for _ in range(7):
        backoff.failed(0.0)
        delays.append(backoff.remaining(0.0))
    assert delays == [1, 2, 4, 8, 16, LONGEST, LONGEST]


def test_the_delay_passes():
    backoff = Backoff()
    backoff.failed(10.0)
    assert backoff.remaining(10.5) == 0.5
    assert backoff.remaining(11.0) == 0


def test_a_success_begins_anew():
    backoff = Backoff()
    backoff.failed(0.0)
    backoff.failed(0.0)
    backoff.succeeded()
    assert backoff.remaining(0.0) == 0
    backoff.failed(0.0)
    assert backoff.remaining(0.0) == 1
