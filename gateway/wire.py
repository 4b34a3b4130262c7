"""What crosses the wire: request bodies, socket frames and envelopes, with one decoder and one encoder each.

Spelling and shapes are Flue 0.10's, those of pictures Flue 2's. Unknown fields are ignored, so newer clients can talk to
older servers. A ``bytes`` field is base64, decoded in the same pass.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from flue_actors.agent_ref import ApprovalInfo, HistoryEntry, IfBusy, InstanceStatus, SessionInfo, SubmissionInfo
from flue_actors.conversation.approval import Verdict
from flue_actors.definition.attaching import MOST
from flue_actors.errors import InvalidJsonError, InvalidRequestError
from flue_actors.events import Event, PromptResult
from flue_actors.ids import DEFAULT_SESSION
from flue_actors.observing import Shown

PROTOCOL_VERSION: Final = 1
SUBPROTOCOL: Final = "flue.v1"

MAX_REASON: Final = 2_000
"""Characters of the words that come with a decision."""

T = TypeVar("T")


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class ImagePart(_Wire, frozen=True, kw_only=True, tag_field="type", tag="image"):
    """A picture of a prompt."""

    data: bytes
    mime_type: str


class FilePart(_Wire, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """A document of a prompt."""

    data: bytes
    mime_type: str
    name: str


class Prompting(_Wire, frozen=True, kw_only=True):
    """What a prompt says, whichever way it comes. ``result`` is the JSON schema of the answer that is wanted."""

    message: str
    session: str = DEFAULT_SESSION
    if_busy: IfBusy = "queue"
    cancel_on_disconnect: bool = False
    images: Annotated[tuple[ImagePart, ...], Meta(max_length=MOST)] = ()
    files: Annotated[tuple[FilePart, ...], Meta(max_length=MOST)] = ()
    result: dict[str, Any] | None = None


class PromptBody(Prompting, frozen=True, kw_only=True):
    """``POST /agents/{name}/{id}``."""


Decision = Literal["approve", "deny"]
VERDICTS: Final[Mapping[Decision, Verdict]] = {"approve": "approved", "deny": "denied"}
"""What was decided, as events and answers say it."""

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {"decision": get_args(Decision), "ifBusy": get_args(IfBusy)}
"""Fields of which msgspec tells only that a word is none of theirs."""

Reason = Annotated[str, Meta(max_length=MAX_REASON)]


class DecisionBody(_Wire, frozen=True, kw_only=True):
    """``POST .../approvals/{approvalId}``. ``reason`` is told to the model when it is denied."""

    decision: Decision
    reason: Reason | None = None


class DecidedBody(_Wire, frozen=True, kw_only=True):
    """The answer: the decision is on disk."""

    approval_id: str
    decision: Verdict


class ApprovalsBody(_Wire, frozen=True, kw_only=True):
    """An instance's tool calls that wait for somebody's decision, oldest first."""

    approvals: list[ApprovalInfo]


class StatusBody(InstanceStatus, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """``GET .../status`` while decisions are needed."""

    approvals: list[ApprovalInfo]


class SubmissionBody(SubmissionInfo, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """``GET .../submissions/{submissionId}`` while decisions are needed."""

    approvals: list[ApprovalInfo]


class AbortBody(_Wire, frozen=True, kw_only=True):
    """``POST .../abort``: one submission, one session, or (neither) everything of the instance."""

    session: str | None = None
    submission_id: str | None = None


class AbortedBody(_Wire, frozen=True, kw_only=True):
    """How many inputs are to be aborted. The wish is durable; their outcomes follow."""

    aborted: bool
    count: int


class AcceptedBody(_Wire, frozen=True, kw_only=True):
    """The answer to a prompt sent with ``Prefer: respond-async``: it is on disk. Its events are behind ``offset``."""

    submission_id: str
    stream_url: str
    offset: str


class SessionsBody(_Wire, frozen=True, kw_only=True):
    """An instance's conversations, in order of creation."""

    sessions: list[SessionInfo]


class HistoryBody(_Wire, frozen=True, kw_only=True):
    """A page of a conversation, in order. ``next`` is where the next page begins, if there is one."""

    entries: list[HistoryEntry]
    next: str | UnsetType = UNSET


class ResultBody(_Wire, frozen=True, kw_only=True):
    """The answer to a prompt."""

    result: PromptResult


class ErrorBody(_Wire, frozen=True, kw_only=True):
    """An error as callers see it. ``dev`` is filled in development mode only."""

    type: str
    message: str
    details: str | UnsetType = UNSET
    dev: str | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET


class ErrorEnvelope(_Wire, frozen=True, kw_only=True):
    """Every error answer's body."""

    error: ErrorBody


