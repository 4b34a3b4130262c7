"""How a signal reads to the model: XML in the user role. Pure.

    <dispatch type="dispatch_input" agent="support" id="7">
    {"subject": "Where is my order?"}
    </dispatch>

Text and attribute values are escaped, so nothing inside can close the element or pose as another one. Quotes stay as
they are in text: JSON remains readable.
"""

import re
from typing import Final

from flue_actors.messages import SignalMessage

_TEXT: Final = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_VALUE: Final = {**_TEXT, ord('"'): "&quot;"}
_NOT_A_NAME: Final = re.compile(r"[^\w.-]")


def render_signal(signal: SignalMessage) -> str:
    """The element with its type, its attributes in order, and its content on lines of its own."""
    attributes = "".join([_attribute(*pair) for pair in {"type": signal.type, **signal.attributes}.items()])
    tag = _name(signal.tag_name)
    return f"<{tag}{attributes}>\n{signal.content.translate(_TEXT)}\n</{tag}>"


def _attribute(name: str, value: str) -> str:
    return f' {_name(name)}="{value.translate(_VALUE)}"'


def _name(name: str) -> str:
    """Names come from code; whatever could end the tag early is replaced all the same."""
    return _NOT_A_NAME.sub("_", name) or "_"
