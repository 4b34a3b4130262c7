"""A session over a channel made of lists."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from flue_actors.agent_ref import ApprovalInfo
from flue_actors.errors import ApprovalDecidedError, QueueFullError, StoreUnavailableError
from flue_actors.events import Idle, TextDelta
from flue_actors.gateway.socket_protocol import AgentSocket
from flue_actors.gateway.sockets import SocketSession
from flue_actors.gateway.wire import DecideFrame, PromptFrame, StreamFrame
from flue_actors.ids import AgentKey
from flue_actors.memory import memory_store
from flue_actors.observing import Feed, Feeds, Subscription
from flue_actors.streaming import SessionStream


class Wire:
    """Remembers every write and the close."""

    def __init__(self) -> None:
        self.congested = False
        self.writes: list[list[dict[str, Any]]] = []
        self.closed: int | None = None

    def write(self, frames: Sequence[bytes]) -> None:
        self.writes.append([json.loads(frame) for frame in frames])

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or code


class Accepted:
    """A submission whose events the test appends itself."""

    def __init__(self, feed: Subscription) -> None:
        self.submission_id = f"sub_{feed.submission_id}"
        self.accepted_at = ""
        self.offset = "0-0"
        self.feed = feed

    async def result(self) -> Any:
        raise NotImplementedError


class Instance:
    """Accepts everything, unless told otherwise."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.refuse: Exception | None = None
        self.keep: Exception | None = None  # why nothing can be aborted or decided
        self.aborted: list[tuple[str, str]] = []
        self.decided: list[str] = []

    async def submit(self, frame: PromptFrame) -> Accepted:
        if self.refuse is not None:
            raise self.refuse
        return Accepted(self.feed.subscribe(frame.request_id))

    async def abort(self, submission_id: str, reason: str) -> bool:
        if self.keep is not None:
            raise self.keep
        self.aborted.append((submission_id, reason))
        return True

    async def decide(self, frame: DecideFrame) -> None:
        if self.keep is not None:
            raise self.keep
        self.decided.append(frame.approval_id)

    async def approvals(self) -> list[ApprovalInfo]:
        if self.keep is not None:
            raise self.keep
        return []

    def follow(self, frame: StreamFrame) -> SessionStream:
        return SessionStream(memory_store(), Feeds(), AgentKey("echo", "me"), frame.session, frame.offset)


class Stage:
    """One session, its wire and one instance's feed."""

    def __init__(self, capacity: int = 100) -> None:
        self.wire = Wire()
        self.feed = Feed(capacity)
        self.forgotten: list[SocketSession] = []
        self.instance = Instance(self.feed)
        protocol = AgentSocket("echo", "me", max_in_flight=4)
        self.session = SocketSession(protocol, self.wire, self.instance, forget=self.forgotten.append)
        self.session.open()

    def send(self, kind: str, request_id: str = "s", **more: Any) -> None:
        self.session.receive_text(json.dumps({"version": 1, "type": kind, "requestId": request_id, **more}))

    async def prompt(self, request_id: str = "s", **more: Any) -> None:
        self.send("prompt", request_id, message="hi", **more)
        await settle()

    async def abort(self, request_id: str = "s") -> None:
        self.send("abort", request_id)
        await settle()

    def happen(self, *texts: str, request_id: str = "s", last: bool = False) -> None:
        for text in texts:
            self.feed.append(request_id, TextDelta(text=text, submission_id=request_id))
        if last:
            self.feed.append(request_id, Idle(submission_id=request_id))

    def kinds(self) -> list[list[str]]:
        return [[frame["type"] for frame in write] for write in self.wire.writes]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_ready_together_is_one_write() -> None:
    stage = Stage()
    await stage.prompt()
    stage.happen("a", "b", "c")
    await settle()
    assert stage.kinds() == [["ready"], ["started", "event", "event", "event"]]


async def test_nothing_is_taken_for_a_peer_that_does_not_read() -> None:
    stage = Stage()
    await stage.prompt()
    stage.wire.congested = True
    stage.happen("a", "b")
    await settle()
    stage.happen("c", last=True)
    await settle()
    assert stage.kinds() == [["ready"]]
    stage.wire.congested = False
    stage.session.writable()
    assert stage.kinds()[1] == ["started", *["event"] * 4, "result"]


async def test_a_peer_that_lost_events_is_sent_away() -> None:
    stage = Stage(capacity=3)
    await stage.prompt()
    stage.wire.congested = True
    stage.happen("a", "b", "c", "d", "e")
    await settle()
    stage.wire.congested = False
    stage.session.writable()
    assert stage.wire.closed == 1013


async def test_a_refused_prompt_is_answered_and_forgotten() -> None:
    stage = Stage()
    stage.instance.refuse = QueueFullError()
    await stage.prompt()
    assert stage.wire.writes[-1][0]["error"]["type"] == "queue_full"
    assert not stage.session.busy


async def test_a_bug_while_submitting_is_an_internal_error_and_says_nothing() -> None:
    stage = Stage()
    stage.instance.refuse = ValueError("secret")
    await stage.prompt()
    assert stage.wire.writes[-1][0]["error"]["type"] == "internal_error"
    assert "secret" not in json.dumps(stage.wire.writes)


