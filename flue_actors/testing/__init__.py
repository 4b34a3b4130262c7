"""The test kit for users: models that answer as told, a runtime that crashes on request, and virtual time.

Nothing here imports pytest; the plugin (`flue_actors.testing.plugin`) is loaded by pytest itself. Names are loaded on
first use, so a test run that does not need them pays nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flue_actors.testing.machine import FlueRuntime as FlueRuntime
    from flue_actors.testing.machine import Machine as Machine
    from flue_actors.testing.models import FunctionModel as FunctionModel
    from flue_actors.testing.models import ScriptedModel as ScriptedModel
    from flue_actors.testing.recorded import RecordedModel as RecordedModel
    from flue_actors.testing.replies import calls as calls
    from flue_actors.testing.replies import reply as reply
    from flue_actors.testing.replies import thinks as thinks
    from flue_actors.testing.virtual_clock import VirtualClock as VirtualClock
    from flue_actors.testing.virtual_time import VirtualTimeLoop as VirtualTimeLoop
    from flue_actors.testing.virtual_time import in_virtual_time as in_virtual_time
    from flue_actors.testing.virtual_time import run_virtual as run_virtual

_HOMES = {
    "flue_actors.testing.machine": ("FlueRuntime", "Machine"),
    "flue_actors.testing.models": ("FunctionModel", "ScriptedModel"),
    "flue_actors.testing.recorded": ("RecordedModel",),
    "flue_actors.testing.replies": ("calls", "reply", "thinks"),
    "flue_actors.testing.virtual_clock": ("VirtualClock",),
    "flue_actors.testing.virtual_time": ("VirtualTimeLoop", "run_virtual", "in_virtual_time"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FlueRuntime",
    "FunctionModel",
    "Machine",
    "RecordedModel",
    "ScriptedModel",
    "VirtualClock",
    "VirtualTimeLoop",
    "calls",
    "in_virtual_time",
    "reply",
    "run_virtual",
    "thinks",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'flue_actors.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value
