"""How long an instance holds its sandbox: while it works, and no longer where everything in it is stored."""

from collections.abc import Mapping

import msgspec
import pytest

from flue_actors import Runtime, create_agent
from flue_actors.definition.agent import CreatedAgent
from flue_actors.errors import SandboxError, SandboxFileError
from flue_actors.ids import AgentKey
from flue_actors.sandboxes.protocol import DirEntry, ExecResult, FileStat, OnOutput, SandboxContext
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.testing import Machine, in_virtual_time

WRITE = 'call write {"path": "note.txt", "content": "kept"}'
READ = 'call read {"path": "note.txt"}'
FAIL = 'call bash {"command": "touch half.txt; die"}'


class Shelf:
    """A sandbox that is a dict. Its only command leaves a file behind and fails."""

    def __init__(self, house: "House", files: dict[str, bytes]) -> None:
        self._house = house
        self._files = files

    @property
    def cwd(self) -> str:
        return "/"

    async def exec(
        self,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> ExecResult:
        self._files["/half.txt"] = b""
        raise SandboxError("It died.")

    async def read(self, path: str) -> bytes:
        if path not in self._files:
            raise SandboxFileError("There is no such file.")
        return self._files[path]

    async def write(self, path: str, data: bytes) -> None:
        self._files[path] = data

    async def stat(self, path: str) -> FileStat | None:
        if path == "/":
            return FileStat(kind="directory", size=0, modified=0)
        found = self._files.get(path)
        return None if found is None else FileStat(kind="file", size=len(found), modified=0)

    async def list(self, path: str) -> tuple[DirEntry, ...]:
        return tuple([DirEntry(name.removeprefix("/"), "file") for name in sorted(self._files)] if path == "/" else [])

    async def mkdir(self, path: str) -> None: ...

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        self._files.pop(path, None)

    async def snapshot(self) -> bytes | None:
        return msgspec.json.encode(self._files, order="sorted")

    async def close(self) -> None:
        self._house.open_now -= 1


class House:
    """Makes shelves, and knows how many are open. ``stored``: they may be closed while nothing is under way."""

    def __init__(self, *, stored: bool) -> None:
        self.stored = stored
        self.open_now = 0
        self.opened = 0

    async def open(self, context: SandboxContext) -> Shelf:
        self.open_now += 1
        self.opened += 1
        files: dict[str, bytes] = (
            msgspec.json.decode(context.snapshot, type=dict[str, bytes]) if context.snapshot else {}
        )
        return Shelf(self, files)


def agent_in(house: House) -> CreatedAgent:
    return create_agent(model="scripted/echo", instructions="Use tools.", sandbox=house)


async def talk(runtime: Runtime, *messages: str) -> str:
    text = ""
    for message in messages:
        text = (await runtime.ref("clerk", "u1").prompt(message)).text
    return text


@in_virtual_time
async def test_an_instance_without_work_holds_no_sandbox_and_its_files_are_there_again() -> None:
    house = House(stored=True)
    async with Machine({"clerk": agent_in(house)}) as machine:
        await talk(machine.runtime, WRITE)
        assert house.open_now == 0
        assert "kept" in await talk(machine.runtime, READ)
        assert house.open_now == 0


@in_virtual_time
async def test_a_message_that_uses_no_tool_opens_nothing_once_the_workspace_was_looked_at() -> None:
    house = House(stored=True)
    async with Machine({"clerk": agent_in(house)}) as machine:
        await talk(machine.runtime, "hello", "hello again", "and again")
    assert house.opened == 1


@in_virtual_time
async def test_what_a_failed_command_left_is_stored_too() -> None:
    house = House(stored=True)
    async with Machine({"clerk": agent_in(house)}) as machine:
        await talk(machine.runtime, FAIL)
        await machine.evict(machine.runtime.ref("clerk", "u1"))
        assert "half.txt" in await talk(machine.runtime, 'call read {"path": "/"}')


@in_virtual_time
@pytest.mark.parametrize("stored", [True, False])
async def test_a_sandbox_that_lives_on_by_itself_stays_open_until_its_instance_leaves(stored: bool) -> None:
    house = House(stored=stored)
    async with Machine({"clerk": agent_in(house)}) as machine:
        await talk(machine.runtime, WRITE)
        assert house.open_now == (0 if stored else 1)
        await machine.evict(machine.runtime.ref("clerk", "u1"))
        assert house.open_now == 0


@in_virtual_time
async def test_a_sandbox_whose_definition_was_replaced_is_closed() -> None:
    before, after = House(stored=False), House(stored=False)
    async with Machine({"clerk": agent_in(before)}) as machine:
        await talk(machine.runtime, WRITE)
        machine.runtime.redefine({"clerk": agent_in(after)})
        await talk(machine.runtime, WRITE)
        assert (before.open_now, after.open_now) == (0, 1)


async def test_what_could_not_be_stored_is_given_out_again() -> None:
    house, context = House(stored=True), SandboxContext(key=AgentKey("clerk", "u1"))
    workspace = Workspace(lambda: house.open(context))
    await workspace.write("/note.txt", b"kept")
    given = await workspace.snapshot()
    assert given is not None
    assert await workspace.snapshot() is None
    workspace.forget()  # as when the write is refused
    assert await workspace.snapshot() == given
