"""A file of this machine that goes with a message."""

from mimetypes import guess_type
from pathlib import Path
from typing import Final

from flue_actors.definition.attaching import FILE_TYPES, IMAGE_TYPES, LARGEST, File, Image
from flue_actors.errors import InvalidRequestError

_USAGE: Final = "Write /attach and the path of a file."


def read_file(path: str) -> Image | File:
    """The file at ``path`` (``~`` is one's home): a picture or a document by its name's ending, else text.

    Raises:
        InvalidRequestError: It cannot be read, or is nothing that can be sent; the message says why.
    """
    if not path:
        raise InvalidRequestError("No file is named.", details=_USAGE)
    place = Path(path).expanduser()
    try:
        with place.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise InvalidRequestError(f"{path} cannot be read: {reason}.", details=_USAGE) from None
    kind = guess_type(place.name)[0] or ""
    if kind in IMAGE_TYPES:
        return Image(data, kind)
    return File(data, kind if kind in FILE_TYPES else "text/plain", place.name)
