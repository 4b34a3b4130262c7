"""How a server may be described."""

import pytest

from flue_actors.errors import ConfigError
from flue_actors.mcp.server import connect_mcp_server
from flue_actors.mcp.target import Target


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either url= or command="),
        ({"url": "http://a.example", "command": "b"}, "either url= or command="),
        ({"url": "http://a.example", "transport": "stdio"}, "goes with transport="),
        ({"command": "b", "transport": "sse"}, "goes with transport="),
        ({"url": "http://a.example", "transport": "websocket"}, "transport is"),
        ({"url": "ftp://a.example"}, "http or https"),
        ({"url": "http://"}, "http or https"),
        ({"url": "http://["}, "http or https"),
        ({"url": "http://a.example", "args": ["x"]}, "go with command="),
        ({"url": "http://a.example", "env": {"A": "1"}}, "go with command="),
        ({"command": "b", "headers": {"A": "1"}}, "goes with url="),
        ({"command": "b", "timeout": 0}, "positive"),
        ({"command": "b", "call_timeout": float("inf")}, "positive"),
    ],
)
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        connect_mcp_server("x", **options)


def test_a_server_needs_a_name():
    with pytest.raises(ConfigError, match="needs a name"):
        connect_mcp_server(" ", command="x")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"url": "https://a.example/mcp"}, "streamable-http"),
        ({"url": "https://a.example/sse", "transport": "sse"}, "sse"),
        ({"command": "npx"}, "stdio"),
    ],
)
def test_the_transport_follows_from_what_is_given(options, kind):
    assert Target(name="x", **options).kind == kind


def test_no_representation_shows_a_secret():
    target = Target(name="x", url="https://a.example/?key=secret", headers={"Authorization": "Bearer secret"})
    server = connect_mcp_server("x", url="https://a.example/?key=secret")
    assert "secret" not in f"{target!r} {server!r}"