class StreamError(_Wire, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The last event of a stream that ends for a reason outside its submission."""

    instance_id: str
    error: ErrorBody


class PromptFrame(Prompting, frozen=True, kw_only=True, tag_field="type", tag="prompt"):
    """Client: work on this message."""

    version: Literal[1]
    request_id: str
    idempotency_key: str | None = None


class AbortFrame(_Wire, frozen=True, kw_only=True, tag_field="type", tag="abort"):
    """Client: stop working on that request. Its own ``error`` of type ``aborted`` follows, unless it ends before."""

    version: Literal[1]
    request_id: str


class DecideFrame(_Wire, frozen=True, kw_only=True, tag_field="type", tag="decide"):
    """Client: this is decided on a tool call, whoever sent the message that it belongs to."""

    version: Literal[1]
    request_id: str
    approval_id: str
    decision: Decision
    reason: Reason | None = None


class ListFrame(_Wire, frozen=True, kw_only=True, tag_field="type", tag="approvals"):
    """Client: which tool calls of the instance wait for somebody's decision?"""

    version: Literal[1]
    request_id: str


class StreamFrame(_Wire, frozen=True, kw_only=True, tag_field="type", tag="stream"):
    """Client: send every event of the session behind ``offset`` (without one: from now on) until `stop`."""

    version: Literal[1]
    request_id: str
    session: str = DEFAULT_SESSION
    offset: str | None = None


class StopFrame(_Wire, frozen=True, kw_only=True, tag_field="type", tag="stop"):
    """Client: end that stream."""

    version: Literal[1]
    request_id: str


class PingFrame(_Wire, frozen=True, kw_only=True, tag_field="type", tag="ping"):
    """Client: are you there? Answered at once, whatever runs."""

    version: Literal[1]
    request_id: str | UnsetType = UNSET


ClientFrame = PromptFrame | AbortFrame | DecideFrame | ListFrame | StreamFrame | StopFrame | PingFrame


class _ServerFrame(_Wire, frozen=True, kw_only=True, omit_defaults=False, tag_field="type"):
    version: int = PROTOCOL_VERSION


class ReadyFrame(_ServerFrame, frozen=True, kw_only=True, tag="ready"):
    """The first frame on every socket."""

    target: Literal["agent"] = "agent"
    name: str
    instance_id: str


class StartedFrame(_ServerFrame, frozen=True, kw_only=True, tag="started"):
    """The prompt's work begins: sent with its first event, not when it is queued."""

    request_id: str


class ResultFrame(_ServerFrame, frozen=True, kw_only=True, tag="result"):
    """The prompt is answered."""

    request_id: str
    result: PromptResult | None


class ErrorFrame(_ServerFrame, frozen=True, kw_only=True, tag="error"):
    """The prompt failed; without ``request_id``: the frame itself could not be understood. The socket stays open."""

    request_id: str | UnsetType = UNSET
    error: ErrorBody


class DecidedFrame(_ServerFrame, frozen=True, kw_only=True, tag="decided"):
    """The answer to a decision: it is on disk."""

    request_id: str
    approval_id: str
    decision: Verdict


class ApprovalsFrame(_ServerFrame, frozen=True, kw_only=True, tag="approvals"):
    """The answer to that, oldest first."""

    request_id: str
    approvals: list[ApprovalInfo]


class StoppedFrame(_ServerFrame, frozen=True, kw_only=True, tag="stopped"):
    """The stream has ended: it was stopped, or its session removed."""

    request_id: str


class PongFrame(_ServerFrame, frozen=True, kw_only=True, tag="pong"):
    """The answer to a ping."""

    request_id: str | UnsetType = UNSET


ServerFrame = (
    ReadyFrame | StartedFrame | ResultFrame | ErrorFrame | DecidedFrame | ApprovalsFrame | StoppedFrame | PongFrame
)

_encoder = msgspec.json.Encoder()
_prompt_body = msgspec.json.Decoder(PromptBody)
_abort_body = msgspec.json.Decoder(AbortBody)
_decision_body = msgspec.json.Decoder(DecisionBody)
_client_frame = msgspec.json.Decoder(ClientFrame)
_well_formed = msgspec.json.Decoder(msgspec.Raw)


def encode(value: msgspec.Struct) -> bytes:
    """JSON of any Struct of this module."""
    return _encoder.encode(value)


def encode_event(event: Event) -> bytes:
    """JSON of an event, as it stands."""
    return _encoder.encode(event)


def encode_shown(shown: Shown) -> bytes:
    """The same, made once for all who read it."""
    if shown.encoded is None:
        shown.encoded = _encoder.encode(shown.event)
    return shown.encoded


def encode_text(text: str) -> bytes:
    """A JSON string."""
    return _encoder.encode(text)


def decode_prompt(body: bytes) -> PromptBody:
    """The body of a prompt; an empty body is ``{}`` and so lacks its message.

    Raises:
        InvalidJsonError: Not JSON.
        InvalidRequestError: JSON, but a field is missing or has the wrong type.
    """
    return _decode(body or b"{}", _prompt_body)


def decode_abort(body: bytes) -> AbortBody:
    """The body of an abort; empty means everything. Errors as `decode_prompt`."""
    return _decode(body or b"{}", _abort_body)


def decode_decision(body: bytes) -> DecisionBody:
    """The body of a decision. Errors as `decode_prompt`."""
    return _decode(body or b"{}", _decision_body)


def decode_client_frame(text: str) -> ClientFrame:
    """One message of a socket's client. Errors as `decode_prompt`."""
    return _decode(text, _client_frame)


def _decode(raw: bytes | str, decoder: "msgspec.json.Decoder[T]") -> T:
    try:
        # Decoded first because msgspec does not look at the bytes of fields it skips.
        text = raw if isinstance(raw, str) else raw.decode()
        return decoder.decode(text)
    except msgspec.ValidationError as problem:
        _require_well_formed(raw)
        raise _invalid(str(problem)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidJsonError from None


def _invalid(problem: str) -> InvalidRequestError:
    """The field and what is wrong with it; of a word that is none, also the words that are."""
    message = f"The request is not valid: {problem}."
    for place, words in _WORDS.items():
        if problem.startswith("Invalid") and problem.endswith(f"`$.{place}`"):
            return InvalidRequestError(message, details=f"It is one of: {', '.join(words)}.")
    return InvalidRequestError(message)


def _require_well_formed(raw: bytes | str) -> None:
    """A type mismatch is found before the rest is parsed: what is not JSON at all must not be called a wrong field."""
    try:
        _well_formed.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidJsonError from None
