"""What an instance keeps for its tools: ``context.state``, a mapping of names to JSON."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

import msgspec

from flue_actors.definition.calling import json_text
from flue_actors.errors import ToolError
from flue_actors.ids import AgentKey
from flue_actors.storage import PutKv, Store

LARGEST: Final = 1024 * 1024
"""Bytes that one value may have as JSON."""


class InstanceState:
    """Of one active instance; read when something first asks for it."""

    __slots__ = ("_key", "_store", "_values")

    def __init__(self, store: Store, key: AgentKey) -> None:
        self._store = store
        self._key = key
        self._values: dict[str, bytes] | None = None

    async def of_call(self) -> "CallState":
        """What one tool call sees and writes.

        Raises:
            StoreError: The store refused.
        """
        return CallState(self, await self.values())

    async def decoded(self) -> dict[str, Any]:
        """Everything, by name; a copy. Raises StoreError."""
        return {name: msgspec.json.decode(body) for name, body in (await self.values()).items()}

    async def values(self) -> dict[str, bytes]:
        """Everything, as JSON by name. Not to be changed. Raises StoreError."""
        if self._values is None:
            stored = await self._store.kv(self._key, "state")
            if self._values is None:  # else a call beside this one has read it, and maybe written since
                self._values = stored
        return self._values

    def forget(self) -> None:
        """What is in memory may not be what is stored: read it again."""
        self._values = None

    def take(self, written: Mapping[str, bytes | None]) -> list[PutKv]:
        """What a call wrote counts from here on; the writes that make it durable."""
        values = self._values = dict(self._values or {})
        for name, body in written.items():
            if body is None:
                values.pop(name, None)
            else:
                values[name] = body
        return [PutKv(key=self._key, kind="state", name=name, body=body) for name, body in written.items()]


class CallState(MutableMapping[str, Any]):
    """The instance's state as one call sees it: what was there when it began, and what it wrote itself.

    A value is what its JSON says; changing one in place writes nothing, setting it does.
    """

    __slots__ = ("_before", "_state", "_written")

    def __init__(self, state: InstanceState, before: Mapping[str, bytes]) -> None:
        self._state = state
        self._before = before
        self._written: dict[str, bytes | None] = {}

    def __getitem__(self, name: str) -> Any:
        body = self._written[name] if name in self._written else self._before.get(name)
        if body is None:
            raise KeyError(name)
        return msgspec.json.decode(body)

    def __setitem__(self, name: str, value: Any) -> None:
        """
        Raises:
            ToolError: The value is not JSON, or too large.
        """
        try:
            body = json_text(value).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ToolError(f'state["{name}"] cannot be written as JSON ({type(error).__name__}).') from error
        if len(body) > LARGEST:
            raise ToolError(f'state["{name}"] is larger than {LARGEST // 1024} KiB.')
        self._written[name] = body

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._written[name] = None

    def __contains__(self, name: object) -> bool:
        if name in self._written:
            return self._written[str(name)] is not None
        return name in self._before

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys([*self._before, *self._written])
        return iter([name for name in names if name in self])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def writes(self) -> list[PutKv]:
        """What it wrote counts from here on; the writes that make it durable."""
        return self._state.take(self._written) if self._written else []
