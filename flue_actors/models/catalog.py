"""What is known about models: windows, output limits, thinking style, prices.

Unknown is not zero: a model that is not listed has ``context_window=0`` (unknown) and no prices, so its cost is None.
"""

from typing import Final, Literal

import msgspec

from flue_actors.messages import Cost, Usage

ThinkingStyle = Literal["none", "budget", "adaptive", "between_tools", "always"]
Effort = Literal["high", "xhigh", "max"]


class Prices(msgspec.Struct, frozen=True):
    """US dollars per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float


class ModelInfo(msgspec.Struct, frozen=True):
    """Facts about one model.

    Attributes:
        context_window: Tokens it can read; 0 = unknown.
        max_tokens: Tokens it can write; None = unknown.
        thinking: How reasoning is asked for: not at all, by a token budget, or by an effort, which can be switched off,
            switched off but for a few words between tool calls, or not switched off.
        prices: None = unknown.
        top_effort: The effort that the level ``xhigh`` asks for.
        native_results: The provider can promise that a reply is an instance of a JSON schema; of which ones says
            `models.result_schema.native_schema`.
        bound_thinking: It takes its own reasoning back only behind the very history that it came from (Anthropic).
    """

    context_window: int = 0
    max_tokens: int | None = None
    thinking: ThinkingStyle = "none"
    prices: Prices | None = None
    top_effort: Effort = "high"
    native_results: bool = False
    bound_thinking: bool = False


UNKNOWN: Final = ModelInfo()


def cost_of(usage: Usage, prices: Prices | None) -> Cost | None:
    """What these tokens cost; None without prices."""
    if prices is None:
        return None
    parts = (
        usage.input * prices.input / 1e6,
        usage.output * prices.output / 1e6,
        usage.cache_read * prices.cache_read / 1e6,
        usage.cache_write * prices.cache_write / 1e6,
    )
    return Cost(input=parts[0], output=parts[1], cache_read=parts[2], cache_write=parts[3], total=sum(parts))


def _prices(input: float, output: float) -> Prices:
    """Anthropic's published ratios: reading the five-minute cache costs a tenth, writing it 1.25 times the input."""
    return Prices(input=input, output=output, cache_read=input / 10, cache_write=input * 1.25)


def _claude(
    context_window: int, max_tokens: int, thinking: ThinkingStyle, prices: Prices | None, top_effort: Effort = "high"
) -> ModelInfo:
    """Every Claude model since 4.5 promises results natively."""
    return ModelInfo(context_window, max_tokens, thinking, prices, top_effort, native_results=True)


def _claude_5_5(thinking: ThinkingStyle, prices: Prices | None) -> ModelInfo:
    """The generation that binds its reasoning to the conversation."""
    return ModelInfo(1_000_000, 128_000, thinking, prices, "xhigh", native_results=True, bound_thinking=True)


_OPUS: Final = _prices(5, 25)
_HAIKU_4_5: Final = _claude(200_000, 64_000, "budget", _prices(1, 5))
_SONNET_4_5: Final = _claude(200_000, 64_000, "budget", _prices(3, 15))
_OPUS_4_5: Final = _claude(200_000, 64_000, "budget", _OPUS)

ANTHROPIC: Final = {
    "claude-haiku-4-5": _HAIKU_4_5,
    "claude-haiku-4-5-20251001": _HAIKU_4_5,
    "claude-sonnet-4-5": _SONNET_4_5,
    "claude-sonnet-4-5-20250929": _SONNET_4_5,
    "claude-opus-4-5": _OPUS_4_5,
    "claude-opus-4-5-20251101": _OPUS_4_5,
    "claude-sonnet-4-6": _claude(1_000_000, 64_000, "adaptive", _prices(3, 15)),
    "claude-opus-4-6": _claude(1_000_000, 128_000, "adaptive", _OPUS, "max"),
    "claude-opus-4-7": _claude(1_000_000, 128_000, "adaptive", _OPUS, "xhigh"),
    "claude-opus-4-8": _claude(1_000_000, 128_000, "adaptive", _OPUS, "xhigh"),
    "claude-sonnet-5": _claude(1_000_000, 128_000, "adaptive", _prices(2, 10), "xhigh"),
    "claude-opus-5": _claude(1_000_000, 128_000, "adaptive", _OPUS, "xhigh"),
    # Its price depends on the prompt's length, which one number per token cannot say.
    "claude-haiku-5-5": _claude_5_5("adaptive", None),
    "claude-sonnet-5-5": _claude_5_5("between_tools", _prices(2, 10)),
    "claude-opus-5-5": _claude_5_5("always", _prices(4, 20)),
    "claude-fable-5-1": _claude_5_5("always", _prices(10, 50)),
    "claude-fable-5-2": _claude_5_5("always", _prices(8, 40)),
}
"""Anthropic's models whose facts are known. Any other name is sent as it is, with unknown facts and no cost."""
