"""``python -m tests.messages_api --port 21000 --deltas 200``: serve until interrupted; prints the address when ready."""

import argparse
import asyncio
import contextlib

import uvloop

from tests.messages_api.server import messages_server
from tests.messages_api.serving import Settings


async def _serve(settings: Settings, port: int) -> None:
    async with messages_server(settings, port=port) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Parse the arguments and serve."""
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="python -m tests.messages_api", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 = a free one")
    parser.add_argument("--deltas", type=int, default=defaults.deltas, help="deltas of a reply; 0 = echo")
    parser.add_argument("--size", type=int, default=defaults.size, help="characters of a delta")
    parser.add_argument("--rate", type=float, default=defaults.rate, help="deltas per second; 0 = all at once")
    parser.add_argument("--delay", type=float, default=defaults.delay, help="seconds to the first byte")
    parser.add_argument("--bare", action="store_true", help="no accounting, validation or recording: fastest")
    given = parser.parse_args()
    settings = Settings(
        deltas=given.deltas,
        size=given.size,
        rate=given.rate,
        delay=given.delay,
        accounting=not given.bare,
        record=not given.bare,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(settings, given.port))


if __name__ == "__main__":
    main()
