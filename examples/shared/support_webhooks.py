"""What the support system sends, and the proof that it was the support system."""

import hashlib
import hmac
import os

import falcon
import msgspec
from falcon.asgi import Request

SECRET = os.environ.get("SUPPORT_WEBHOOK_SECRET", "only-for-the-examples").encode()


class CommentCreated(msgspec.Struct, frozen=True, rename="camel"):
    ticket_id: str
    comment_id: str
    text: str


async def verified_event(request: Request) -> CommentCreated:
    """The event, once the signature over the raw body has been checked."""
    body = await request.stream.read()
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(request.get_header("X-Signature", default=""), expected):
        raise falcon.HTTPUnauthorized
    return msgspec.json.decode(body, type=CommentCreated)
