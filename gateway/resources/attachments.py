"""``GET /agents/{name}/{id}/attachments/{attachment}``: the bytes of a picture or file of its conversations.

Its id is the hash of its bytes, so it never changes. It may be anything somebody sent: a browser is to show it in a box
of its own, without scripts, or (what is no picture) to save it.
"""

from typing import Final

from flue_actors.gateway.preferences import has_already
from flue_actors.gateway.resources.call import Call

_HEADERS: Final = {
    "cache-control": "private, immutable, max-age=31536000",
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
}


async def attachment(call: Call) -> None:
    """200 with its bytes, or 304 to who has them."""
    found = await call.agent.attachment(call.parameter)
    response, tag = call.response, f'"{found.id}"'
    response.set_headers(_HEADERS)
    response.set_header("etag", tag)
    if has_already(call.request.get_header("if-none-match"), tag):
        response.status = 304
        return
    picture = found.mime_type.startswith("image/")
    response.set_header("content-disposition", "inline" if picture else "attachment")
    response.content_type = found.mime_type
    response.data = found.body
