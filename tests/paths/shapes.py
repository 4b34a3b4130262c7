"""A shape of answers, and the models that give it: one kind calls tools, of the other the provider promises it."""

from typing import Any, Final

TOOLS: Final = {"scripted": "scripted/echo", "anthropic": "anthropic/unheard-of"}
NATIVE: Final = {"scripted": "scripted/echo?native=1", "anthropic": "anthropic/claude-haiku-4-5"}

CITY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
