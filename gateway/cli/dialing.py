"""Connecting to an agent's WebSocket, and why that did not work, in words for a person."""

from ssl import SSLError
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from flue_actors.errors import ConfigError, UnavailableError
from flue_actors.gateway.cli.chat import lines
from flue_actors.gateway.wire import ErrorEnvelope

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

_NOT_NOW: Final = {502, 503, 504}
"""What the server says, or a proxy in front of it."""

_envelope = msgspec.json.Decoder(ErrorEnvelope)


class NobodyThereError(UnavailableError):
    """Nothing listens at the address, or what does is no server of ours."""


class NotNowError(UnavailableError):
    """The server is there, and starts or stops right now."""


class Target(msgspec.Struct, frozen=True):
    """An agent instance of the server at ``url``; ``token`` is sent as a bearer token."""

    url: str
    agent: str
    id: str
    token: str | None = None

    async def dial(self) -> ClientConnection:
        """A new connection.

        Raises:
            ConfigError: ``url`` is not an address.
            UnavailableError: There is none to be had; see this module's two kinds of it.
        """
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        try:
            return await connect(socket_url(self.url, self.agent, self.id), additional_headers=headers, max_size=None)
        except InvalidStatus as refusal:
            raise _refused(refusal, self.agent) from None
        except SSLError as problem:
            raise UnavailableError(
                f"No secure connection to {self.url} ({problem}).",
                details="A server without TLS is named with http://.",
            ) from None
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as problem:
            raise NobodyThereError(
                f"No server answers at {self.url} ({problem or type(problem).__name__}).",
                details="Start one with: flue-actors dev. Or talk to the project in this folder with: --local.",
            ) from None


def socket_url(url: str, agent: str, id: str) -> str:
    """The WebSocket address of an instance of the server at ``url`` (http or ws, with or without a path prefix).

    Raises:
        ConfigError: That is not the address of a server.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.netloc:
        raise ConfigError(f'"{url}" is not the address of a server.', details="Write it as http://127.0.0.1:3583.")
    path = f"{parts.path.rstrip('/')}/agents/{quote(agent, safe='')}/{quote(id, safe='')}"
    return f"{_SCHEMES[parts.scheme]}://{parts.netloc}{path}"


def _refused(refusal: InvalidStatus, agent: str) -> UnavailableError:
    status = refusal.response.status_code
    if status == 401:
        return UnavailableError(
            "The server wants to know who you are.", details="Send the agent's token with --token or FLUE_TOKEN."
        )
    kind = NotNowError if status in _NOT_NOW else UnavailableError
    try:
        body = _envelope.decode(refusal.response.body or b"").error
    except msgspec.DecodeError:
        return kind(f"The server refused the connection with status {status}.", details="")
    if status == 404:
        hint = f'Check that the server has an agent "{agent}" and that it opens the WebSocket transport.'
        return UnavailableError(body.message, details=hint)
    return kind(body.message, details=lines(body.details, body.dev))
