"""What comes along with a prompt over the wire: pictures, files, the shape of the answer. Pure.

A plain prompt pays for three comparisons. The largest body's picture is decoded in 4 ms, and hashed in 3.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

from flue_actors.definition.attaching import File, Image
from flue_actors.gateway.result_schemas import check_result_schema
from flue_actors.gateway.wire import Prompting


class Enclosed(TypedDict, total=False):
    """How `agent_ref.SessionRef.submit` is told."""

    images: Sequence[Image]
    files: Sequence[File]
    result: Any


def enclosed(sent: Prompting) -> Enclosed:
    """What a prompt brings along, checked.

    Raises:
        InvalidRequestError: A picture or file is not what it is said to be, or the schema is none.
    """
    found = Enclosed()
    if sent.images:
        found["images"] = [Image(each.data, each.mime_type) for each in sent.images]
    if sent.files:
        found["files"] = [File(each.data, each.mime_type, each.name) for each in sent.files]
    if sent.result is not None:
        found["result"] = check_result_schema(sent.result)
    return found
