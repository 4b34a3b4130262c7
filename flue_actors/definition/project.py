"""thin, replaced soon"""
import msgspec
from typing import Any
from flue_actors.definition.agent import CreatedAgent
class AgentDefinition(msgspec.Struct, frozen=True):
    name: str
    agent: CreatedAgent
    route: Any = None
    websocket: Any = None
    aliases: tuple[str, ...] = ()
