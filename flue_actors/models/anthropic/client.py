"""The Messages API as a dialect of `HttpModelClient`. Importing it does not import the SDK."""

from typing import TYPE_CHECKING, Final

from flue_actors.models.anthropic.body import encode_body, request_body, request_headers
from flue_actors.models.anthropic.content import API
from flue_actors.models.anthropic.decoder import StreamDecoder
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.http_client import Dialect, Outgoing
from flue_actors.models.protocol import ModelRequest
from flue_actors.models.transport import Transport

if TYPE_CHECKING:
    from flue_actors.models.anthropic.sdk import MessagesEndpoint


def _encoded(request: ModelRequest, info: ModelInfo, outgoing: Outgoing) -> bytes:
    return encode_body(request_body(request, info, outgoing.cache))


def _headers(info: ModelInfo, _: Outgoing) -> dict[str, str]:
    return request_headers(info)


def _endpoint(transport: Transport, max_connections: int) -> "MessagesEndpoint":
    from flue_actors.models.anthropic.sdk import MessagesEndpoint

    return MessagesEndpoint(transport, max_connections)


MESSAGES: Final = Dialect(api=API, encode=_encoded, headers=_headers, decoder=StreamDecoder, connect=_endpoint)
