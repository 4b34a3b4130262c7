"""What a recording is: exchanges with a model, one JSON object a line, found again by what was asked. Pure.

What was asked is compared without what differs from run to run: timestamps, ids of calls and submissions, the date, the
working directory, who answered an earlier message and what that cost. Headers and API keys are no part of a request and never get here.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

import msgspec

from flue_actors.messages import AssistantContent, Message, StopReason, TextContent, Usage
from flue_actors.models.protocol import (
    ModelEvent,
    ModelRequest,
    ReplyDone,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
)

Scrub = Callable[[str], str]
"""Takes out of a text what shall not be written or compared."""

Delta = tuple[Literal["text", "thinking", "start", "end"], str]

_SECRET: Final = re.compile(
    r"\b(?:(?:sk|pk|rk|hf|npm|xai|gsk|nvapi|glpat|dop_v1|r8|pplx|shpat|whsec)[-_]|gh[pousr]_|github_pat_|xox[abeprs]-"
    r"|A[KS]IA|AIza|ya29\.|SG\.|eyJ)[-_.A-Za-z0-9]{15,}[A-Za-z0-9]"
    r"|(?<=\bBearer )[-_.=/+A-Za-z0-9]{8,}"
    r"|(?<=://)[^\s/:@\"']*:[^\s/@\"']+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)
"""Keys by how they begin, bearer tokens, user and password of a URL, private keys."""

_NAMED_SECRET: Final = re.compile(
    r"(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token)\s+"
    r"|\b(?:x-)?api[-_]?key[\"']?\s*[:=]\s*[\"']?"
    r"|\b[a-z][a-z0-9_]*_(?:key|token|secret|password)\s*=\s*[\"']?"
    r"|[?&](?:key|token|sig|signature|access_token|x-amz-signature|x-amz-security-token|password)=)"
    r"[^\s\"'&#<>]{8,}",
    re.IGNORECASE,
)
"""The same by what stands before them: a header, a line of an environment, a URL's query."""

_SECRET_NAME: Final = re.compile(
    r"(?:.*[-_])?(?:api[-_]?key|password|passwd|secret|(?:access|auth)[-_]?token|authorization|private[-_]?key)",
    re.IGNORECASE,
)
"""And by the field that they are the value of."""

_HIDDEN: Final = "<secret>"
_ELSEWHERE: Final = re.compile(r"^(Date|Working directory): .*$", re.MULTILINE)
"""What another day or machine has other words for."""

_VARYING: Final = frozenset(
    {"timestamp", "api", "provider", "model", "usage", "stopReason", "errorMessage", "details", "signature"}
)
_VARYING_ATTRIBUTES: Final = frozenset({"submissionId", "dispatchId", "acceptedAt"})
_CALL_ID: Final = {"toolCall": "id", "toolResult": "toolCallId"}


class Recorded(msgspec.Struct, frozen=True, rename="camel"):
    """The whole reply of an exchange."""

    content: tuple[AssistantContent, ...]
    stop_reason: StopReason
    usage: Usage


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a cassette. ``key`` is the hash of ``request``, ``api`` the protocol it was recorded over."""

    key: str
    api: str
    request: dict[str, Any]
    deltas: tuple[Delta, ...]
    reply: Recorded

    def events(self) -> Iterator[ModelEvent]:
        """The stream as it was."""
        for kind, text in self.deltas:
            yield _EVENTS[kind](text)
        yield ReplyDone(content=self.reply.content, stop_reason=self.reply.stop_reason, usage=self.reply.usage)


_EVENTS: Final[Mapping[str, Callable[[str], ModelEvent]]] = {
    "text": TextDelta,
    "thinking": ThinkingDelta,
    "start": lambda _: ThinkingStart(),
    "end": ThinkingEnd,
}


def hide_credentials(text: str) -> str:
    """The text without what looks like a key, a token or a password."""
    return _NAMED_SECRET.sub(rf"\1{_HIDDEN}", _SECRET.sub(_HIDDEN, text))


def asked(request: ModelRequest, model: str, scrub: Scrub) -> dict[str, Any]:
    """What of a request counts, readable; see the module."""
    given: dict[str, Any] = {
        "model": model,
        "instructions": request.instructions,
        "about": _ELSEWHERE.sub(r"\1: <varies>", request.instance_text),
        "tools": [_plain(tool) for tool in request.tools],
        "thinking": request.thinking,
        "maxTokens": request.max_tokens,
        "resultSchema": request.result_schema,
        "noTools": not request.use_tools,
        "messages": _messages(request.messages),
    }
    return _scrubbed({name: value for name, value in given.items() if value}, scrub)


def key_of(request: Mapping[str, Any]) -> str:
    """16 hex digits that tell normalised requests apart."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()[:16]


