import random

import pytest

from flue_actors.errors import ModelError
from flue_actors.models.failures import status_error
from flue_actors.models.retry import MAX_RETRY_AFTER, retry_delay


def test_three_retries_after_two_four_and_eight_seconds_with_jitter() -> None:
    error, rng = ModelError(retryable=True), random.Random(1)
    for attempt, base in ((1, 2), (2, 4), (3, 8)):
        delays = [retry_delay(attempt, error, rng) for _ in range(200)]
        assert all(delay is not None and 0.75 * base <= delay <= base for delay in delays)
        assert len(set(delays)) > 100
    assert retry_delay(4, error, rng) is None


def test_a_permanent_error_is_not_retried() -> None:
    assert retry_delay(1, ModelError(), random.Random(1)) is None


def test_retry_after_is_never_undercut_and_is_capped() -> None:
    rng = random.Random(1)
    delays = [retry_delay(1, ModelError(retryable=True, retry_after=5), rng) for _ in range(200)]
    assert all(delay is not None and 5 <= delay <= 6.25 for delay in delays)
    capped = retry_delay(1, ModelError(retryable=True, retry_after=86_400), rng)
    assert capped is not None
    assert capped <= MAX_RETRY_AFTER * 1.25


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_these_statuses_may_succeed_later(status: int) -> None:
    assert status_error(status).retryable


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_these_statuses_are_final(status: int) -> None:
    assert not status_error(status).retryable


@pytest.mark.parametrize(
    ("status", "code"), [(429, "model_overloaded"), (529, "model_overloaded"), (500, "model_error")]
)
def test_overload_has_its_own_code_and_provider_words_stay_inside(status: int, code: str) -> None:
    error = status_error(status, dev="secret words")
    assert error.type == code
    assert "secret" not in error.message + error.details
    assert "secret" in error.dev
