"""A local server that speaks ``POST /v1/messages``: the real SDK is tested against it over a real socket.

async with messages_server() as server:
    server.fail(Fault("status", status=529))
    ... base_url=server.url ...
    server.requests[0].body
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec

from tests.messages_api.binding import mismatch, signature
from tests.messages_api.cache import InputTokens
from tests.messages_api.plans import PROVIDER_TEXT, FaultKind, Plan, error_plan, json_plan, stream_plan
from tests.messages_api.replies import asked, frame, frames, message_json, reply_to
from tests.messages_api.serving import ApiServer, Recorded, Settings, serving
from tests.messages_api.validation import refusal

_NOTHING: Final = InputTokens(0, 0, 0)
_OVERLOADED: Final = {"type": "error", "error": {"type": "overloaded_error", "message": PROVIDER_TEXT}}
_BREAKAGE: Final[Mapping[FaultKind, bytes]] = {
    "overloaded": frame("error", _OVERLOADED),
    "malformed": b'event: content_block_delta\ndata: {"type":"content_block_delta","ind\n\n',
}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class MessagesServer(ApiServer):
    """Answers requests; see the module."""

    def plan(self, url: bytes, headers: dict[str, str], raw: bytes) -> Plan:
        """Decide the answer to one request."""
        self.count += 1
        number = self.count
        if url.partition(b"?")[0] != b"/v1/messages":
            return error_plan(404, "no such path", number)
        if self.settings.capacity and self.streaming >= self.settings.capacity:
            self.refused += 1
            return error_plan(529, "too many at a time", number)
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key or key != (self.settings.api_key or key):
            return error_plan(401, "invalid x-api-key", number)
        try:
            body = _decode(raw)
        except msgspec.DecodeError:
            return error_plan(400, "the body is not JSON", number)
        if self.settings.accounting and (problem := refusal(body)) is not None:
            return error_plan(400, problem, number)
        return self._answer(headers, body, raw, number)

    def _answer(self, headers: dict[str, str], body: dict[str, Any], raw: bytes, number: int) -> Plan:
        settings = self.settings
        question = asked(body)
        fault = self.fault_of(question.step, question.key)
        refused = fault is not None and fault.kind == "status"
        tokens = self.cache.account(body) if settings.accounting and not refused else _NOTHING
        if settings.record:
            self.requests.append(Recorded(headers, body, raw, tokens))
        if fault is not None and refused:
            return error_plan(fault.status, "scripted", number, fault.retry_after)
        if settings.window and tokens.total > settings.window:
            return error_plan(400, f"prompt is too long: {tokens.total} tokens > {settings.window} maximum", number)
        if settings.bound and (problem := mismatch(body, headers)) is not None:
            return error_plan(400, problem, number)
        signed = signature(body, body["messages"]) if settings.bound else "c2lnbmVk"
        reply = reply_to(question, self.canned, signed)
        model = body["model"]
        if not body.get("stream"):
            return json_plan(message_json(reply, model, tokens, number), number)
        stream = frames(reply, model, tokens, number, size=settings.size)
        delay = settings.delay or question.step.wait
        return stream_plan(stream, number, fault, delay=delay, rate=settings.rate, breakage=_BREAKAGE)


def messages_server(settings: Settings | None = None, *, port: int = 0) -> AbstractAsyncContextManager[MessagesServer]:
    """A server on the loopback interface while the block runs; port 0 = a free one."""
    return serving(MessagesServer(settings or Settings()), port=port)
