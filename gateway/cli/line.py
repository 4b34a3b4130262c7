"""A WebSocket that is connected again when it is lost."""

import asyncio
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode

from flue_actors.errors import UnavailableError
from flue_actors.gateway.cli.dialing import NobodyThereError, NotNowError, Target

PATIENCE: Final = 5.0
"""Seconds without a server after which it is over: longer than a restart takes."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0
_LASTING: Final = 1.0
"""Seconds of a connection after which its loss is another trouble: a server may be started again several times in a row."""


class Line:
    """The connection to one agent instance. ``socket`` is the newest one, perhaps lost already."""

    def __init__(self, target: Target, socket: ClientConnection, patience: float = PATIENCE) -> None:
        self.socket = socket
        self._target = target
        self._patience = patience
        self._mending = asyncio.Lock()
        self._mended_at = -patience
        self._lost_at = 0.0  # when a trouble began that lasts; seconds of the loop
        self._pause = _FIRST_PAUSE

    async def mend(self, lost: ClientConnection, fate: str = "") -> None:
        """Have another connection than ``lost``. A server that is there and stops or starts is waited for.

        Raises:
            UnavailableError: Nobody has answered for too long, or the server refuses. ``fate`` is in its details.
        """
        async with self._mending:
            if self.socket is not lost:
                return
            now = asyncio.get_running_loop().time
            if now() - self._mended_at >= min(self._patience, _LASTING):
                self._lost_at, self._pause = now(), _FIRST_PAUSE
            while now() - self._lost_at < self._patience:
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
                try:
                    self.socket = await self._target.dial()
                except NotNowError:
                    self._lost_at = now()
                except NobodyThereError:
                    pass
                else:
                    self._mended_at = now()
                    return
            raise _loss(lost, fate)

    async def broken(self) -> UnavailableError:
        """Mend it whenever it is lost, until that fails: why."""
        while True:
            socket = self.socket
            await socket.wait_closed()
            try:
                await self.mend(socket)
            except UnavailableError as error:
                return error


def _loss(socket: ClientConnection, fate: str) -> UnavailableError:
    code, reason = socket.close_code, socket.close_reason
    why = f"{code} {reason}".strip() if code not in {None, CloseCode.ABNORMAL_CLOSURE} else "connection lost"
    return UnavailableError(
        f"The server closed the connection ({why}).", details=f"{fate} Connect again to go on.".strip()
    )
