"""What one virtual sandbox may use, and where it starts."""

import math
from typing import Final

import msgspec

from flue_actors.errors import ConfigError
from flue_actors.sandboxes.virtual import wire

HOME: Final = "/home/user"
_MIB: Final = 1024 * 1024


class VirtualLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one sandbox may use. Beside these bashkit's own hold: 10 MB a file, 100 MB and 10,000 files in all.

    Attributes:
        seconds: A command, at most; then it is stopped with exit code 124.
        memory: Bytes of its process beside what it takes anyway, files included. A command that needs more ends the
            process, and the sandbox starts anew from what was stored the last time.
        commands: How many commands one script may come to, loops unrolled; at most 100,000.
        output: Bytes of each of stdout and stderr that are kept, the last ones of the first MiB: bashkit drops the rest.
        stored: Bytes of a snapshot (compressed). A sandbox that holds more fails to be stored.
    """

    seconds: float = 30.0
    memory: int = 256 * _MIB
    commands: int = 100_000
    output: int = _MIB
    stored: int = 16 * _MIB

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value: float = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"VirtualLimits: {name} must be positive.")
        if self.stored > wire.LARGEST_FRAME // 2:
            raise ConfigError(f"VirtualLimits: stored is at most {wire.LARGEST_FRAME // 2 // _MIB} MiB.")