async def test_an_idle_session_goes_at_once_and_a_busy_one_after_its_last_outcome() -> None:
    idle, busy = Stage(), Stage()
    await busy.prompt()
    idle.session.go_away()
    busy.session.go_away()
    assert (idle.wire.closed, busy.wire.closed) == (1001, None)
    busy.happen(last=True)
    await settle()
    assert busy.wire.closed == 1001
    assert busy.kinds()[-1][-1] == "result"


async def test_a_lost_session_reads_no_more_and_is_forgotten_once() -> None:
    stage = Stage()
    await stage.prompt()
    stage.session.lost()
    stage.session.lost()
    stage.happen("a", last=True)
    await settle()
    assert stage.kinds() == [["ready"]]
    assert stage.forgotten == [stage.session]


async def test_a_prompt_accepted_after_the_connection_was_lost_is_not_watched() -> None:
    stage = Stage()
    frame = {"version": 1, "type": "prompt", "requestId": "s", "message": "hi"}
    stage.session.receive_text(json.dumps(frame))
    stage.session.lost()
    await settle()
    stage.happen("a", last=True)
    await settle()
    assert stage.kinds() == [["ready"]]


async def test_an_abort_frame_aborts_that_requests_submission() -> None:
    stage = Stage()
    await stage.prompt("a")
    await stage.prompt("b")
    await stage.abort("b")
    assert stage.instance.aborted == [("sub_b", "aborted")]
    assert stage.session.busy


async def test_an_abort_that_overtakes_the_admission_is_not_forgotten() -> None:
    stage = Stage()
    stage.send("prompt", message="hi")
    stage.send("abort")
    await settle()
    assert stage.instance.aborted == [("sub_s", "aborted")]


async def test_an_abort_of_what_is_then_refused_aborts_nothing_and_is_not_remembered() -> None:
    stage = Stage()
    stage.instance.refuse = QueueFullError()
    stage.send("prompt", message="hi")
    stage.send("abort")
    await settle()
    stage.instance.refuse = None
    await stage.prompt()
    assert stage.instance.aborted == []


async def test_a_wish_that_could_not_be_recorded_is_said_so_and_the_request_goes_on() -> None:
    stage = Stage()
    stage.instance.keep = StoreUnavailableError()
    await stage.prompt()
    await stage.abort()
    assert stage.wire.writes[-1][0]["error"]["type"] == "store_unavailable"
    stage.happen("a", last=True)
    await settle()
    assert stage.kinds()[-1][-1] == "result"


async def test_a_lost_connection_stops_no_work() -> None:
    stage = Stage()
    await stage.prompt()
    stage.session.lost()
    await settle()
    assert stage.instance.aborted == []


async def test_a_lost_connection_aborts_what_was_bound_to_it_and_has_no_outcome() -> None:
    stage = Stage()
    for request_id in ("done", "bound"):
        await stage.prompt(request_id, cancelOnDisconnect=True)
    await stage.prompt("free")
    stage.happen(last=True, request_id="done")
    await settle()
    stage.session.lost()
    await settle()
    assert stage.instance.aborted == [("sub_bound", "disconnected")]


async def test_a_connection_lost_during_the_admission_aborts_what_was_bound_to_it() -> None:
    stage = Stage()
    stage.send("prompt", message="hi", cancelOnDisconnect=True)
    stage.session.lost()
    await settle()
    assert stage.instance.aborted == [("sub_s", "disconnected")]


async def test_a_decision_is_answered_when_it_is_recorded() -> None:
    stage = Stage()
    stage.send("decide", "d", approvalId="c1", decision="deny", reason="no")
    assert stage.wire.writes[1:] == []
    assert stage.session.busy
    await settle()
    assert stage.wire.writes[1:] == [
        [{"version": 1, "type": "decided", "requestId": "d", "approvalId": "c1", "decision": "denied"}]
    ]
    assert (stage.instance.decided, stage.session.busy) == (["c1"], False)


@pytest.mark.parametrize("keep", [None, StoreUnavailableError()])
async def test_what_waits_is_listed_or_why_it_cannot_be_is_said(keep: Exception | None) -> None:
    stage = Stage()
    stage.instance.keep = keep
    stage.send("approvals", "l")
    assert stage.session.busy
    await settle()
    answer = stage.wire.writes[-1][0]
    if keep is None:
        assert answer == {"version": 1, "type": "approvals", "requestId": "l", "approvals": []}
    else:
        assert (answer["requestId"], answer["error"]["type"]) == ("l", "store_unavailable")
    assert not stage.session.busy


async def test_a_decision_that_cannot_be_recorded_is_an_error_of_its_request() -> None:
    stage = Stage()
    stage.instance.keep = ApprovalDecidedError()
    stage.send("decide", "d", approvalId="c1", decision="approve")
    await settle()
    error = stage.wire.writes[-1][0]
    assert (error["requestId"], error["error"]["type"]) == ("d", "approval_decided")
    assert not stage.session.busy


async def test_a_server_that_stops_waits_for_a_decision_to_be_recorded() -> None:
    stage = Stage()
    stage.send("decide", "d", approvalId="c1", decision="approve")
    stage.session.go_away()
    assert stage.wire.closed is None
    await settle()
    assert (stage.wire.writes[-1][0]["type"], stage.wire.closed) == ("decided", 1001)
