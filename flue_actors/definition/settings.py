"""Settings: limits, timeouts and addresses of one server, and where their values come from.

defaults < ``[tool.flue-actors]`` in pyproject.toml < ``.env`` (in development only) < ``FLUE_*`` < flags. A setting is
spelled the same everywhere: ``max_queued``, ``FLUE_MAX_QUEUED``, ``--max-queued``.
"""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, cast, get_type_hints

import msgspec
from msgspec import Meta

from flue_actors.errors import ConfigError

PREFIX: Final = "FLUE_"

_LIKENESS: Final = 0.75
"""From here on an unknown ``FLUE_*`` name is a misspelled setting, as FLUE_PROT is; FLUE_MODEL (0.56) is somebody else's."""

Text = Annotated[str, Meta(min_length=1)]
"""An empty host would listen on every interface, an empty store name the project's folder."""

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=10_000_000)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=10_000_000)]
Bytes = Annotated[int, Meta(ge=1)]
Age = Annotated[float, Meta(gt=0, le=10_000_000_000)]

FOR_GOOD: Final = "never"
"""The word for None where a setting says when something is forgotten: files and variables cannot spell None."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Times are in seconds, sizes in bytes.

    Attributes:
        host, port: Where to listen; port 0 picks a free one.
        store: The SQLite file of a project without ``db.py``, relative to the project's root.
        allowed_origins: Pages of these may open WebSockets, besides those of the same host; ``*`` = any.
        max_turns: Model calls for one message.
        tool_timeout: One tool call.
        stream_idle_timeout: How long a model may say nothing in the middle of a reply.
        max_queued: Inputs that wait, per instance.
        max_pending: Accepted inputs without an outcome, in total.
        passivate_after: Idle time after which an instance leaves memory.
        max_active: Instances in memory; beyond it the longest idle ones leave.
        cancel_grace: How long cancelled work may take to end before it is left behind.
        drain_timeout: How long a stopping server waits for work that runs; 0 = not at all.
        max_body, max_frame, max_head: A request's body, one WebSocket message, request line and headers together.
        head_timeout, body_timeout: How long each may take to arrive.
        stall_timeout: How long a client may read nothing of what was sent to it.
        heartbeat: Between two comments on a silent event stream.
        max_in_flight: Requests without an outcome on one WebSocket.
        stall_warning: How long one callback may keep the event loop to itself before the log says whose it is; 0 = never.
        model_concurrency: Model calls at the same time, per provider.
        max_children: Subagents' tasks of one message, or of one task, that are worked on at the same time; others wait.
        retain_submissions: After its outcome, an input with its receipt and idempotency key is kept this long; None (in
            files and variables ``never``) = it is never forgotten.
        retain_idle: After its newest message, an instance is kept this long; None = it is never erased.

    Raises:
        ConfigError: A value that cannot be; the message names it.
    """

    host: Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 3583
    store: Text = "data/flue.db"
    allowed_origins: tuple[str, ...] = ()
    max_turns: Count = 50
    tool_timeout: Seconds = 120.0
    stream_idle_timeout: Seconds = 120.0
    max_queued: Count = 1_000
    max_pending: Count = 100_000
    passivate_after: Seconds = 900.0
    max_active: Count = 10_000
    cancel_grace: Seconds = 30.0
    drain_timeout: SecondsOrNone = 30.0
    max_body: Bytes = 4 * 1024 * 1024
    max_frame: Bytes = 1024 * 1024
    max_head: Bytes = 64 * 1024
    head_timeout: Seconds = 10.0
    body_timeout: Seconds = 30.0
    stall_timeout: Seconds = 30.0
    heartbeat: Seconds = 15.0
    max_in_flight: Count = 64
    stall_warning: SecondsOrNone = 1.0
    model_concurrency: Count = 512
    max_children: Count = 16
    retain_submissions: Age | None = 7 * 86_400.0
    retain_idle: Age | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            _converted(name, getattr(self, name), "Settings")


_TYPES: Final[Mapping[str, Any]] = get_type_hints(Settings, include_extras=True)


class _Given(NamedTuple):
    """One value as found. ``source`` says where, for people; values from a ``text`` source are words."""

    name: str
    value: Any
    source: str
    text: bool = False


def load_settings(
    root: Path,
    *,
    env: Mapping[str, str],
    dev: bool = False,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of the project at ``root``.

    Args:
        env: The process's environment.
        dev: Read ``.env`` too.
        flags: From the command line; None = not given.

    Raises:
        ConfigError: An unknown name or an impossible value; the message says which one, where it stands, and which
            setting comes nearest.
    """
    values: dict[str, Any] = {}
    for given in _all_given(root, env, dev=dev, flags=flags or {}):
        values[given.name] = _converted(given.name, given.value, given.source, text=given.text)
    return Settings(**values)


def read_dotenv(root: Path) -> dict[str, str]:
    """What the project's ``.env`` says; empty without one."""
    from dotenv import dotenv_values  # in development only

    file = root / ".env"
    try:
        found = dotenv_values(file, interpolate=False, encoding="utf-8") if file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read.", dev=str(error)) from error
    return {name: value for name, value in found.items() if value is not None}


def _all_given(root: Path, env: Mapping[str, str], *, dev: bool, flags: Mapping[str, Any]) -> Iterator[_Given]:
    """Weakest first."""
    yield from _from_pyproject(root / "pyproject.toml")
    if dev:
        yield from _from_variables(read_dotenv(root), str(root / ".env"))
    yield from _from_variables(env, "the environment")
    for name, value in flags.items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            yield _Given(_known(name, flag), value, flag, text=isinstance(value, str))


def _from_pyproject(file: Path) -> Iterator[_Given]:
    if not file.is_file():
        return
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # also UnicodeDecodeError and TOMLDecodeError, which name the place
        raise ConfigError(f"{file} cannot be read: {error}.") from error
    source = f"[tool.flue-actors] in {file}"
    table: object = {}
    with suppress(KeyError, TypeError):
        table = document["tool"]["flue-actors"]
    if not isinstance(table, dict):
        raise ConfigError(f"{source} is not a table.")
    for name, value in cast("dict[str, Any]", table).items():
        yield _Given(_known(name.replace("-", "_"), f"{name} in {source}"), value, source)


def _from_variables(variables: Mapping[str, str], source: str) -> Iterator[_Given]:
    for variable, value in variables.items():
        if not variable.startswith(PREFIX) or not value:  # an empty variable is one that is not set
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in _TYPES:
            yield _Given(name, value, f"{variable} in {source}", text=True)
        elif near := get_close_matches(name, _TYPES, 1, _LIKENESS):
            raise ConfigError(
                f'{variable} in {source} (value "{value}") is no setting. Did you mean {PREFIX}{near[0].upper()}?'
            )


def _known(name: str, where: str) -> str:
    if name in _TYPES:
        return name
    near = get_close_matches(name, _TYPES, 1)
    hint = f"Did you mean {near[0]}?" if near else f"There is: {', '.join(_TYPES)}."
    raise ConfigError(f"{where} is no setting. {hint}")


def _converted(name: str, value: Any, source: str, *, text: bool = False) -> Any:
    if text and name == "allowed_origins":
        value = [each.strip() for each in value.split(",") if each.strip()]
    if value == FOR_GOOD and name in {"retain_submissions", "retain_idle"}:
        value = None
    try:
        return msgspec.convert(value, _TYPES[name], strict=not text)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name} cannot be {value!r} ({source}): {error}.") from None
