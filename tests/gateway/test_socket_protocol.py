import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flue_actors import events
from flue_actors.errors import QueueFullError, StoreUnavailableError
from flue_actors.events import ErrorEvent, Idle, ModelName, Operation, PromptResult, PublicError, TextDelta
from flue_actors.gateway.socket_protocol import AgentSocket
from flue_actors.gateway.wire import AbortFrame, DecideFrame, PromptFrame
from flue_actors.messages import Usage

RESULT = PromptResult(text="hello", usage=Usage(), model=ModelName("scripted", "echo"))
DONE = Operation(operation_kind="prompt", duration_ms=1, is_error=False, result=RESULT)


def socket(max_in_flight: int = 4) -> AgentSocket:
    return AgentSocket("echo", "me", max_in_flight=max_in_flight)


def prompt(request_id: Any = "r", message: Any = "hi", **more: Any) -> str:
    return json.dumps({"version": 1, "type": "prompt", "requestId": request_id, "message": message, **more})


def abort(request_id: Any = "r") -> str:
    return json.dumps({"version": 1, "type": "abort", "requestId": request_id})


def decision(request_id: Any = "r") -> str:
    return json.dumps(
        {"version": 1, "type": "decide", "requestId": request_id, "approvalId": "c1", "decision": "approve"}
    )


def frame(raw: object) -> dict[str, Any]:
    assert isinstance(raw, bytes)
    return json.loads(raw)


def frames(raw: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(each) for each in raw]


def test_the_server_speaks_first() -> None:
    assert json.loads(socket().ready()) == {
        "version": 1, "type": "ready", "target": "agent", "name": "echo", "instanceId": "me"
    }  # fmt: skip


def test_a_prompt_is_to_be_performed() -> None:
    assert socket().receive(prompt(session="x")) == PromptFrame(version=1, request_id="r", message="hi", session="x")


def test_a_ping_is_answered_at_once() -> None:
    assert frame(socket().receive('{"version":1,"type":"ping","requestId":"p"}')) == {
        "version": 1, "type": "pong", "requestId": "p"
    }  # fmt: skip
    assert frame(socket().receive('{"version":1,"type":"ping"}')) == {"version": 1, "type": "pong"}


def test_started_comes_with_the_first_event() -> None:
    here = socket()
    here.receive(prompt())
    assert here.deliver("r", []) == []
    assert [each["type"] for each in frames(here.deliver("r", [events.AgentStart()]))] == ["started", "event"]
    assert [each["type"] for each in frames(here.deliver("r", [TextDelta(text="a")]))] == ["event"]


def test_an_event_frame_holds_the_event_as_it_is() -> None:
    here = socket()
    here.receive(prompt('r"1'))
    _, last = frames(here.deliver('r"1', [TextDelta(text="ü", event_index=3)]))
    assert last == {
        "version": 1, "type": "event", "requestId": 'r"1',
        "event": {"type": "text_delta", "text": "ü", "eventIndex": 3},
    }  # fmt: skip


def test_the_result_follows_idle() -> None:
    here = socket()
    here.receive(prompt())
    *_, idle, result = frames(here.deliver("r", [DONE, Idle()]))
    assert idle["event"] == {"type": "idle"}
    assert result["type"] == "result"
    assert result["result"]["text"] == "hello"
    assert here.in_flight == 0


def test_a_childs_operation_is_not_the_result() -> None:
    here = socket()
    here.receive(prompt())
    child = Operation(operation_kind="prompt", duration_ms=1, is_error=False, task_id="t")
    *_, result = frames(here.deliver("r", [DONE, child, Idle()]))
    assert result["result"]["text"] == "hello"


def test_without_a_result_it_is_null() -> None:
    here = socket()
    here.receive(prompt())
    *_, result = frames(here.deliver("r", [Idle()]))
    assert result == {"version": 1, "type": "result", "requestId": "r", "result": None}


def test_a_failure_is_an_error_frame_and_no_event() -> None:
    here = socket()
    here.receive(prompt())
    error = ErrorEvent(error=PublicError(type="model_error", message="No."))
    started, last = frames(here.deliver("r", [error]))
    assert started["type"] == "started"
    assert last == {
        "version": 1, "type": "error", "requestId": "r", "error": {"type": "model_error", "message": "No."}
    }  # fmt: skip
    assert here.in_flight == 0


def test_a_refused_prompt_gets_one_error_and_its_id_back() -> None:
    here = socket()
    here.receive(prompt())
    last = frame(here.fail("r", QueueFullError()))
    assert (last["type"], last["requestId"], last["error"]["type"]) == ("error", "r", "queue_full")
    assert isinstance(here.receive(prompt()), PromptFrame)


def test_a_request_in_flight_can_be_aborted_and_keeps_its_id_until_its_outcome() -> None:
    here = socket()
    here.receive(prompt())
    assert here.receive(abort()) == AbortFrame(version=1, request_id="r")
    assert here.in_flight == 1
    aborted = ErrorEvent(error=PublicError(type="aborted", message="No.", meta={"reason": "aborted"}))
    last = frames(here.deliver("r", [aborted]))[-1]
    assert (last["requestId"], last["error"]["meta"]) == ("r", {"reason": "aborted"})
    assert here.in_flight == 0


@pytest.mark.parametrize("request_id", ["other", "", " ", "x" * 257])
def test_an_abort_of_no_request_is_an_error_that_names_none(request_id: str) -> None:
    here = socket()
    here.receive(prompt())
    refusal = frame(here.receive(abort(request_id)))
    assert refusal["error"]["type"] == "invalid_request"
    assert "requestId" not in refusal
    assert here.in_flight == 1


