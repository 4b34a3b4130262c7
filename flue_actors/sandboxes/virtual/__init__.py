"""``virtual(...)``: bash without a machine. bashkit interprets it, over files that exist in memory only."""

from flue_actors.sandboxes.virtual.factory import VirtualLimits, VirtualSandboxes, virtual

__all__ = ["VirtualLimits", "VirtualSandboxes", "virtual"]
