import json

import pytest

from flue_actors import errors
from flue_actors.gateway.errors import STATUS, answer, error_body, status_of

STATUSES = [
    (errors.InvalidRequestError(), 400),
    (errors.InvalidJsonError(), 400),
    (errors.Denied(401), 401),
    (errors.Denied(451), 451),
    (errors.ForbiddenOriginError(), 403),
    (errors.UnknownAgentError(), 404),
    (errors.RouteNotFoundError(), 404),
    (errors.SessionNotFoundError(), 404),
    (errors.SubmissionNotFoundError(), 404),
    (errors.ApprovalNotFoundError(), 404),
    (errors.AttachmentNotFoundError(), 404),
    (errors.MethodNotAllowedError(), 405),
    (errors.RequestTimeoutError(), 408),
    (errors.SessionBusyError(), 409),
    (errors.AbortedError(), 409),
    (errors.SubmissionConflictError(), 409),
    (errors.ApprovalDecidedError(), 409),
    (errors.TooLargeError(), 413),
    (errors.MediaTypeError(), 415),
    (errors.TurnLimitError(), 422),
    (errors.TokenLimitError(), 422),
    (errors.CostLimitError(), 422),
    (errors.InstanceLimitError(), 422),
    (errors.ModelRefusedError(), 422),
    (errors.ContextOverflowError(), 422),
    (errors.ResultUnavailableError(), 422),
    (errors.ToolFailedError(), 422),
    (errors.SkillNotFoundError(), 422),
    (errors.SubagentNotFoundError(), 422),
    (errors.SandboxMissingError(), 422),
    (errors.QueueFullError(), 429),
    (errors.InternalError(), 500),
    (errors.WorkspaceError(), 500),
    (errors.AttemptsExhaustedError(), 500),
    (errors.ConfigError(), 500),
    (errors.FencedError(), 500),
    (errors.ModelError(), 502),
    (errors.ModelRejectedError(), 502),
    (errors.ModelOverloadedError(), 503),
    (errors.NotStartedError(), 503),
    (errors.DrainingError(), 503),
    (errors.OverloadedError(), 503),
    (errors.StoreUnavailableError(), 503),
    (errors.InterruptedTurnError(), 503),
    (errors.DeadlineExceededError(), 504),
]


@pytest.mark.parametrize(("error", "status"), STATUSES)
def test_an_error_has_its_status(error: errors.FlueError, status: int) -> None:
    assert status_of(error) == status


def test_the_envelope_holds_type_message_and_details() -> None:
    body = json.loads(answer(errors.InvalidRequestError("No.", details="Do.", meta={"a": 1})).body)
    assert body == {"error": {"type": "invalid_request", "message": "No.", "details": "Do.", "meta": {"a": 1}}}


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.QueueFullError(retry_after=7.2), "8"),
        (errors.QueueFullError(), "1"),
        (errors.DrainingError(retry_after=0.01), "1"),
        (errors.ModelOverloadedError(retry_after=30), "30"),
    ],
)
def test_who_may_come_back_is_told_when(error: errors.FlueError, seconds: str) -> None:
    assert dict(answer(error).headers)["retry-after"] == seconds


def test_who_may_not_come_back_is_not() -> None:
    assert answer(errors.InvalidRequestError()).headers == ()


def test_a_missing_login_names_the_scheme() -> None:
    assert dict(answer(errors.Denied(401)).headers)["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError("/home/x/agents/a.py:3 is wrong"),
        errors.StoreOwnedError("/data/x.db"),
        errors.CallCycleError("a waits for b"),
        errors.FencedError("attempt 2"),
        ValueError("k3y"),
    ],
)
def test_what_is_not_the_callers_business_says_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    body = error_body(error)
    assert body.type == "internal_error"
    assert str(error) not in str(body)
    assert str(error) in caplog.text


def test_a_developer_sees_it_in_development_mode() -> None:
    assert "agents/a.py" in str(error_body(errors.ConfigError("agents/a.py is wrong"), dev=True).dev)
    assert error_body(errors.ModelError(dev="provider text")).dev != "provider text"
    assert error_body(errors.ModelError(dev="provider text"), dev=True).dev == "provider text"


def test_every_error_that_may_end_a_turn_is_read_back_as_itself() -> None:
    ends = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TurnError)]
    read = [
        type(errors.turn_error(kind.type, "said", "do this", None)) for kind in ends if kind is not errors.TurnError
    ]
    assert read == [kind for kind in ends if kind is not errors.TurnError]


def test_every_error_that_may_end_a_turn_has_a_status_of_its_own() -> None:
    ends = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TurnError)]
    assert {kind for kind in ends if kind not in STATUS} == {errors.TurnError, errors.InternalError}
