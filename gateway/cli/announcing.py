"""What a server says of itself: where it is, what it keeps where, lines to try it with, what its stop waits for. Pure."""

import shlex
import shutil
import sys
from pathlib import Path

from flue_actors.definition.guards import public
from flue_actors.definition.project import AgentDefinition, Project
from flue_actors.storage import Store

_HELLO = '{"message": "Hello!"}'
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, never bound


def announcement(project: Project, store: Store, host: str, port: int) -> str:
    """Several lines of text."""
    host = _EVERYWHERE.get(host, host)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [
        f"Serving {project.root} on http://{address}",
        f"  agents  {', '.join(sorted(project.agents)) or 'none'}",
        f"  store   {describe_store(store)}",
    ]
    by_openness = sorted(project.agents.values(), key=_closed_doors)
    if (agent := next((agent for agent in by_openness if agent.route is not None), None)) is not None:
        lines += [
            "",
            f"  curl http://{address}/agents/{agent.name}/me -H 'content-type: application/json' -d '{_HELLO}'",
        ]
    if (agent := next((agent for agent in by_openness if agent.websocket is not None), None)) is not None:
        lines += [
            f"  {tool('python')} -m websockets ws://{address}/agents/{agent.name}/me",
            f"  {tool('flue-actors')} connect {agent.name} me --url http://{address}",
        ]
    return "\n".join(lines)


def draining(running: int, seconds: float) -> str:
    """One line for whoever told the server to stop."""
    if not running:
        return "Stopping: no message is being worked on."
    messages = "1 message" if running == 1 else f"{running} messages"
    return f"Stopping: waiting at most {seconds:g} seconds for {messages}. Ctrl-C (or the signal) again stops now."


def describe_store(store: Store) -> str:
    """The store's file, or its kind if it has none."""
    path: Path | None = getattr(store, "path", None)
    return str(path.absolute()) if path is not None else type(store).__name__


def _closed_doors(agent: AgentDefinition) -> int:
    """How many transports not everybody may use: the best agent to try first has none."""
    return sum(door is not public for door in (agent.route, agent.websocket))


def tool(name: str) -> str:
    """How this environment's program is called from any folder: by its name where that finds it, else by its path."""
    program = Path(sys.executable).parent / name
    found = shutil.which(name)
    return name if found is not None and Path(found) == program else shlex.quote(str(program))
