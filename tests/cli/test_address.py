"""Where `flue-actors connect` connects to."""

import pytest

from flue_actors.errors import ConfigError
from flue_actors.gateway.cli.dialing import socket_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:3583", "ws://127.0.0.1:3583/agents/joke-teller/me"),
        ("https://example.test/", "wss://example.test/agents/joke-teller/me"),
        ("ws://host:1/api", "ws://host:1/api/agents/joke-teller/me"),
        ("wss://host/api/", "wss://host/api/agents/joke-teller/me"),
    ],
)
def test_a_server_may_be_named_in_any_of_these_ways(url: str, expected: str) -> None:
    assert socket_url(url, "joke-teller", "me") == expected


def test_an_id_is_percent_encoded_whole() -> None:
    assert socket_url("http://h", "a", "team/ö?#%") == "ws://h/agents/a/team%2F%C3%B6%3F%23%25"


@pytest.mark.parametrize("url", ["localhost:3583", "ftp://host", "", "http://"])
def test_what_is_not_a_server_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not the address of a server"):
        socket_url(url, "joke-teller", "me")
