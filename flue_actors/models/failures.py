"""Which `ModelError` an answer of a provider stands for: one table for every provider.

    413, or a code that says so   ContextOverflowError, not retryable
    a code that says so           ModelRefusedError, not retryable
    429 for want of money         ModelError, not retryable
    408, 409, 500, 502, ...       ModelError, retryable
    429, 503, 529                 ModelOverloadedError, retryable
    400, 422                      ModelRejectedError, not retryable
    everything else               ModelError, not retryable (401, 403, 404, ...)

What the provider wrote goes into ``dev`` only; the caller reads the class's own sentences.
"""

import re
from collections.abc import Collection
from typing import Final

from flue_actors.errors import (
    ContextOverflowError,
    ModelError,
    ModelOverloadedError,
    ModelRefusedError,
    ModelRejectedError,
)

_OVERLOADED: Final = frozenset({429, 503, 529})
_RETRYABLE: Final = frozenset({408, 409})

_TOO_LONG_CODES: Final = frozenset({"context_length_exceeded", "exceed_context_size_error", "request_too_large"})
_REFUSED_CODES: Final = frozenset({"content_filter", "content_policy_violation"})
_UNPAID_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_spend_limit_reached",
    }
)
_MALFORMED: Final = frozenset({400, 422})
_TOO_LONG_WORDS: Final = re.compile(
    r"(?:prompt|input) is too long|(?:exceeds?|longer than) (?:the |this |the model's )?(?:available |maximum )?context"
    r"|maximum (?:context|model|prompt) length|maximum number of tokens allowed|greater than the context length"
    r"|reduce the length of the messages|exceeded model token limit|max_new_tokens. must be <=",
    re.IGNORECASE,
)
"""The one place that reads a provider's words. The Messages API answers a prompt that is too long with 400
``invalid_request_error`` and no code, as it does any malformed request; so do many servers that speak like OpenAI's."""

_WINDOW: Final = re.compile(
    r"(?:maximum (?:context|model|prompt) length(?: is| of)?|context (?:size|length|window)|tokens allowed|>|must be <=)"
    r" ?\(?(\d[\d,]*)|with (\d[\d,]*) maximum context length",
    re.IGNORECASE,
)
_WINDOWS: Final = range(1024, 100_000_001)
"""Tokens; what is no window is no news."""


def is_retryable(status: int) -> bool:
    """True when the same request may succeed later."""
    return status >= 500 or status in _RETRYABLE or status in _OVERLOADED


def status_error(
    status: int, *, codes: Collection[str] = (), words: str = "", retry_after: float | None = None, dev: str = ""
) -> ModelError:
    """The error to raise for an answer with this status.

    Args:
        status: The HTTP status.
        codes: What the provider calls the error, in words for machines.
        words: What it says to people; looked at only where an API has no code for a prompt that is too long.
        retry_after: Seconds.
        dev: For the log.
    """
    dev = f"HTTP {status}: {dev}" if dev else f"HTTP {status}"
    too_long = status in _MALFORMED and _TOO_LONG_WORDS.search(words)
    if status == 413 or not _TOO_LONG_CODES.isdisjoint(codes) or too_long:
        return ContextOverflowError(dev=dev, window=_window(words))
    if not _REFUSED_CODES.isdisjoint(codes):
        return ModelRefusedError(dev=dev)
    if not _UNPAID_CODES.isdisjoint(codes):
        return ModelError(retryable=False, dev=dev)
    if status in _OVERLOADED:
        return ModelOverloadedError(retryable=True, retry_after=retry_after, dev=dev)
    if status in _MALFORMED:
        return ModelRejectedError(dev=dev)
    return ModelError(retryable=is_retryable(status), retry_after=retry_after, dev=dev)


def _window(words: str) -> int:
    """How many tokens the model reads, if a refusal says it; else 0."""
    found = _WINDOW.search(words)
    tokens = int((found[1] or found[2]).replace(",", "")) if found else 0
    return tokens if tokens in _WINDOWS else 0


def broken_stream(dev: str) -> ModelError:
    """The error for an answer that broke off or made no sense in the middle: worth another try."""
    return ModelError(retryable=True, dev=dev)
