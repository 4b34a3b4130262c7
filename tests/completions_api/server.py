"""A local server that speaks ``POST /v1/chat/completions``: the real SDK is tested against it over a real socket.

async with completions_server() as server:
    server.fail(Fault("status", status=429, retry_after=1))
    ... base_url=f"{server.url}/v1" ...
    server.requests[0].body
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec

from tests.completions_api.prefixes import PrefixCache
from tests.completions_api.replies import asked, frame, frames
from tests.completions_api.validation import refusal
from tests.messages_api.cache import InputTokens
from tests.messages_api.plans import PROVIDER_TEXT, FaultKind, Plan, envelope_plan, stream_plan
from tests.messages_api.replies import reply_to
from tests.messages_api.serving import ApiServer, Recorded, Settings, serving

_NOTHING: Final = InputTokens(0, 0, 0)
_OVERLOADED: Final = {"error": {"message": PROVIDER_TEXT, "type": "overloaded_error", "code": 503}}
_BREAKAGE: Final[Mapping[FaultKind, bytes]] = {
    "overloaded": frame(_OVERLOADED),
    "malformed": b'data: {"id":"chatcmpl-1","choi\n\n',
}
_CODES: Final = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class ChatSettings(Settings, frozen=True, kw_only=True):
    """See `Settings`.

    Attributes:
        own: Takes what OpenAI itself takes; otherwise as strict as the strictest of the others.
        reasoning: The field that reasoning comes in.
        done: Ends the stream with ``[DONE]``.
        coded: A prompt that is too long has a code for it; otherwise only words.
    """

    own: bool = False
    reasoning: str = "reasoning_content"
    done: bool = True
    coded: bool = True


class ChatServer(ApiServer):
    """Answers requests; see the module."""

    def __init__(self, settings: ChatSettings) -> None:
        super().__init__(settings)
        self._chat = settings
        self._prefixes = PrefixCache()

    def plan(self, url: bytes, headers: dict[str, str], raw: bytes) -> Plan:
        """Decide the answer to one request."""
        self.count += 1
        number = self.count
        if url.partition(b"?")[0] != b"/v1/chat/completions":
            return _error(404, "no such path", number)
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if self.settings.api_key is not None and key != self.settings.api_key:
            return _error(401, "Incorrect API key provided", number)
        try:
            body = _decode(raw)
        except msgspec.DecodeError:
            return _error(400, "the body is not JSON", number)
        if self.settings.accounting and (problem := refusal(body, own=self._chat.own)) is not None:
            return _error(400, problem, number)
        return self._answer(headers, body, raw, number)

    def _answer(self, headers: dict[str, str], body: dict[str, Any], raw: bytes, number: int) -> Plan:
        settings = self._chat
        question = asked(body)
        fault = self.fault_of(question.step, question.key)
        refused = fault is not None and fault.kind == "status"
        tokens = self._prefixes.account(body) if settings.accounting and not refused else _NOTHING
        if settings.record:
            self.requests.append(Recorded(headers, body, raw, tokens))
        if fault is not None and refused:
            return _error(fault.status, "scripted", number, fault.retry_after, code=fault.code)
        if settings.window and tokens.total > settings.window:
            code = "context_length_exceeded" if settings.coded else ""
            return _error(400, f"This model's maximum context length is {settings.window} tokens", number, code=code)
        reply = reply_to(question, self.canned)
        stream = frames(
            reply,
            body["model"],
            tokens,
            number,
            size=settings.size,
            reasoning=settings.reasoning,
            done=settings.done,
        )
        delay = settings.delay or question.step.wait
        return stream_plan(stream, number, fault, delay=delay, rate=settings.rate, breakage=_BREAKAGE)


def _error(status: int, message: str, number: int, retry_after: float | None = None, *, code: str = "") -> Plan:
    kind, usual = _CODES.get(status, ("server_error", None))
    error = {"message": f"{PROVIDER_TEXT}: {message}", "type": kind, "param": None, "code": code or usual}
    return envelope_plan(status, {"error": error}, number, retry_after)


def completions_server(
    settings: ChatSettings | None = None, *, port: int = 0
) -> AbstractAsyncContextManager[ChatServer]:
    """A server on the loopback interface while the block runs; port 0 = a free one."""
    return serving(ChatServer(settings or ChatSettings()), port=port)
