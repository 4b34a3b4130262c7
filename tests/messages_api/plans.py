"""How one request is answered on the wire: bytes, pauses and breakage. Pure; `server` performs it."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

FaultKind = Literal[
    "status", "half", "short", "reset", "malformed", "silence", "slow", "late_end", "overloaded", "dribble"
]
Ending = Literal["end", "close", "reset", "silence", "late_end"]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
PROVIDER_TEXT = "words-of-the-provider"
"""In every error message: it must never reach a caller."""


class Fault(msgspec.Struct, frozen=True):
    """Something that goes wrong with one request.

    status: answers with ``status`` (and Retry-After, and a code of its own where the API has codes). half, short, reset, silence, overloaded and malformed: in the
    middle of the stream the connection closes, the response ends as if whole, the connection is reset, nothing more
    comes, ``overloaded_error`` is reported, or an event is broken JSON. slow: the first byte takes ``seconds``.
    late_end: the reply is whole, but the response ends a moment after it. dribble: every byte comes on its own.
    """

    kind: FaultKind
    status: int = 0
    retry_after: float | None = None
    seconds: float = 0
    code: str = ""


class Plan(msgspec.Struct, frozen=True):
    """One answer: after ``delay`` seconds the head, then the frames (chunked), ``rate`` a second, then the ending."""

    head: bytes
    frames: tuple[bytes, ...]
    ending: Ending = "end"
    delay: float = 0
    rate: float = 0
    chunked: bool = True


def stream_plan(
    frames: list[bytes],
    number: int,
    fault: Fault | None,
    *,
    delay: float,
    rate: float,
    breakage: Mapping[FaultKind, bytes],
) -> Plan:
    """An event stream, with what the fault does to it; ``breakage`` are the frames of ``overloaded`` and ``malformed``."""
    head = _head(200, "text/event-stream; charset=utf-8", number, "transfer-encoding: chunked\r\n")
    if fault is not None and fault.kind == "dribble":
        return Plan(head, tuple(bytes([byte]) for byte in b"".join(frames)), rate=20_000)
    if fault is None or fault.kind in ("slow", "late_end"):
        delay = fault.seconds if fault is not None else delay
        ending = "end" if fault is None or fault.kind == "slow" else "late_end"
        return Plan(head, tuple(frames), ending, delay, rate)
    first_half = frames[: max(3, len(frames) // 2)]
    if fault.kind in breakage:
        first_half.append(breakage[fault.kind])
    endings: dict[FaultKind, Ending] = {"half": "close", "reset": "reset", "silence": "silence"}
    return Plan(head, tuple(first_half), endings.get(fault.kind, "end"), delay, rate)


def json_plan(body: bytes, number: int) -> Plan:
    """An answer that does not stream."""
    return Plan(_head(200, "application/json", number, f"content-length: {len(body)}\r\n"), (body,), chunked=False)


def error_plan(status: int, message: str, number: int, retry_after: float | None = None) -> Plan:
    """An error envelope."""
    error = {"type": _ERROR_TYPES.get(status, "api_error"), "message": f"{PROVIDER_TEXT}: {message}"}
    return envelope_plan(status, {"type": "error", "error": error, "request_id": f"req_{number}"}, number, retry_after)


def envelope_plan(status: int, envelope: dict[str, Any], number: int, retry_after: float | None = None) -> Plan:
    """An answer that is an error."""
    body = msgspec.json.encode(envelope)
    extra = f"content-length: {len(body)}\r\n"
    if retry_after is not None:
        extra += f"retry-after: {retry_after:g}\r\n"
    return Plan(_head(status, "application/json", number, extra), (body,), chunked=False)


def chunk(payload: bytes) -> bytes:
    """One chunk of a chunked body; the empty one ends it."""
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def _head(status: int, content_type: str, number: int, extra: str) -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\nrequest-id: req_{number}\r\n{extra}\r\n".encode()
