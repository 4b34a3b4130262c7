"""Chat completions as a dialect of `HttpModelClient`. Importing it does not import the SDK."""

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from flue_actors.errors import ConfigError
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.http_client import Dialect, Outgoing
from flue_actors.models.openai.body import affinity_headers, encoded_chat
from flue_actors.models.openai.content import API
from flue_actors.models.openai.decoder import ChatDecoder
from flue_actors.models.transport import Transport

if TYPE_CHECKING:
    from flue_actors.models.openai.sdk import ChatEndpoint


def require_sdk() -> None:
    """Look whether the SDK is there, without importing it.

    Raises:
        ConfigError: It is an extra, and not installed.
    """
    if importlib.util.find_spec("openai") is None:
        raise ConfigError(f'Models of the api "{API}" need the openai package: pip install "flue-actors[openai]".')


def _headers(_: ModelInfo, outgoing: Outgoing) -> Mapping[str, str]:
    return affinity_headers(outgoing)


def _endpoint(transport: Transport, max_connections: int) -> "ChatEndpoint":
    from flue_actors.models.openai.sdk import ChatEndpoint

    return ChatEndpoint(transport, max_connections)


COMPLETIONS: Final = Dialect(api=API, encode=encoded_chat, headers=_headers, decoder=ChatDecoder, connect=_endpoint)
