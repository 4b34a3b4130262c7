"""Which `ModelError` an HTTP status stands for: one table for every provider.

    408, 409, 500, 502, ...   ModelError, retryable
    429, 503, 529             ModelOverloadedError, retryable
    everything else           ModelError, not retryable (400, 401, 403, 404, 413, ...)

What the provider wrote goes into ``dev`` only; the caller reads the class's own sentences.
"""

from typing import Final

from flue_actors.errors import ModelError, ModelOverloadedError

_OVERLOADED: Final = frozenset({429, 503, 529})
_RETRYABLE: Final = frozenset({408, 409})


def is_retryable(status: int) -> bool:
    """True when the same request may succeed later."""
    return status >= 500 or status in _RETRYABLE or status in _OVERLOADED


def status_error(status: int, *, retry_after: float | None = None, dev: str = "") -> ModelError:
    """The error to raise for an answer with this status. ``retry_after`` is in seconds."""
    dev = f"HTTP {status}: {dev}" if dev else f"HTTP {status}"
    if status in _OVERLOADED:
        return ModelOverloadedError(retryable=True, retry_after=retry_after, dev=dev)
    return ModelError(retryable=is_retryable(status), retry_after=retry_after, dev=dev)


def broken_stream(dev: str) -> ModelError:
    """The error for an answer that broke off or made no sense in the middle: worth another try."""
    return ModelError(retryable=True, dev=dev)
