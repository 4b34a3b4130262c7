"""The one context variable: which runtime am I in?

Set while a project loads, around the ASGI app, and in every turn and tool, so that the module-level short forms
(`dispatch`, `observe`, `register_provider`, `configure_provider`) reach the right runtime. Two runtimes in one process
never see each other.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Unpack

from flue_actors.errors import NoRuntimeError

if TYPE_CHECKING:
    from flue_actors.agent_ref import DispatchReceipt
    from flue_actors.definition.agent import CreatedAgent
    from flue_actors.definition.guards import Principal
    from flue_actors.models.registry import ConnectionOptions, ProviderOptions
    from flue_actors.observing import Observer, Unsubscribe
    from flue_actors.runtime import Runtime

_current: "ContextVar[Runtime | None]" = ContextVar("flue_actors.runtime", default=None)


@contextmanager
def bound(runtime: "Runtime") -> Generator[None, None, None]:
    """Inside, the module-level short forms mean this runtime."""
    token = _current.set(runtime)
    try:
        yield
    finally:
        _current.reset(token)


def enter(runtime: "Runtime") -> None:
    """Bind for the rest of this task's context (a turn has a context of its own)."""
    _current.set(runtime)


def current(method: str) -> "Runtime":
    """The runtime this code runs in.

    Raises:
        NoRuntimeError: None; the message names ``method``, to be called on a runtime instead.
    """
    runtime = _current.get()
    if runtime is None:
        raise NoRuntimeError(
            f"{method}() was called outside of a runtime.",
            details=f"Call it on your Runtime: runtime.{method}(...). The short form works in a project's files, in "
            "requests, and in turns and tools.",
        )
    return runtime


async def dispatch(
    agent: "CreatedAgent | str",
    *,
    id: str,
    input: Any,
    session: str = "default",
    principal: "Principal | None" = None,
) -> "DispatchReceipt":
    """`Runtime.dispatch` of the runtime this code runs in.

    Raises:
        NoRuntimeError: There is none.
    """
    return await current("dispatch").dispatch(agent, id=id, input=input, session=session, principal=principal)


def observe(observer: "Observer") -> "Unsubscribe":
    """`Runtime.observe` of the runtime this code runs in.

    Raises:
        NoRuntimeError: There is none.
    """
    return current("observe").observe(observer)


def register_provider(name: str, **options: "Unpack[ProviderOptions]") -> None:
    """`Runtime.register_provider` of the runtime this code runs in.

    Raises:
        NoRuntimeError: There is none.
    """
    current("register_provider").register_provider(name, **options)


def configure_provider(name: str, **options: "Unpack[ConnectionOptions]") -> None:
    """`Runtime.configure_provider` of the runtime this code runs in.

    Raises:
        NoRuntimeError: There is none.
    """
    current("configure_provider").configure_provider(name, **options)
