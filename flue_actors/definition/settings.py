"""Every limit and timeout with its default, and where a project may say otherwise.

Later wins: defaults < ``[tool.flue-actors]`` in ``pyproject.toml`` < ``.env`` (development only) < ``FLUE_<NAME>`` in the
environment < flags of the command line. A misspelt name never passes in silence.
"""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import msgspec
from dotenv import dotenv_values
from msgspec import Meta

from flue_actors.errors import ConfigError

# A year bounds every time: event loops take no infinite timer.
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=31_536_000)]
Bytes = Annotated[int, Meta(gt=0)]
Count = Annotated[int, Meta(gt=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes in bytes, times in seconds; all above zero unless said otherwise.

    Attributes:
        max_turns: Model calls for one message.
        tool_timeout: What one tool call may take.
        tool_text_limit: Text of one tool result that the model is shown.
        submission_timeout: What one accepted input may take, all its attempts together.
        submission_attempts: How often one accepted input is tried.
        stream_idle_timeout: How long a model may say nothing in the middle of a reply.
        model_concurrency: Calls at the same time to one provider with one key; further ones wait.
        cancel_grace: What cancelled work gets to end by itself before it is fenced.
        max_queued: Accepted inputs of one instance that may wait.
        max_pending: Accepted inputs of the whole runtime without an outcome.
        passivate_after: An instance idle for this long leaves memory.
        max_active: Beyond this many instances in memory, the longest idle ones leave.
        drain_timeout: How long stopping waits for work that runs; 0 = not at all.
        host: The address to listen on.
        port: 0 to 65535; 0 takes a free one.
        store: The SQLite file of a project without ``db.py``, relative to the project's root.
        dev: Show callers what only a developer should see of an error.
        origins: Pages of these may open sockets, besides those of the same host (``*`` = any).
        max_body: Of a request to an agent.
        max_head: Request line and headers together.
        max_headers: Their number.
        max_frame: One message on a socket.
        max_in_flight: Requests without an outcome on one socket.
        head_timeout: From connecting, or from a head's first byte, to its end.
        body_timeout: From the head's end to the body's; a body that keeps coming gets more.
        stall_timeout: How long a peer may read nothing of what was written to it.
        heartbeat: Between two comments on a silent event stream.

    Raises:
        ConfigError: A value is of the wrong type or out of range.
    """

    max_turns: Count = 50
    tool_timeout: Seconds = 120.0
    tool_text_limit: Bytes = 50 * 1024
    submission_timeout: Seconds = 3600.0
    submission_attempts: Count = 10
    stream_idle_timeout: Seconds = 120.0
    model_concurrency: Count = 512
    cancel_grace: Seconds = 30.0
    max_queued: Count = 1_000
    max_pending: Count = 100_000
    passivate_after: Seconds = 900.0
    max_active: Count = 10_000
    drain_timeout: SecondsOrNone = 30.0
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 3583
    store: Annotated[str, Meta(min_length=1)] = "data/flue.db"
    dev: bool = False
    origins: frozenset[str] = frozenset()
    max_body: Bytes = 4 * 1024 * 1024
    max_head: Bytes = 64 * 1024
    max_headers: Count = 100
    max_frame: Bytes = 1024 * 1024
    max_in_flight: Count = 64
    head_timeout: Seconds = 10.0
    body_timeout: Seconds = 30.0
    stall_timeout: Seconds = 30.0
    heartbeat: Seconds = 15.0

    def __post_init__(self) -> None:
        for name in _TYPES:
            _Given(name, getattr(self, name), name, "Settings").convert()


def load_settings(
    root: Path,
    *,
    env: Mapping[str, str],
    dev: bool = False,
    flags: Mapping[str, object] = MappingProxyType({}),
) -> Settings:
    """The settings of the project at ``root``.

    Args:
        root: The folder of ``pyproject.toml`` and ``.env``; both may be missing.
        env: The process's environment. An empty ``FLUE_<NAME>`` counts as not set.
        dev: Development mode: ``.env`` is read, and `Settings.dev` is on unless something says otherwise.
        flags: From the command line, by setting; None is a flag that was not given.

    Raises:
        ConfigError: A file cannot be read, a value does not fit, or a name is unknown; it says which, where it came from
            and which setting is the nearest.
    """
    values: dict[str, Any] = {"dev": dev}
    for given in _all_given(root, env, dev, flags):
        values[given.name] = given.convert()
    return Settings(**values)


def read_dotenv(root: Path) -> dict[str, str]:
    """What ``.env`` in ``root`` sets; nothing when there is none.

    Raises:
        ConfigError: The file cannot be read.
    """
    file = root / ".env"
    if not file.is_file():
        return {}
    try:
        return {name: value for name, value in dotenv_values(file).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f".env cannot be read: {error}", details="It has to be a text file in UTF-8.") from error


class _Given(msgspec.Struct, frozen=True):
    """One value that was given: for which setting, under which name, and where."""

    name: str
    value: object
    key: str
    source: str
    text: bool = False  # from an environment: numbers and flags are written as text

    def convert(self) -> Any:
        value = self.value
        if self.name == "origins" and isinstance(value, str):
            value = [origin.strip() for origin in value.split(",") if origin.strip()]
        try:
            return msgspec.convert(value, _TYPES[self.name], strict=not self.text)
        except msgspec.ValidationError as error:
            raise ConfigError(
                f"{self.source}: {self.key} = {self.value!r} does not fit: {error}",
                details=f"Correct {self.key}, or leave it out for the default, {_DEFAULTS[self.name]!r}.",
            ) from error


def _all_given(root: Path, env: Mapping[str, str], dev: bool, flags: Mapping[str, object]) -> Iterator[_Given]:
    yield from _from_pyproject(root / "pyproject.toml")
    if dev:
        yield from _from_environment(read_dotenv(root), ".env")
    yield from _from_environment(env, "environment")
    for key, value in flags.items():
        if value is not None:
            yield _Given(_known(key, value, "flags"), value, key, "flags")


def _from_pyproject(file: Path) -> Iterator[_Given]:
    source = "pyproject.toml [tool.flue-actors]"
    seen: dict[str, str] = {}
    for key, value in _pyproject_table(file, source).items():
        name = _known(key, value, source)
        if name in seen:
            raise ConfigError(f"{source}: {key} and {seen[name]} are the same setting.", details="Keep one of them.")
        seen[name] = key
        yield _Given(name, value, key, source)


def _pyproject_table(file: Path, source: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"pyproject.toml cannot be read: {error}", details="Correct the file.") from error
    tool = document.get("tool", {})
    table = tool.get("flue-actors", {}) if isinstance(tool, dict) else {}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # TOML is untyped
    if not isinstance(table, dict):
        raise ConfigError(f"{source} is no table.", details="Write settings below it, such as: port = 3583")
    return table  # pyright: ignore[reportUnknownVariableType]  # keys of a TOML table are text


def _from_environment(env: Mapping[str, str], source: str) -> Iterator[_Given]:
    """The ``FLUE_<NAME>`` among ``env``; names like no setting (``FLUE_MODEL``) belong to the project."""
    for key, value in env.items():
        if not key.startswith(_PREFIX) or not value:
            continue
        name = key.removeprefix(_PREFIX).lower()
        if name in _TYPES:
            yield _Given(name, value, key, source, text=True)
        elif near := get_close_matches(name, _TYPES, n=1, cutoff=_MISSPELT):
            raise ConfigError(
                f"{source}: {key} = {value!r} is no setting; did you mean {_PREFIX}{near[0].upper()}?",
                details="Correct the name. A variable of your own needs one that is less like a setting's.",
            )


def _known(key: str, value: object, source: str) -> str:
    name = key.replace("-", "_")
    if name in _TYPES:
        return name
    near = get_close_matches(name, _TYPES, n=1, cutoff=0)[0].replace("_", "-")
    raise ConfigError(
        f"{source}: {key} = {value!r} is no setting; the nearest one is {near}.",
        details="Settings are: " + ", ".join(each.replace("_", "-") for each in _TYPES) + ".",
    )


_PREFIX: Final = "FLUE_"
_MISSPELT: Final = 0.8
"""From this similarity on a variable is a misspelt setting: FLUE_PORTS and FLUE_MAX_TURN are, FLUE_MODEL and FLUE_TOKEN
(nearest 0.56) are not."""
_TYPES: Final[dict[str, Any]] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in msgspec.structs.fields(Settings)}
