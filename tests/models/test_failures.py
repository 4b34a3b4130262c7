import pytest

from flue_actors.errors import (
    ContextOverflowError,
    ModelOverloadedError,
    ModelRefusedError,
    ModelRejectedError,
)
from flue_actors.models.failures import status_error


@pytest.mark.parametrize(
    ("status", "codes", "words"),
    [
        (413, (), ""),
        (400, ("invalid_request_error",), "prompt is too long: 207791 tokens > 200000 maximum"),
        (
            400,
            ("invalid_request_error",),
            "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000",
        ),
        (400, (), "This model's maximum context length is 131072 tokens. However, you requested 131134 tokens"),
        (400, ("context_length_exceeded", "invalid_request_error"), "anything"),
        (400, ("exceed_context_size_error",), "anything"),
    ],
)
def test_a_context_that_is_too_long_has_its_own_class(status: int, codes: tuple[str, ...], words: str) -> None:
    error = status_error(status, codes=codes, words=words, retry_after=1, dev="said")
    assert isinstance(error, ContextOverflowError)
    assert not error.retryable
    assert error.retry_after is None
    assert "said" in error.dev


@pytest.mark.parametrize(
    ("words", "window"),
    [
        ("prompt is too long: 207791 tokens > 200000 maximum", 200_000),
        ("input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000", 200_000),
        ("This model's maximum context length is 131072 tokens. However, you requested 131134 tokens", 131_072),
        ("This endpoint's maximum context length is 32,768 tokens. However, you requested about 40,000", 32_768),
        ("the request exceeds the available context size (4096 tokens), try increasing it", 4096),
        (
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            32768,
        ),
        ("The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
        ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 131_072),
        ("The decoder prompt (length 9000) is longer than the maximum model length of 8192.", 8192),
        ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", 8192),
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000", 8193),
        ("Your input exceeds the context window of this model. Please adjust your input and try again.", 0),
        ("Please reduce the length of the messages or completion.", 0),
        ("input is too long for requested model", 0),
        ("maximum context length is 7 tokens", 0),
    ],
)
def test_how_much_the_model_reads_is_learned_from_its_refusal(words: str, window: int) -> None:
    for status in (400, 422):
        error = status_error(status, words=words)
        assert isinstance(error, ContextOverflowError)
        assert error.window == window


@pytest.mark.parametrize("status", [401, 404, 429, 500, 529])
def test_words_decide_nothing_but_for_a_malformed_request(status: int) -> None:
    assert not isinstance(status_error(status, words="prompt is too long"), ContextOverflowError)


@pytest.mark.parametrize("status", [400, 422])
def test_another_malformed_request_is_one_that_the_provider_does_not_take(status: int) -> None:
    error = status_error(status, codes=("invalid_request_error",), words="max_tokens: too high", dev="said")
    assert type(error) is ModelRejectedError
    assert not error.retryable
    assert "said" in error.dev


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation"])
def test_a_filtered_prompt_is_a_refusal(code: str) -> None:
    error = status_error(400, codes=(code,))
    assert isinstance(error, ModelRefusedError)
    assert not error.retryable


@pytest.mark.parametrize("code", ["insufficient_quota", "enforced_spend_limit_reached"])
def test_want_of_money_is_no_overload(code: str) -> None:
    error = status_error(429, codes=(code, "rate_limit_error"), retry_after=1)
    assert not isinstance(error, ModelOverloadedError)
    assert not error.retryable


def test_a_rate_limit_is_an_overload_with_its_time() -> None:
    error = status_error(429, codes=("rate_limit_error",), retry_after=3)
    assert isinstance(error, ModelOverloadedError)
    assert (error.retryable, error.retry_after) == (True, 3)
