"""Server-sent events: bytes of one frame. Pure.

A payload is JSON and so has no raw line break; the event's name is one of a closed set of words.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET

from flue_actors.events import Event
from flue_actors.gateway.wire import StreamError, encode, encode_event

CONTENT_TYPE: Final = "text/event-stream"
HEARTBEAT: Final = b": heartbeat\n\n"


def event_frames(events: Iterable[Event]) -> bytes:
    """The events' frames, one behind the other, for one write. ``id`` is the event's index in its submission."""
    return b"".join([event_frame(event) for event in events])


def event_frame(event: Event) -> bytes:
    """One event's frame."""
    index = event.event_index if event.event_index is not UNSET else 0
    return b"event: %b\nid: %d\ndata: %b\n\n" % (_name(event), index, encode_event(event))


def error_frame(error: StreamError) -> bytes:
    """The last frame of a stream that ends before its submission."""
    return b"event: error\nid: 0\ndata: %b\n\n" % encode(error)


def _name(event: Event) -> bytes:
    return str(event.__struct_config__.tag).encode()
