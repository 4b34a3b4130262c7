"""A local server that speaks the chat-completions stream: scripted replies and faults, as in `tests.messages_api`."""

from tests.completions_api.server import ChatServer, ChatSettings, completions_server
from tests.messages_api.plans import PROVIDER_TEXT, Fault, FaultKind

__all__ = ["PROVIDER_TEXT", "ChatServer", "ChatSettings", "Fault", "FaultKind", "completions_server"]
