"""The root of the tree."""

from typing import Any, ClassVar, Literal

Fault = Literal["caller", "developer", "provider", "runtime"]


class FlueError(Exception):
    """Root of the tree.

    Args:
        message: One sentence: what is wrong. Safe to show to the caller.
        details: What to do next. Safe to show to the caller.
        dev: More for the developer; never leaves the process outside development mode.
        meta: Machine-readable facts for the caller (JSON).
        retry_after: Seconds after which the same request may succeed, when known.
    """

    type: ClassVar[str] = "internal_error"
    fault: ClassVar[Fault] = "runtime"
    default_message: ClassVar[str] = "Something went wrong on our side."
    default_details: ClassVar[str] = "Try again; if it keeps failing, ask the operator to look at the log."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: str | None = None,
        dev: str = "",
        meta: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message if message is not None else self.default_message
        self.details = details if details is not None else self.default_details
        self.dev = dev
        self.meta = meta
        self.retry_after = retry_after
        super().__init__(self.message)
