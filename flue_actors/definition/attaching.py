"""Pictures and files that go with a prompt or a tool's answer: what may be sent, checked before anything is accepted. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, cast

import msgspec

from flue_actors.errors import InvalidRequestError
from flue_actors.messages import FileContent, ImageContent

IMAGE_TYPES: Final[Mapping[str, tuple[bytes, ...]]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
"""What the providers read, and how such a file begins."""

FILE_TYPES: Final = ("application/pdf", "text/plain", "text/markdown", "text/csv", "text/html", "application/json")

LARGEST: Final = 10 * 1024 * 1024
"""Bytes of one picture or file: 14 MiB in base64, as Flue allows."""

MOST: Final = 20
"""Pictures and files that one message may bring."""


class Image(msgspec.Struct, frozen=True, dict=True):
    """A picture.

    Attributes:
        data: The bytes of the file.
        mime_type: One of `IMAGE_TYPES`.

    Raises:
        InvalidRequestError: Another type, empty, too large, or the bytes are of something else.
    """

    data: bytes
    mime_type: str

    def __post_init__(self) -> None:
        starts = IMAGE_TYPES.get(self.mime_type)
        if starts is None:
            raise InvalidRequestError(f"An image is one of: {', '.join(IMAGE_TYPES)}.")
        _check_size(self.data)
        if not self.data.startswith(starts):
            raise InvalidRequestError(f"The image is not the {self.mime_type} it is said to be.")

    @cached_property
    def content(self) -> ImageContent:
        """How messages name it."""
        return ImageContent(attachment=content_id(self.data), mime_type=self.mime_type, size=len(self.data))


class File(msgspec.Struct, frozen=True, dict=True):
    """A document.

    Attributes:
        data: The bytes of the file. Text is UTF-8.
        mime_type: One of `FILE_TYPES`.
        name: What the model may call it, at most 255 characters.

    Raises:
        InvalidRequestError: Another type, an impossible name, empty, too large, or text that is not UTF-8.
    """

    data: bytes
    mime_type: str
    name: str

    def __post_init__(self) -> None:
        if self.mime_type not in FILE_TYPES:
            raise InvalidRequestError(f"A file is one of: {', '.join(FILE_TYPES)}.")
        name: Any = self.name
        if not isinstance(name, str) or not name.strip() or len(self.name) > 255 or not self.name.isprintable():
            raise InvalidRequestError("A file needs a name of at most 255 printable characters.")
        _check_size(self.data)
        if self.mime_type == "application/pdf":
            if not self.data.startswith(b"%PDF-"):
                raise InvalidRequestError("The file is not the PDF it is said to be.")
        elif not _is_text(self.data):
            raise InvalidRequestError("A text file has to be UTF-8.")

    @cached_property
    def content(self) -> FileContent:
        """How messages name it."""
        return FileContent(
            attachment=content_id(self.data), mime_type=self.mime_type, size=len(self.data), name=self.name
        )


def content_id(data: bytes) -> str:
    """The name of these bytes among an instance's attachments."""
    return hashlib.sha256(data).hexdigest()


def as_attachments(images: Any, files: Any) -> tuple[Image | File, ...]:
    """What a message brings along. Raises InvalidRequestError where it is something else."""
    for kind, given in ((Image, images), (File, files)):
        if not (isinstance(given, Sequence) and all(isinstance(each, kind) for each in cast("Sequence[Any]", given))):
            name = kind.__name__
            raise InvalidRequestError(f'"{name.lower()}s" is a list of {name}.')
    return (*images, *files)


def _check_size(data: Any) -> None:
    if not isinstance(data, bytes):
        raise InvalidRequestError(f"An attachment's data are bytes, not {type(data).__name__}.")
    if not data:
        raise InvalidRequestError("An attachment is empty.")
    if len(data) > LARGEST:
        raise InvalidRequestError(f"An attachment is larger than {LARGEST // 1024 // 1024} MiB.")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
