"""Where an MCP server is and how it is reached. Values, checked. Pure."""

import math
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from flue_actors.errors import ConfigError

TransportKind = Literal["streamable-http", "sse", "stdio"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One server.

    Attributes:
        transport: None = by what is given: a URL means ``streamable-http``, a command ``stdio``.
        env: What a child process gets beside a few harmless variables.
        headers: Sent with every request.
        timeout: Seconds for connecting and for listing the tools.
        call_timeout: Seconds for one call.
        allow_private: The URL may lead to this machine or to a private network.

    Raises:
        ConfigError: These do not go together.
    """

    name: str
    transport: TransportKind | None = None
    url: str | None = None
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    timeout: float = 30.0
    call_timeout: float = 60.0
    allow_private: bool = False
    client_name: str = "flue-actors"
    client_version: str = "0.0.0"

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ConfigError("An MCP server needs a name.")
        if (self.url is None) == (self.command is None):
            raise self._wrong("give either url= or command=")
        if self.transport not in (None, "streamable-http", "sse", "stdio"):
            raise self._wrong('transport is "streamable-http", "sse" or "stdio"')
        if self.transport is not None and (self.transport == "stdio") != (self.command is not None):
            raise self._wrong('command= goes with transport="stdio", url= with the other two')
        if self.url is None and self.headers:
            raise self._wrong("headers= goes with url=")
        if self.command is None and (self.args or self.env):
            raise self._wrong("args= and env= go with command=")
        if self.url is not None and not _is_http(self.url):
            raise self._wrong("url= is an http or https URL")
        for seconds in (self.timeout, self.call_timeout):
            if not (seconds > 0 and math.isfinite(seconds)):
                raise self._wrong("timeouts are positive numbers of seconds")

    def __repr__(self) -> str:
        return f"Target({self.name!r})"  # URLs, headers and environments hold keys

    @property
    def kind(self) -> TransportKind:
        """How it is reached."""
        return self.transport or ("stdio" if self.url is None else "streamable-http")

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f'MCP server "{self.name}": {what}.')


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
