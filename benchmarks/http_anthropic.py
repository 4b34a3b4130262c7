"""As `http`, with every turn through the Anthropic SDK to a local server that speaks the Messages API."""

import uvloop

from benchmarks.http import measure
from benchmarks.processes import anthropic_environment, flue_server, messages_api

MODEL = "anthropic/claude-haiku-4-5"


def run(quick: bool) -> dict[str, float]:
    """Figures by ``<loop>_<ids>_<clients>_...``."""
    figures: dict[str, float] = {}
    with messages_api() as url:
        for loop in ("asyncio", "uvloop"):
            with flue_server(model=MODEL, loop=loop, env=anthropic_environment(url)) as server:
                figures |= uvloop.run(measure(server, loop, (32,) if quick else (1, 32, 256), 0.3 if quick else 2.0))
    return figures
