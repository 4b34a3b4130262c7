"""Reading a request's body: bounded, complete or refused, and JSON only."""

from typing import Final

from flue_actors.errors import InvalidRequestError, MediaTypeError, TooLargeError
from flue_actors.gateway.asgi import Receive

JSON: Final = "application/json"


async def read_body(receive: Receive, content_length: str | None, content_type: str | None, limit: int) -> bytes:
    """The whole body, at most ``limit`` bytes of it.

    Raises:
        TooLargeError: It is larger, or says so; nothing more of it is read.
        MediaTypeError: There is a body and it is not JSON.
        InvalidRequestError: The client went before the end: half an upload is never a message.
    """
    if content_length is not None and content_length.isdigit() and int(content_length) > limit:
        raise _too_large(limit)
    is_json = JSON in (content_type or "").lower()
    if not is_json and _expects_body(content_length, content_type):
        raise MediaTypeError
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise InvalidRequestError("The request's body ended before it was complete.")
        chunk: bytes = event.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if chunk and not is_json:
            raise MediaTypeError
        chunks.append(chunk)
        if not event.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _expects_body(content_length: str | None, content_type: str | None) -> bool:
    return content_length != "0" and not (content_length is None and content_type is None)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The body is larger than {limit} bytes.", meta={"limit": limit})
