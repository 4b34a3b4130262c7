"""When a failed model call is tried again. Pure: the caller sleeps.

Three retries after 2, 4 and 8 seconds, each times 0.75 to 1 at random. A Retry-After is obeyed instead, up to a
minute, stretched by up to a quarter so that callers who were told the same time do not return at the same instant.
"""

import random
from typing import Final

from flue_actors.errors import ModelError

MAX_RETRIES: Final = 3
MAX_RETRY_AFTER: Final = 60.0
_FIRST_DELAY: Final = 2.0


def retry_delay(attempt: int, error: ModelError, rng: random.Random) -> float | None:
    """Seconds to wait after the ``attempt``-th failed try (1, 2, ...); None = give up."""
    if not error.retryable or attempt > MAX_RETRIES:
        return None
    if error.retry_after is not None:
        return min(error.retry_after, MAX_RETRY_AFTER) * rng.uniform(1, 1.25)
    return _FIRST_DELAY * 2 ** (attempt - 1) * rng.uniform(0.75, 1)
