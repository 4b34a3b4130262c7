"""Tools: functions the model may call."""

import functools
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from difflib import get_close_matches
from math import inf
from typing import Any, Final, Literal, Never, cast, overload

import msgspec

from flue_actors.definition.attaching import Image
from flue_actors.definition.calling import RunBlocking, call, json_text
from flue_actors.definition.guards import Principal
from flue_actors.definition.raw_schema import schema_binding
from flue_actors.definition.schema import Binding, function_binding
from flue_actors.definition.steps import ToolSteps
from flue_actors.errors import ConfigError, ToolError
from flue_actors.ids import AgentKey, is_name
from flue_actors.models.protocol import ToolSpec
from flue_actors.sandboxes.workspace import Workspace

TOOL_TEXT_LIMIT: Final = 50 * 1024
"""Bytes of a tool's answer that the model is shown."""

Level = Literal["info", "warn", "error"]
LogSink = Callable[[Level, str, dict[str, Any]], None]
Approval = bool | Callable[[dict[str, Any]], bool]


class Delegated(msgspec.Struct, frozen=True, kw_only=True):
    """A task for a subagent. ``agent`` is its name; ``cwd`` where in the sandbox it works."""

    prompt: str
    agent: str
    cwd: str | None = None
    detached: bool = False


_OPTIONS: Final = ("name", "description", "parameters", "execute", "timeout", "durable", "idempotent", "approval")


Delegate = Callable[[str, Delegated], Awaitable["ToolAnswer"]]
"""Gives a task away for the call of this id, and waits for what comes of it. Raises ToolError."""


class ToolLog:
    """A tool's own words, shown as ``log`` events. Usable from any thread."""

    __slots__ = ("_sink",)

    def __init__(self, sink: LogSink) -> None:
        self._sink = sink

    def info(self, message: str, **attributes: Any) -> None:
        """Something worth knowing."""
        self._sink("info", message, attributes)

    def warning(self, message: str, **attributes: Any) -> None:
        """Something odd."""
        self._sink("warn", message, attributes)

    def error(self, message: str, **attributes: Any) -> None:
        """Something wrong."""
        self._sink("error", message, attributes)


class ToolAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool may return instead of a plain value, when there is more to say.

    Attributes:
        text: For the model.
        images: For the model too: pictures, as bytes.
        details: For whoever watches and for the history, not for the model: JSON.
        is_error: The model is told that it failed.
        terminate: No further model call, if every tool of the same reply says so.
    """

    text: str = ""
    images: tuple[Image, ...] = ()
    details: Mapping[str, Any] = {}
    is_error: bool = False
    terminate: bool = False


class ToolContext:
    """What a tool may know about its call: give a parameter this type.

    Attributes:
        tool_call_id: The call's id, unique in its session and the same when the call runs again. For an idempotency key put
            agent, id and session in front of it: some models number their calls anew in every conversation.
        tool: The tool's name.
        agent: Agent name and instance id.
        session: The conversation's name.
        principal: Who sent the message, if a guard said so.
        log: Writes ``log`` events.
        state: What the instance keeps: a mapping of names to JSON. What a call writes is stored together with its result,
            and dropped when it fails; calls that run side by side do not see each other's writes.
    """

    __slots__ = (
        "_cancelled",
        "_delegate",
        "_sandbox",
        "_steps",
        "agent",
        "log",
        "principal",
        "session",
        "state",
        "tool",
        "tool_call_id",
    )

    def __init__(
        self,
        *,
        tool_call_id: str,
        tool: str,
        agent: AgentKey,
        session: str,
        principal: Principal | None = None,
        log: LogSink = lambda _level, _message, _attributes: None,
        steps: ToolSteps | None = None,
        sandbox: Workspace | None = None,
        state: MutableMapping[str, Any] | None = None,
        delegate: Delegate | None = None,
    ) -> None:
        self.tool_call_id = tool_call_id
        self.tool = tool
        self.agent = agent
        self.session = session
        self.principal = principal
        self.log = ToolLog(log)
        self.state: MutableMapping[str, Any] = {} if state is None else state
        self._steps = steps
        self._sandbox = sandbox
        self._delegate = delegate
        self._cancelled = False

    @property
    def sandbox(self) -> Workspace:
        """The agent's sandbox: its shell and files.

        Raises:
            ConfigError: It has none.
        """
        if self._sandbox is None:
            message = f'The tool "{self.tool}" uses a sandbox, and the agent has none.'
            raise ConfigError(message, details="Give the agent one: sandbox=virtual(), local(...) or isolated(...).")
        return self._sandbox

    async def delegate(self, task: Delegated) -> ToolAnswer:
        """Give a task to a subagent and wait for its answer. For the runtime's own ``task`` tool: one task a call."""
        if self._delegate is None:
            raise ToolError("There is nobody to delegate to.")
        return await self._delegate(self.tool_call_id, task)

    @property
    def step(self) -> ToolSteps:
        """The steps of a durable tool: ``await context.step.do("charge", charge)``.

        Raises:
            ConfigError: The tool is not durable.
        """
        if self._steps is None:
            message = f'The tool "{self.tool}" is not durable, so it has no steps.'
            raise ConfigError(message, details="Declare it with @tool(durable=True).")
        return self._steps

    @property
    def cancelled(self) -> bool:
        """True once nobody waits for the result: aborted or out of time. A tool in a thread should look at it."""
        return self._cancelled

    def cancel(self) -> None:
        """Nobody waits any more. For the runtime."""
        self._cancelled = True
        if self._steps is not None:
            self._steps.close()


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One tool of an agent. Made by `tool` and `define_tool`; calling it calls the function.

    Attributes:
        spec: Name, description and JSON schema, as the model sees them.
        timeout: Seconds one call may take; None = the agent's or runtime's ``tool_timeout``.
        durable: A call that was interrupted runs again; its recorded steps do not.
        idempotent: A call that was interrupted runs again: twice is as good as once.
        approval: Somebody has to approve a call before it runs: every call, or those whose arguments (as bound) this
            function is true of.
    """

    spec: ToolSpec
    function: Callable[..., Any]
    binding: Any  # schema.Binding
    timeout: float | None = None
    durable: bool = False
    idempotent: bool = False
    approval: Approval = False

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.spec.name

    @property
    def reruns(self) -> bool:
        """True when a call of unknown outcome may run again."""
        return self.durable or self.idempotent

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, unchecked."""
        return self.function(*args, **kwargs)

    def bind(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The model's arguments, checked and converted.

        Raises:
            ToolArgumentsError: They do not fit; the message is for the model.
        """
        return self.binding.bind(self.name, arguments)

    def needs_approval(self, bound: dict[str, Any]) -> bool:
        """True when somebody has to approve the call first. Raises what the tool's ``approval`` function raises."""
        return self.approval if isinstance(self.approval, bool) else bool(self.approval(bound))

    async def execute(self, bound: dict[str, Any], context: ToolContext, run_blocking: RunBlocking) -> ToolAnswer:
        """Run it and return its answer, whose text is valid Unicode; it may be long.

        Args:
            bound: What `bind` returned.
            run_blocking: Runs a function in a thread; sync tools never run on the loop.

        Raises:
            ToolError: The result cannot be shown to a model.
            Exception: Whatever the function raises.
        """
        if self.binding.context is not None:
            bound = {**bound, self.binding.context: context}
        result = await call(self.function, functools.partial(self.function, **bound), run_blocking)
        if isinstance(result, ToolAnswer):
            return msgspec.structs.replace(result, text=valid_text(result.text))
        return ToolAnswer(text=_text(result), details={"customTool": self.name})


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool is run."""

    timeout: float | None
    durable: bool
    idempotent: bool
    approval: Approval


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    durable: bool = False,
    idempotent: bool = False,
    approval: Approval = False,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    durable: bool = False,
    idempotent: bool = False,
    approval: Approval = False,
    **later: Any,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool: name, description and schema come from it. Use bare or with options.

    Args:
        name: Default: the function's name.
        description: What the model reads; default: the docstring.
        timeout: Seconds one call may take.
        durable: An interrupted call runs again, and what its `ToolContext.step` recorded does not.
        idempotent: An interrupted call may simply run again.
        approval: A call runs only after somebody approved it: True, or a function of the arguments (as the tool gets them)
            that says whether this one needs it.

    Raises:
        ConfigError: No description, an impossible name, or parameters a model cannot fill.
    """
    _refuse("tool()", later)
    options = _Options(timeout=timeout, durable=durable, idempotent=idempotent, approval=approval)
    if function is None:
        return functools.partial(_from_function, name=name, description=description, options=options)
    return _from_function(function, name=name, description=description, options=options)


def _from_function(
    function: Callable[..., Any], *, name: str | None, description: str | None, options: _Options
) -> Tool:
    named: str = getattr(function, "__name__", "") if name is None else name
    try:
        binding = function_binding(function, ToolContext)
    except ConfigError as error:
        raise ConfigError(f'Tool "{named}": {error.message}', details=error.details) from error
    return _make(named, binding.description if description is None else description, function, binding, options)


def define_tool(
    *,
    name: str,
    description: str,
    parameters: Mapping[str, Any],
    execute: Callable[..., Any],
    timeout: float | None = None,
    durable: bool = False,
    idempotent: bool = False,
    approval: Approval = False,
    **later: Never,
) -> Tool:
    """A tool from its pieces.

    Args:
        parameters: A JSON schema of type ``object``.
        execute: Called with the arguments as one dict (and a `ToolContext`, if it has such a parameter); sync or async.
        timeout, durable, idempotent, approval: As in `tool`.

    Raises:
        ConfigError: A blank description, an impossible name, or a schema that is not an object's.
    """
    _refuse("define_tool()", later)
    if not callable(execute):
        raise ConfigError(f'Tool "{name}": execute must be callable.')
    if not isinstance(cast("object", parameters), Mapping):
        raise ConfigError(f'Tool "{name}": the parameters are no JSON schema of type "object".')
    try:
        binding = schema_binding(parameters, execute, ToolContext)
    except ConfigError as error:
        raise ConfigError(f'Tool "{name}": {error.message}', details=error.details) from error
    options = _Options(timeout=timeout, durable=durable, idempotent=idempotent, approval=approval)
    return _make(name, description, execute, binding, options)


def _refuse(what: str, options: Mapping[str, Any]) -> None:
    for name in options:
        near = get_close_matches(name, _OPTIONS, 1)
        raise ConfigError(f'"{name}" is no option of {what}.' + (f' Did you mean "{near[0]}"?' if near else ""))


def _make(name: str, description: str, function: Callable[..., Any], binding: Binding, options: _Options) -> Tool:
    if not is_name(name):
        raise ConfigError(f'"{name}" is no name for a tool: use a letter, then letters, digits, "_" or "-".')
    if not description.strip():
        raise ConfigError(
            f'Tool "{name}" has no description.', details="Give the function a docstring: the model reads it."
        )
    _check(name, options)
    return Tool(
        spec=ToolSpec(name, description, binding.parameters),
        function=function,
        binding=binding,
        timeout=options.timeout,
        durable=options.durable,
        idempotent=options.idempotent,
        approval=options.approval,
    )


def _check(name: str, options: _Options) -> None:
    timeout = options.timeout
    if timeout is not None and not 0 < timeout < inf:
        raise ConfigError(f'Tool "{name}": timeout must be a positive number of seconds.')
    if not (isinstance(options.approval, bool) or callable(options.approval)):
        raise ConfigError(f'Tool "{name}": approval is True, False, or a function of the arguments.')
    if options.durable and options.idempotent:
        raise ConfigError(f'Tool "{name}": a durable tool runs again anyway; leave out idempotent.')


def _text(result: Any) -> str:
    if result is None:
        return ""
    if isinstance(result, bytes | bytearray | memoryview):
        raise ToolError("The tool answered bytes; it has to answer text or JSON.")
    try:
        return valid_text(result if isinstance(result, str) else json_text(result))
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f"The tool's answer cannot be written as JSON ({type(error).__name__}).") from error


def valid_text(text: str) -> str:
    """The text without what UTF-8 cannot say (lone surrogates)."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def shown_text(text: str, limit: int = TOOL_TEXT_LIMIT) -> str:
    """The text as a model or a reader of events can be shown it: valid Unicode, about ``limit`` bytes and a note."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= limit + limit // 50:  # the runtime's own tools keep to the limit, and add what they left out
        return encoded.decode()
    shown = encoded[:limit].decode(errors="ignore")
    return f"{shown}\n[cut: {len(encoded)} bytes in all, {limit} shown]"
