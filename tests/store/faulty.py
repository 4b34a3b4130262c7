"""Faults that this room's tests inject."""

import resource
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def no_file_longer_than(size: int) -> Generator[None]:
    """What a quota does: writing beyond it is an error of the file system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
