"""The tools of a server that speaks the Model Context Protocol."""

import json
import sys
from pathlib import Path

from flue_actors import connect_mcp_server
from tests.mcp import house
from tests.paths.scripts import call
from tests.paths.stage import staged
from tests.paths.transports import TRANSPORTS

RAW = Path(house.__file__).parent / "raw.py"
SAY = {
    "name": "say",
    "description": "Says it.",
    "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
}


async def test_a_tool_of_a_server_is_called_whoever_asks_in_whatever_way(model: str, tmp_path: Path) -> None:
    """One server for all: it is a process of its own."""
    told = json.dumps({"tools": [SAY]})
    async with connect_mcp_server("srv", command=sys.executable, args=[str(RAW), told]) as server:
        async with staged(model, tmp_path, tools=server.tools) as stage:
            for number, transport in enumerate(TRANSPORTS):
                async with stage.open(transport) as person:
                    outcome = await person.say(call("mcp__srv__say", n=number))
                    wrong = await person.say(call("mcp__srv__say", n="x"))
                assert f'"arguments": {{"n": {number}}}' in outcome.text
                assert "Invalid arguments" in wrong.text
