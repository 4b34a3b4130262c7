"""What the support system sends, and the proof that it was the support system."""

import hashlib
import hmac
import os
from typing import Annotated

import falcon
import msgspec
from falcon.asgi import Request

SECRET = os.environ.get("SUPPORT_WEBHOOK_SECRET", "only-for-the-examples").encode()


class CommentCreated(msgspec.Struct, frozen=True, rename="camel"):
    ticket_id: Annotated[str, msgspec.Meta(pattern=r"\S")]
    comment_id: str
    text: str


async def verified_event(request: Request) -> CommentCreated:
    """The event, once the signature over the raw body has been checked.

    Raises:
        falcon.HTTPUnauthorized, falcon.HTTPBadRequest: Somebody else sent it; it is not such an event.
    """
    body = await request.stream.read()
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    signature = request.get_header("X-Signature", default="")
    if not hmac.compare_digest(signature.encode(), expected.encode()):  # of texts it takes ASCII only
        raise falcon.HTTPUnauthorized
    try:
        return msgspec.json.decode(body, type=CommentCreated)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise falcon.HTTPBadRequest(description=str(error)) from error
