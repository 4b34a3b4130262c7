"""A local server that speaks the Messages API: scripted replies and faults, pacing, prompt-cache accounting.

`tests.messages_api.server` says how to use it in process; ``python -m tests.messages_api --help`` on its own.
"""

from tests.messages_api.plans import PROVIDER_TEXT, Fault, FaultKind
from tests.messages_api.server import MessagesServer, messages_server
from tests.messages_api.serving import Settings

__all__ = ["PROVIDER_TEXT", "Fault", "FaultKind", "MessagesServer", "Settings", "messages_server"]
