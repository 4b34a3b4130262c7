"""``virtual(...)``: bash without a machine. bashkit interprets it, over files that exist in memory only."""

from flue_actors.sandboxes.virtual.factory import VirtualSandboxes, virtual
from flue_actors.sandboxes.virtual.limits import VirtualLimits

__all__ = ["VirtualLimits", "VirtualSandboxes", "virtual"]
