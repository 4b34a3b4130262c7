"""Python's garbage collector, set for a process that does nothing but serve."""

import gc
from typing import Final

YOUNG: Final = 50_000
"""Net new container objects before a young collection. Python's 700 let it run at every second turn: 20 % of the CPU."""


def hold_heap() -> None:
    """Collect nothing until `settle_heap`: what a start makes is there to stay. A sixth of the SDK's import is collections."""
    gc.disable()


def settle_heap() -> None:
    """Take what start-up made out of every later collection, and collect less often.

    Nothing is collected first: the little garbage a start leaves is not worth 140 ms in which nobody is answered. For the
    process's own program (the command line), once it listens; never for a library inside someone else's.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)
    gc.enable()
