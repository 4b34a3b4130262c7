"""What an instance keeps for its tools: ``context.state``, a mapping of names to JSON."""

import asyncio
from collections.abc import Generator, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from flue_actors.definition.calling import json_text
from flue_actors.errors import ToolError
from flue_actors.ids import AgentKey
from flue_actors.storage import PutKv, Store

LARGEST: Final = 1024 * 1024
"""Bytes that one value may have as JSON."""

MOST: Final = 4 * 1024 * 1024
"""Bytes of all names and values of an instance."""

MUCH: Final = 256 * 1024
"""Bytes that are decoded on the loop, for initializers, in 2 ms."""

LONGEST_NAME: Final = 512
"""Bytes of a name."""


class InstanceState:
    """Of one active instance; read when something first asks for it.

    Attributes:
        size: Bytes of its names and values, once it was read.
    """

    __slots__ = ("_key", "_store", "_taken", "_values", "_writing", "_written", "size")

    def __init__(self, store: Store, key: AgentKey) -> None:
        self._store = store
        self._key = key
        self._values: dict[str, bytes] | None = None
        self._taken = 0  # how often calls had something to write
        self._writing = 0  # how many of these writes are under way
        self._written: asyncio.Future[None] | None = None  # resolves when none is
        self.size = 0

    async def of_call(self) -> "CallState":
        """What one tool call sees and writes.

        Raises:
            StoreError: The store refused.
        """
        return CallState(self, await self.values())

    async def decoded(self) -> dict[str, Any]:
        """Everything, by name; a copy. Raises StoreError."""
        values = await self.values()
        return _decoded(values) if self.size <= MUCH else await asyncio.to_thread(_decoded, values)

    async def values(self) -> dict[str, bytes]:
        """Everything, as JSON by name. Not to be changed. Raises StoreError."""
        while self._values is None:
            while self._writing:  # what is read meanwhile may lack it
                self._written = self._written or asyncio.get_running_loop().create_future()
                await asyncio.shield(self._written)
            taken = self._taken
            stored = await self._store.kv(self._key, "state")
            if self._values is None and taken == self._taken:
                self._values, self.size = stored, _size(stored)
        return self._values

    def forget(self) -> None:
        """What is in memory may not be what is stored: read it again."""
        self._values = None

    @contextmanager
    def writing(self) -> Generator[None]:
        """Inside, what `take` gave out is made durable. If that fails, nobody knows what is stored."""
        self._writing += 1
        try:
            yield
        except BaseException:
            self.forget()
            raise
        finally:
            self._writing -= 1
            if not self._writing and self._written is not None:
                self._written.set_result(None)
                self._written = None

    def take(self, written: Mapping[str, bytes | None]) -> list[PutKv]:
        """What a call wrote counts from here on; the writes that make it durable, which begins at once (`writing`)."""
        self._taken += 1
        if self._values is not None:  # else it is read when this is stored
            values = {**self._values, **written}
            self._values = {name: body for name, body in values.items() if body is not None}
            self.size = _size(self._values)
        return [PutKv(key=self._key, kind="state", name=name, body=body) for name, body in written.items()]


class CallState(MutableMapping[str, Any]):
    """The instance's state as one call sees it: what was there when it began, and what it wrote itself.

    A value is what its JSON says; changing one in place writes nothing, setting it does.
    """

    __slots__ = ("_before", "_size", "_state", "_written")

    def __init__(self, state: InstanceState, before: Mapping[str, bytes]) -> None:
        self._state = state
        self._before = before
        self._size = state.size
        self._written: dict[str, bytes | None] = {}

    def __getitem__(self, name: str) -> Any:
        body = self._body(name)
        if body is None:
            raise KeyError(name)
        return msgspec.json.decode(body)

    def __setitem__(self, name: str, value: Any) -> None:
        """
        Raises:
            ToolError: The name is no text or too long, or the value is not JSON or too large, by itself or with the others.
        """
        _check_name(name)
        try:
            body = json_text(value).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ToolError(f'state["{name}"] cannot be written as JSON ({type(error).__name__}).') from error
        if len(body) > LARGEST:
            raise ToolError(f'state["{name}"] is larger than {LARGEST // 1024} KiB.')
        if self._size + _grows(name, self._body(name), body) > MOST:
            raise ToolError(
                f'With state["{name}"] the state is larger than {MOST // 1024} KiB: delete something first.'
            )
        self._write(name, body)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._write(name, None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._body(name) is not None

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys([*self._before, *self._written])
        return iter([name for name in names if name in self])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def writes(self) -> list[PutKv]:
        """What it wrote counts from here on; the writes that make it durable."""
        return self._state.take(self._written) if self._written else []

    def _body(self, name: str) -> bytes | None:
        return self._written[name] if name in self._written else self._before.get(name)

    def _write(self, name: str, body: bytes | None) -> None:
        self._size += _grows(name, self._body(name), body)
        self._written[name] = body


def _check_name(name: object) -> None:
    """Raises ToolError for a name that a store does not take."""
    try:
        fits = isinstance(name, str) and len(name.encode()) <= LONGEST_NAME
    except UnicodeEncodeError:  # half of a surrogate pair
        fits = False
    if not fits:
        raise ToolError(f"A name in the state is a text of at most {LONGEST_NAME} bytes in UTF-8.")


def _decoded(values: Mapping[str, bytes]) -> dict[str, Any]:
    return {name: msgspec.json.decode(body) for name, body in values.items()}


def _size(values: Mapping[str, bytes]) -> int:
    return sum(map(len, values)) + sum(map(len, values.values()))


def _grows(name: str, before: bytes | None, after: bytes | None) -> int:
    """How many bytes more there are with one value in another one's place."""
    return sum([sign * (len(name) + len(body)) for sign, body in ((1, after), (-1, before)) if body is not None])
