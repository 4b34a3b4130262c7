"""What both SDKs' clients share below their own wire: limits, raw bytes, Retry-After. Needs an SDK's ``httpx2``."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, cast

import httpx2

from flue_actors.models.transport import Transport

KEEPALIVE: Final = 55.0
"""Seconds an idle connection stays open; the HTTP client's own 5 s would cost most turns of a chat a new handshake."""

DRAIN: Final = 0.25
"""Seconds to wait for the end of a response whose reply is whole: only then its connection can be used again."""

TIMEOUT: Final = httpx2.Timeout(None, connect=10.0)
"""Only connecting is timed here: silence is the session's, and a read timer is 10 % of the CPU of a delta."""

PIECE: Final = 256 * 1024
"""Bytes of a body that are sent in one go: 20 MB at once hold up the loop for 29 ms, in pieces for 0.9 ms."""

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}
_STEP: Final = re.compile(r"([0-9.]+)(h|ms|m|s|)")
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s))+|[0-9]+(?:\.[0-9]+)?")


def limits(max_connections: int) -> httpx2.Limits:
    """A pool of this many connections, all of them kept."""
    return httpx2.Limits(
        max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=KEEPALIVE
    )


def content(body: bytes) -> bytes | AsyncIterator[bytes]:
    """The body, in pieces if it is large; then `length_header` has to go with it."""
    return body if len(body) <= PIECE else _pieces(body)


def length_header(body: bytes) -> dict[str, str]:
    """What keeps a body in pieces from being sent chunked, which not every server takes."""
    return {"Content-Length": str(len(body))}


async def _pieces(body: bytes) -> AsyncGenerator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def chunks(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The bytes as they arrive. aiter_bytes would put four generators around them; without compression they do nothing."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return aiter(cast("httpx2.AsyncByteStream", response.stream))


async def drain(rest: AsyncIterator[bytes]) -> None:
    """Read what is left; give up quietly when it does not come."""
    try:
        async with asyncio.timeout(DRAIN):
            async for _ in rest:
                pass
    except (TimeoutError, httpx2.HTTPError, OSError):
        return


def retry_after(response: httpx2.Response) -> float | None:
    """Seconds, from ``retry-after-ms``, ``retry-after`` (a number or a date), or what ``x-ratelimit-...`` says of what is
    used up; None without any."""
    headers = response.headers
    for found in (_number(headers, "retry-after-ms", 1000), _number(headers, "retry-after", 1), _date(headers)):
        if found is not None:
            return found
    used_up = [
        kind for kind in ("requests", "tokens") if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"
    ]
    return max([_duration(headers.get(f"x-ratelimit-reset-{kind}", "")) for kind in used_up], default=0.0) or None


def _number(headers: httpx2.Headers, name: str, unit: int) -> float | None:
    try:
        seconds = float(headers.get(name, "")) / unit
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _date(headers: httpx2.Headers) -> float | None:
    """A gateway's form of ``retry-after``; by the answer's own clock, where it names one."""
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(until.tzinfo)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _duration(text: str) -> float:
    """Seconds in ``6m0s``, ``2m59.56s``, ``120ms`` or ``7``; 0 in anything else."""
    text = text.strip()
    if not _DURATION.fullmatch(text):
        return 0.0
    return sum([float(number) * _UNITS[unit] for number, unit in _STEP.findall(text)])


def foreign_headers(transport: Transport, variable: str) -> list[str]:
    """Names of the headers that an SDK would add from this environment variable, and that are not meant for this address.

    A line of it is ``name: value``, and may well hold credentials.
    """
    if transport.environment:
        return []
    named = {name.lower() for name in transport.headers}
    names = [line.partition(":")[0].strip() for line in os.environ.get(variable, "").split("\n") if ":" in line]
    return [name for name in names if name.lower() not in named]
