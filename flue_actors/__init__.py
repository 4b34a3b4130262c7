"""flue-actors: continuing AI agents on an actor core.

Names are loaded on first use, so importing the package is cheap and pulls in no server, database or model SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flue_actors.agent_ref import AgentRef as AgentRef
    from flue_actors.agent_ref import DispatchReceipt as DispatchReceipt
    from flue_actors.context import configure_provider as configure_provider
    from flue_actors.context import dispatch as dispatch
    from flue_actors.context import observe as observe
    from flue_actors.context import register_provider as register_provider
    from flue_actors.definition.agent import AgentConfig as AgentConfig
    from flue_actors.definition.agent import AgentContext as AgentContext
    from flue_actors.definition.agent import create_agent as create_agent
    from flue_actors.definition.agent import define_agent_profile as define_agent_profile
    from flue_actors.definition.attaching import File as File
    from flue_actors.definition.attaching import Image as Image
    from flue_actors.definition.fields import Durability as Durability
    from flue_actors.definition.guards import CallNext as CallNext
    from flue_actors.definition.guards import GuardRequest as GuardRequest
    from flue_actors.definition.guards import GuardResponse as GuardResponse
    from flue_actors.definition.guards import Principal as Principal
    from flue_actors.definition.guards import bearer as bearer
    from flue_actors.definition.guards import public as public
    from flue_actors.definition.limits import Compaction as Compaction
    from flue_actors.definition.limits import Limits as Limits
    from flue_actors.definition.profile import AgentProfile as AgentProfile
    from flue_actors.definition.project import AgentDefinition as AgentDefinition
    from flue_actors.definition.settings import Settings as Settings
    from flue_actors.definition.tools import Tool as Tool
    from flue_actors.definition.tools import ToolAnswer as ToolAnswer
    from flue_actors.definition.tools import ToolContext as ToolContext
    from flue_actors.definition.tools import define_tool as define_tool
    from flue_actors.definition.tools import tool as tool
    from flue_actors.errors import Denied as Denied
    from flue_actors.errors import FlueError as FlueError
    from flue_actors.errors import ToolError as ToolError
    from flue_actors.events import PromptResult as PromptResult
    from flue_actors.gateway.app import create_app as create_app
    from flue_actors.gateway.app import mount as mount
    from flue_actors.gateway.main import serve as serve
    from flue_actors.intake.retention import Retention as Retention
    from flue_actors.mcp.server import McpServer as McpServer
    from flue_actors.mcp.server import connect_mcp_server as connect_mcp_server
    from flue_actors.memory import memory_store as memory_store
    from flue_actors.runtime import Runtime as Runtime
    from flue_actors.sandboxes.isolated import isolated as isolated
    from flue_actors.sandboxes.local import local as local
    from flue_actors.sandboxes.virtual import virtual as virtual
    from flue_actors.skills.load import load_skill as load_skill
    from flue_actors.store import sqlite as sqlite

# The core imports neither gateway nor store: these names are strings until somebody asks for them.
_HOMES = {
    "flue_actors.agent_ref": ("AgentRef", "DispatchReceipt"),
    "flue_actors.context": ("configure_provider", "dispatch", "observe", "register_provider"),
    "flue_actors.definition.agent": ("AgentConfig", "AgentContext", "create_agent", "define_agent_profile"),
    "flue_actors.definition.attaching": ("File", "Image"),
    "flue_actors.definition.fields": ("Durability",),
    "flue_actors.definition.guards": ("CallNext", "GuardRequest", "GuardResponse", "Principal", "bearer", "public"),
    "flue_actors.definition.limits": ("Compaction", "Limits"),
    "flue_actors.definition.profile": ("AgentProfile",),
    "flue_actors.definition.project": ("AgentDefinition",),
    "flue_actors.definition.settings": ("Settings",),
    "flue_actors.definition.tools": ("Tool", "ToolAnswer", "ToolContext", "define_tool", "tool"),
    "flue_actors.errors": ("Denied", "FlueError", "ToolError"),
    "flue_actors.events": ("PromptResult",),
    "flue_actors.gateway.app": ("create_app", "mount"),
    "flue_actors.gateway.main": ("serve",),
    "flue_actors.mcp.server": ("McpServer", "connect_mcp_server"),
    "flue_actors.memory": ("memory_store",),
    "flue_actors.intake.retention": ("Retention",),
    "flue_actors.runtime": ("Runtime",),
    "flue_actors.sandboxes.isolated": ("isolated",),
    "flue_actors.sandboxes.local": ("local",),
    "flue_actors.sandboxes.virtual": ("virtual",),
    "flue_actors.skills.load": ("load_skill",),
    "flue_actors.store": ("sqlite",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "AgentConfig",
    "AgentContext",
    "AgentDefinition",
    "AgentProfile",
    "AgentRef",
    "CallNext",
    "Compaction",
    "Denied",
    "DispatchReceipt",
    "Durability",
    "File",
    "FlueError",
    "GuardRequest",
    "GuardResponse",
    "Image",
    "Limits",
    "McpServer",
    "Principal",
    "PromptResult",
    "Retention",
    "Runtime",
    "Settings",
    "Tool",
    "ToolAnswer",
    "ToolContext",
    "ToolError",
    "bearer",
    "configure_provider",
    "connect_mcp_server",
    "create_agent",
    "create_app",
    "define_agent_profile",
    "define_tool",
    "dispatch",
    "isolated",
    "load_skill",
    "local",
    "memory_store",
    "mount",
    "observe",
    "public",
    "register_provider",
    "serve",
    "sqlite",
    "tool",
    "virtual",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'flue_actors' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
