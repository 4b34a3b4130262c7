"""A workspace whose files are in memory."""

from tests.toolset.sandboxes import Desk, MemorySandbox


class MemoryDesk(Desk):
    """A desk whose ``files`` a test can change: absolute path to bytes; its ``cwd`` is ``/work``."""

    def __init__(self) -> None:
        sandbox = MemorySandbox()
        super().__init__(sandbox)
        self.files = sandbox.files


def desk_with(**skills: str) -> MemoryDesk:
    """A desk with these ``SKILL.md``; an underscore in a name stands for a hyphen."""
    made = MemoryDesk()
    for name, text in skills.items():
        made.files[f"/work/.agents/skills/{name.replace('_', '-')}/SKILL.md"] = text.encode()
    return made
