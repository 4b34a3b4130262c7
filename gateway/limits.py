"""What the wire may take from a client, and how long it may take over it."""

from typing import Self

import msgspec
import uvicorn

from flue_actors.definition.settings import Settings


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds.

    Attributes:
        max_body: Of a request to an agent.
        max_head: Request line and headers together.
        max_headers: Their number.
        max_frame: One message on a socket.
        max_in_flight: Requests without an outcome on one socket.
        head_timeout: From connecting, or from a head's first byte, to its end.
        body_timeout: From the head's end to the body's; a body that keeps coming gets more.
        stall_timeout: How long a peer may read nothing of what was written to it.
        heartbeat: Between two comments on a silent event stream.
        drain_timeout: How long a stopping server waits for work that runs.
        origins: Pages of these may open sockets, besides those of the same host (``*`` = any).
    """

    max_body: int = 4 * 1024 * 1024
    max_head: int = 64 * 1024
    max_headers: int = 100
    max_frame: int = 1024 * 1024
    max_in_flight: int = 64
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    stall_timeout: float = 30.0
    heartbeat: float = 15.0
    drain_timeout: float = 30.0
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits among a runtime's settings."""
        return cls(
            max_body=settings.max_body,
            max_head=settings.max_head,
            max_frame=settings.max_frame,
            head_timeout=settings.head_timeout,
            body_timeout=settings.body_timeout,
            drain_timeout=settings.drain_timeout,
            origins=frozenset(settings.allowed_origins),
        )


class GatewayConfig(uvicorn.Config):
    """uvicorn's configuration, which is all its protocols get to see, with our limits in it."""

    limits: Limits = Limits()
