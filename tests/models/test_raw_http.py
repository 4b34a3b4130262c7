"""How long a provider asks to wait."""

import httpx2
import pytest

from flue_actors.models.raw_http import retry_after

SOON = {"date": "Sat, 21 Nov 2026 12:00:00 GMT", "retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}
PAST = {"date": "Sat, 21 Nov 2026 12:00:00 GMT", "retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}


def used_up(kind: str, reset: str, remaining: str = "0") -> dict[str, str]:
    return {f"x-ratelimit-remaining-{kind}": remaining, f"x-ratelimit-reset-{kind}": reset}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        (SOON, 30),
        (PAST, 0),
        (used_up("requests", "6m0s"), 360),
        (used_up("tokens", "2m59.5s"), 179.5),
        (used_up("tokens", "120ms"), 0.12),
        (used_up("requests", "7"), 7),
        (used_up("requests", "1h2m"), 3720),
        (used_up("requests", "1s") | used_up("tokens", "9s"), 9),
        (used_up("requests", "6m0s", remaining="12"), None),
        (used_up("requests", "tomorrow"), None),
        (used_up("requests", "6m0s") | {"retry-after": "2"}, 2),
    ],
)
def test_the_wait_is_read_in_every_form_that_is_sent(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx2.Response(429, headers=headers)) == (None if seconds is None else pytest.approx(seconds))


def test_a_date_without_another_is_one_of_this_clock() -> None:
    found = retry_after(httpx2.Response(503, headers={"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}))
    assert found is not None
    assert found > 10**9
