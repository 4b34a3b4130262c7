"""Calling what users wrote, on the loop or in a thread, and JSON of what it answers."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

RunBlocking = Callable[..., Awaitable[Any]]
"""Runs a function in a thread."""


async def call(function: Callable[..., Any], bound: Callable[[], Any], run_blocking: RunBlocking) -> Any:
    """Call ``bound``, which is ``function`` with its arguments: a sync one never runs on the loop."""
    if is_async(function):
        return await bound()
    result = await run_blocking(bound)
    return await result if inspect.isawaitable(result) else result


def is_async(function: Callable[..., Any]) -> bool:
    """True for an ``async def``, and for an object whose ``__call__`` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def json_text(value: Any) -> str:
    """JSON that says what the value says: not null for NaN, nor base64 for bytes, as msgspec would write by itself.

    Raises:
        TypeError, ValueError, RecursionError: It cannot be said in JSON.
    """
    plain = msgspec.to_builtins(value, enc_hook=_encode_other, builtin_types=(bytes, bytearray))
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _encode_other(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)
