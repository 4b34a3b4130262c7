"""Server-sent events: bytes of one frame. Pure.

A payload is JSON and so has no raw line break; the event's name is one of a closed set of words.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET

from flue_actors.events import ApprovalDecided, Event
from flue_actors.gateway.wire import StreamError, encode, encode_event, encode_shown
from flue_actors.observing import Shown

CONTENT_TYPE: Final = "text/event-stream"
STREAM_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
HEARTBEAT: Final = b": heartbeat\n\n"


def event_frames(events: Iterable[Event]) -> bytes:
    """The events' frames, one behind the other, for one write. ``id`` is the event's index in its submission, if any."""
    return b"".join([event_frame(event) for event in events])


def event_frame(event: Event) -> bytes:
    """One event's frame."""
    index = b"id: %d\n" % (0 if event.event_index is UNSET else event.event_index)
    if isinstance(event, ApprovalDecided):  # which is said past the submission's work and counted nowhere
        index = b""
    return b"event: %b\n%bdata: %b\n\n" % (_name(event), index, encode_event(event))


def shown_frames(shown: Iterable[Shown]) -> bytes:
    """Frames of a session's stream. ``id`` is the offset: where to go on; what stands nowhere has none."""
    return b"".join([_shown_frame(each) for each in shown])


def _shown_frame(shown: Shown) -> bytes:
    place = b"" if shown.place is None else b"id: %d-%d\n" % shown.place
    return b"event: %b\n%bdata: %b\n\n" % (_name(shown.event), place, encode_shown(shown))


def error_frame(error: StreamError, *, id: bytes = b"id: 0\n") -> bytes:
    """The last frame of a stream that ends before its submission."""
    return b"event: error\n%bdata: %b\n\n" % (id, encode(error))


def _name(event: Event) -> bytes:
    return str(event.__struct_config__.tag).encode()
