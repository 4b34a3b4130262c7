from flue_actors import events
from flue_actors.gateway.sse import error_frame, event_frame, event_frames
from flue_actors.gateway.wire import ErrorBody, StreamError


def test_a_frame_names_the_event_its_index_and_its_json() -> None:
    frame = event_frame(events.TextDelta(text="hi", event_index=7, session="s"))
    assert (
        frame == b'event: text_delta\nid: 7\ndata: {"type":"text_delta","text":"hi","session":"s","eventIndex":7}\n\n'
    )


def test_line_breaks_in_a_text_cannot_make_a_field() -> None:
    frame = event_frame(events.TextDelta(text="a\nid: 9\r\nevent: evil\u2028", event_index=0))
    assert frame.count(b"\n") == 4
    assert b"\r" not in frame


def test_a_decision_has_no_index() -> None:
    frame = event_frame(events.ApprovalDecided(approval_id="c", decision="denied"))
    assert (
        frame == b'event: approval_decided\ndata: {"type":"approval_decided","approvalId":"c","decision":"denied"}\n\n'
    )


def test_frames_follow_one_another() -> None:
    two = [events.AgentStart(event_index=0), events.Idle(event_index=1)]
    assert event_frames(two) == event_frame(two[0]) + event_frame(two[1])


def test_the_last_word_of_a_broken_stream_is_an_error_event() -> None:
    frame = error_frame(StreamError(instance_id="i", error=ErrorBody(type="draining", message="Bye.")))
    assert frame == (
        b'event: error\nid: 0\ndata: {"type":"error","instanceId":"i","error":{"type":"draining","message":"Bye."}}\n\n'
    )
