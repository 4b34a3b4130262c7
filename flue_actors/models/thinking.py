"""How much reasoning a level asks for, in the two currencies of the providers: tokens and effort. Pure.

| level | budget models | effort models |
|---|---|---|
| off | none | none; ``low`` where it cannot be switched off |
| minimal | 1,024 tokens | low |
| low | 2,048 | low |
| medium | 8,192 | medium |
| high | 16,384 | high |
| xhigh | 16,384 | the model's own top (`ModelInfo.top_effort`) |
"""

from typing import Final

from flue_actors.models.catalog import ModelInfo
from flue_actors.models.protocol import ThinkingLevel

LEAST: Final = 1024
"""Tokens: the smallest budget, and what a budget leaves for the answer."""

_BUDGETS: Final[dict[ThinkingLevel, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 16384,
}
_EFFORTS: Final[dict[ThinkingLevel, str]] = {
    "off": "low",  # for models that always think: as little as they can
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
}


def budget(level: ThinkingLevel, max_tokens: int) -> int:
    """Tokens to think with: at least 1,024 are left for the answer; 0 where that leaves less than 1,024 to think."""
    tokens = min(_BUDGETS.get(level, 0), max_tokens - LEAST)
    return tokens if tokens >= LEAST else 0


def effort(level: ThinkingLevel, info: ModelInfo) -> str:
    """The effort that stands for this level."""
    return _EFFORTS.get(level, info.top_effort)