def test_an_abort_that_was_not_recorded_is_no_outcome() -> None:
    here = socket()
    here.receive(prompt())
    refusal = frame(here.not_aborted("r", StoreUnavailableError()))
    assert (refusal["error"]["type"], refusal["error"]["meta"]) == ("store_unavailable", {"requestId": "r"})
    assert "requestId" not in refusal
    assert here.in_flight == 1


def test_a_request_id_in_flight_is_refused_without_naming_the_request() -> None:
    here = socket()
    here.receive(prompt())
    refusal = frame(here.receive(prompt()))
    assert refusal["type"] == "error"
    assert "requestId" not in refusal
    assert refusal["error"]["meta"] == {"requestId": "r"}
    assert here.in_flight == 1


def test_a_request_id_is_free_again_after_its_outcome() -> None:
    here = socket()
    here.receive(prompt())
    here.deliver("r", [DONE, Idle()])
    assert isinstance(here.receive(prompt()), PromptFrame)


@pytest.mark.parametrize("request_id", ["", "  ", "x" * 257])
def test_an_unusable_request_id_is_refused(request_id: str) -> None:
    refusal = frame(socket().receive(prompt(request_id)))
    assert refusal["error"]["type"] == "invalid_request"
    assert "requestId" not in refusal


def test_one_request_too_many_is_refused_by_name() -> None:
    here = socket(max_in_flight=1)
    here.receive(prompt("a"))
    refusal = frame(here.receive(prompt("b")))
    assert (refusal["requestId"], refusal["error"]["type"]) == ("b", "queue_full")
    assert here.in_flight == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '"\\ud800"', prompt(message=1), prompt(session=2)]
)
def test_nonsense_is_an_error_that_names_no_request(text: str) -> None:
    here = socket()
    refusal = frame(here.receive(text))
    assert refusal["type"] == "error"
    assert "requestId" not in refusal
    assert here.in_flight == 0


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    assert frame(socket().receive(text))["type"] == "error"


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=5)


@given(
    st.dictionaries(
        st.sampled_from(["version", "type", "requestId", "message", "session", "ifBusy"]),
        st.sampled_from([1, "prompt", "ping", "abort", "r"]) | JSON,
    )
)
def test_any_object_is_answered_or_performed(given: dict[str, Any]) -> None:
    here = socket()
    outcome = here.receive(json.dumps(given))
    if isinstance(outcome, bytes):
        assert json.loads(outcome)["type"] in {"error", "pong"}
        assert here.in_flight == 0
    else:
        assert here.in_flight == 1


class Conversation(RuleBasedStateMachine):
    """Whatever happens in whatever order, every request that was let in gets exactly one outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.here = socket(max_in_flight=3)
        self.open: dict[str, bool] = {}  # request id -> started
        self.decisions: dict[str, DecideFrame] = {}

    @rule(request_id=st.sampled_from("abcde"))
    def ask(self, request_id: str) -> None:
        outcome = self.here.receive(prompt(request_id))
        if isinstance(outcome, PromptFrame):
            assert request_id not in self.open
            assert len(self.open) < 3
            self.open[request_id] = False
        elif request_id in self.open:
            assert "requestId" not in frame(outcome)
        else:
            assert len(self.open) == 3

    @rule(request_id=st.sampled_from("abcde"))
    def decide(self, request_id: str) -> None:
        outcome = self.here.receive(decision(request_id))
        if isinstance(outcome, DecideFrame):
            assert request_id not in self.open
            assert len(self.open) < 3
            self.decisions[request_id] = outcome
            self.open[request_id] = False
        elif request_id in self.open:
            assert "requestId" not in frame(outcome)
        else:
            assert len(self.open) == 3

    @precondition(lambda self: self.decisions)
    @rule(data=st.data(), refused=st.booleans())
    def hear_of_a_decision(self, data: st.DataObject, refused: bool) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.decisions)))
        asked = self.decisions.pop(request_id)
        said = frame(self.here.refused(asked, QueueFullError()) if refused else self.here.decided(asked))
        assert (said["type"], said["requestId"]) == ("error" if refused else "decided", request_id)
        del self.open[request_id]

    @precondition(lambda self: self.open.keys() - self.decisions.keys())
    @rule(data=st.data(), count=st.integers(0, 3), ending=st.sampled_from([None, "idle", "error", "refused"]))
    def hear(self, data: st.DataObject, count: int, ending: str | None) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.open.keys() - self.decisions.keys())))
        if ending == "refused":
            kinds = [frame(self.here.fail(request_id, QueueFullError()))["type"]]
            expected = ["error"]
        else:
            last = {"idle": [Idle()], "error": [ErrorEvent(error=PublicError(type="x", message="y"))], None: []}[ending]
            batch = [*[TextDelta(text="t")] * count, *last]
            sent = frames(self.here.deliver(request_id, batch))
            assert all(each["requestId"] == request_id for each in sent)
            kinds = [each["type"] for each in sent]
            expected = ["started"] * bool(batch and not self.open[request_id]) + ["event"] * count
            expected += {"idle": ["event", "result"], "error": ["error"], None: []}[ending]
            self.open[request_id] = self.open[request_id] or bool(batch)
        assert kinds == expected
        if ending is not None:
            del self.open[request_id]

    @rule(request_id=st.sampled_from("abcde"))
    def abort(self, request_id: str) -> None:
        outcome = self.here.receive(abort(request_id))
        if request_id in self.open.keys() - self.decisions.keys():
            assert isinstance(outcome, AbortFrame)
        else:
            assert "requestId" not in frame(outcome)

    @rule()
    def ping(self) -> None:
        assert frame(self.here.receive('{"version":1,"type":"ping"}'))["type"] == "pong"

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert self.here.in_flight == len(self.open)


TestConversation = Conversation.TestCase