def exchange(request: dict[str, Any], api: str, events: Sequence[ModelEvent], scrub: Scrub) -> Exchange:
    """The line that keeps this stream, which ended with a `ReplyDone`. Only its whole texts are scrubbed.

    A secret may be cut in two by the deltas: where scrubbing changes the reply, its text is one delta.
    """
    done = events[-1]
    if not isinstance(done, ReplyDone):
        raise TypeError("A stream ends with its reply.")
    said = Recorded(done.content, done.stop_reason, done.usage)
    reply = msgspec.convert(_scrubbed(_plain(said), scrub), Recorded)
    texts: list[Delta] = [("text", block.text) for block in reply.content if isinstance(block, TextContent)]
    deltas = tuple(_deltas(events) if reply == said else texts)
    return Exchange(key=key_of(request), api=api, request=request, deltas=deltas, reply=reply)


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two requests, a line each; a request that is more alike has fewer."""
    before, after = dict(_leaves(recorded)), dict(_leaves(now))
    return [
        f"{place}: recorded {_shown(before, place)}, asked {_shown(after, place)}"
        for place in before | after
        if before.get(place, _ABSENT) != after.get(place, _ABSENT)
    ]


_ABSENT: Final = object()


def _shown(leaves: Mapping[str, Any], place: str) -> str:
    if place not in leaves:
        return "nothing"
    text = repr(leaves[place])
    return text if len(text) <= 120 else text[:117] + "..."


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in cast("dict[str, Any]", value).items():
            yield from _leaves(inner, f"{place}.{name}" if place else name)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(cast("list[Any]", value)):
            yield from _leaves(inner, f"{place}[{number}]")
    else:
        yield place, value


def _deltas(events: Sequence[ModelEvent]) -> Iterator[Delta]:
    for event in events:
        if isinstance(event, TextDelta):
            if event.text:
                yield "text", event.text
        elif isinstance(event, ThinkingDelta):
            yield "thinking", event.text
        elif isinstance(event, ThinkingStart):
            yield "start", ""
        elif isinstance(event, ThinkingEnd):
            yield "end", event.text


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    names: dict[str, str] = {}  # of calls, by their order
    shown: list[dict[str, Any]] = []
    for message in messages:
        kept = _kept(_plain(message))
        if isinstance(kept.get("content"), list):
            kept["content"] = [_block(block, names) for block in cast("list[dict[str, Any]]", kept["content"])]
        if "attributes" in kept:
            kept["attributes"] = {
                name: value for name, value in kept["attributes"].items() if name not in _VARYING_ATTRIBUTES
            }
        shown.append(_renamed(kept, kept["role"], names))
    return shown


def _block(block: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return _renamed(_kept(block), block["type"], names)


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    """What does not vary. A field that says nothing is as one that is not there: a later version may bring one."""
    return {name: value for name, value in fields.items() if value and name not in _VARYING}


def _renamed(part: dict[str, Any], kind: str, names: dict[str, str]) -> dict[str, Any]:
    field = _CALL_ID.get(kind)
    if field is None:
        return part
    return part | {field: names.setdefault(part[field], f"call_{len(names) + 1}")}


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    """As JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _scrubbed(value: Any, scrub: Scrub) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {
            name: _HIDDEN if isinstance(inner, str) and _SECRET_NAME.fullmatch(name) else _scrubbed(inner, scrub)
            for name, inner in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, list):
        return [_scrubbed(inner, scrub) for inner in cast("list[Any]", value)]
    return value
