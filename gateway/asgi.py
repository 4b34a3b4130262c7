"""ASGI under Falcon: its types, and the two doors Falcon does not open.

Falcon hands a responder neither the ASGI ``receive`` nor ``send``. Both are needed here: its request stream returns half
an upload as if it were all, it never says that a streaming client left, and it can refuse a handshake only with a bare
403. Everything private of Falcon that the gateway touches is in this file (hence the upper bound on its version).
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from falcon.asgi import Request, WebSocket

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[..., Awaitable[None]]  # frameworks spell ASGI's messages in types of their own


def raw_path(scope: Scope) -> bytes:
    """The path as it stood in the request line; from servers that do not tell, the decoded path, encoded again."""
    raw: bytes | None = scope.get("raw_path")
    return raw if raw is not None else quote(scope["path"]).encode()


def receive_of(request: Request) -> Receive:
    """The request's ``receive``, beginning with the event that Falcon took before it routed the request."""
    first: Any = request._first_event  # pyright: ignore[reportPrivateUsage]  (module docstring)
    rest: Any = request._receive  # pyright: ignore[reportPrivateUsage]  (module docstring)

    async def receive() -> Event:
        nonlocal first
        if first is not None:
            event, first = first, None
            return event
        return await rest()

    return receive


async def refuse_handshake(
    socket: WebSocket, scope: Scope, status: int, headers: Iterable[tuple[str, str]], body: bytes
) -> None:
    """Answer a handshake with an ordinary response; with a bare 403 where the server cannot do that."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await socket.close()
        return
    raw = [(name.encode(), value.encode()) for name, value in headers]
    send: Send = socket._asgi_send  # pyright: ignore[reportPrivateUsage, reportAssignmentType]  (module docstring)
    await send({"type": "websocket.http.response.start", "status": status, "headers": raw})
    await send({"type": "websocket.http.response.body", "body": body})
    # Falcon closes every socket its responder leaves open, which after such a response is an error.
    socket._asgi_send = _ignore  # pyright: ignore[reportPrivateUsage]  (module docstring)


async def _ignore(_: Any) -> None:
    pass
