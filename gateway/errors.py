"""How an error looks from outside: one table from the error's class to its HTTP status, and one envelope.

On a socket every error is a frame and the socket stays open; the status only matters during the handshake. Errors that
are the developer's fault say nothing of themselves to a caller: they are `internal_error`, and the log has the rest.

| type | status | why this one |
|---|---|---|
| invalid_request, invalid_json | 400 | |
| unauthorized / forbidden | 401 / 403 | what the guard said |
| *_not_found | 404 | |
| method_not_allowed | 405 | with ``Allow`` |
| request_timeout | 408 | |
| session_busy, aborted, submission_conflict, approval_decided | 409 | another request's doing, before this or meanwhile |
| payload_too_large / unsupported_media_type | 413 / 415 | |
| turn_limit, token_limit, cost_limit, instance_limit | 422 | understood and tried; no client sends it again by itself |
| model_refused, context_overflow, result_unavailable | 422 | the same message would end the same way |
| tool_failed, sandbox_missing, skill_not_found, subagent_not_found | 422 | the same; sent from inside the program only |
| queue_full | 429 | with ``Retry-After`` |
| internal_error, workspace_error, attempts_exhausted | 500 | no 503: a client that sends it again by itself would stop the next server |
| model_error, model_rejected | 502 | the provider broke, or took no such request |
| model_overloaded, overloaded, draining, not_started, store_unavailable | 503 | with ``Retry-After`` |
| interrupted | 503 | with ``Retry-After``; the server stops. `meta` names the submission: it is kept, and read later |
| deadline_exceeded | 504 | |
"""

import logging
import math
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from flue_actors import errors
from flue_actors.errors import FlueError, InternalError
from flue_actors.gateway.wire import ErrorBody, ErrorEnvelope, encode

logger = logging.getLogger("flue_actors.gateway")

STATUS: Final[Mapping[type[FlueError], int]] = {
    FlueError: 500,
    errors.CallerError: 400,
    errors.RouteNotFoundError: 404,
    errors.UnknownAgentError: 404,
    errors.SessionNotFoundError: 404,
    errors.SubmissionNotFoundError: 404,
    errors.ApprovalNotFoundError: 404,
    errors.AttachmentNotFoundError: 404,
    errors.MethodNotAllowedError: 405,
    errors.RequestTimeoutError: 408,
    errors.SessionBusyError: 409,
    errors.SubmissionConflictError: 409,
    errors.ApprovalDecidedError: 409,
    errors.AbortedError: 409,
    errors.TooLargeError: 413,
    errors.MediaTypeError: 415,
    errors.ForbiddenOriginError: 403,
    errors.ReaderTooSlowError: 409,
    errors.TurnLimitError: 422,
    errors.TokenLimitError: 422,
    errors.CostLimitError: 422,
    errors.InstanceLimitError: 422,
    errors.ModelRefusedError: 422,
    errors.ContextOverflowError: 422,
    errors.ResultUnavailableError: 422,
    errors.ToolFailedError: 422,
    errors.SkillNotFoundError: 422,
    errors.SubagentNotFoundError: 422,
    errors.SandboxMissingError: 422,
    errors.QueueFullError: 429,
    errors.MailboxFullError: 429,
    errors.WorkspaceError: 500,
    errors.AttemptsExhaustedError: 500,
    errors.ModelError: 502,
    errors.ModelRejectedError: 502,
    errors.ModelOverloadedError: 503,
    errors.UnavailableError: 503,
    errors.ActorUnavailableError: 503,
    errors.ActorStoppedError: 503,
    errors.InterruptedTurnError: 503,
    errors.StoreUnavailableError: 503,
    errors.DeadlineExceededError: 504,
}
"""Status of an error's class, or of the nearest of its bases that is listed."""

RETRY_AFTER: Final[Mapping[int, int]] = {429: 1, 503: 1}
"""Seconds for ``Retry-After`` when the error itself does not know."""


class Answer(msgspec.Struct, frozen=True):
    """An error, ready to be sent as an HTTP response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer(error: Exception, *, dev: bool = False) -> Answer:
    """The HTTP response for an error."""
    headers: tuple[tuple[str, str], ...] = ()
    shown = public_error(error)
    status = status_of(shown)
    if isinstance(shown, errors.MethodNotAllowedError) and shown.meta is not None:
        headers = (*headers, ("allow", shown.meta["allow"]))
    if status == 401:
        headers = (*headers, ("www-authenticate", "Bearer"))
    seconds = shown.retry_after if shown.retry_after is not None else RETRY_AFTER.get(status)
    if seconds is not None:
        headers = (*headers, ("retry-after", str(max(1, math.ceil(seconds)))))
    return Answer(status, headers, encode(ErrorEnvelope(error=error_body(error, dev=dev))))


def status_of(error: FlueError) -> int:
    """The error's HTTP status."""
    if isinstance(error, errors.Denied):
        return error.status
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def public_error(error: Exception) -> FlueError:
    """The error itself if callers may read it, otherwise an `InternalError` that says nothing."""
    return error if isinstance(error, FlueError) and not _is_hidden(error) else InternalError()


def error_body(error: Exception, *, dev: bool = False) -> ErrorBody:
    """The error as callers see it; with ``dev`` also what only a developer may see. Logs what it hides."""
    shown = public_error(error)
    if shown is not error:
        logger.error("hidden from the caller", exc_info=error)
    note = _note(error) if dev else ""
    return ErrorBody(
        type=shown.type,
        message=shown.message,
        details=shown.details or UNSET,
        dev=note or UNSET,
        meta=shown.meta if shown.meta is not None else UNSET,
    )


def _note(error: Exception) -> str:
    if isinstance(error, FlueError):
        return error.dev or (str(error) if _is_hidden(error) else "")
    return f"{type(error).__name__}: {error}"


def _is_hidden(error: FlueError) -> bool:
    return error.fault == "developer" or isinstance(error, errors.FencedError)


def with_offset(body: ErrorBody, offset: str) -> ErrorBody:
    """The error that ends a stream, with the offset to go on from."""
    meta = {} if body.meta is UNSET else body.meta
    return msgspec.structs.replace(body, meta={**meta, "offset": offset})
