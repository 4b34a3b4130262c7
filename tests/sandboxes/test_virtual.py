"""The virtual sandbox: how it is defined, and what of it is stored."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from flue_actors.errors import ConfigError, SandboxError
from flue_actors.sandboxes.protocol import SandboxContext
from flue_actors.sandboxes.virtual import VirtualLimits, VirtualSandboxes, virtual
from flue_actors.sandboxes.virtual.sandbox import VirtualSandbox
from tests.sandboxes.conftest import context
from tests.sandboxes.test_virtual_escapes import interpreters


@asynccontextmanager
async def opened(factory: VirtualSandboxes, snapshot: bytes | None = None) -> AsyncIterator[VirtualSandbox]:
    sandbox = await factory.open(SandboxContext(key=context().key, snapshot=snapshot))
    try:
        yield sandbox
    finally:
        await sandbox.close()


async def longest_stall(work: Awaitable[object]) -> float:
    """Seconds for which the loop did nothing else while this ran."""
    stalls, last, running = [0.0], time.perf_counter(), asyncio.ensure_future(work)
    while not running.done():
        await asyncio.sleep(0.002)
        stalls.append(time.perf_counter() - last)
        last = time.perf_counter()
    await running
    return max(stalls)


def test_factories_of_the_same_say_are_equal() -> None:
    assert virtual({"a": "x"}, network=["https://a.example/"]) == virtual({"a": b"x"}, network=("https://a.example/",))
    assert virtual({"a": "x"}) == virtual({"/home/user/a": "x"})
    assert virtual({"a": "x"}) != virtual({"a": "y"})
    assert virtual(limits=VirtualLimits(seconds=1)) != virtual()


def test_without_bashkit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bashkit", None)
    with pytest.raises(ConfigError) as caught:
        virtual()
    assert 'pip install "flue-actors[virtual]"' in caught.value.details


@pytest.mark.parametrize(
    "make",
    [
        lambda: virtual(cwd="relative"),
        lambda: virtual({"": "x"}),
        lambda: virtual({"d/": "x"}),
        lambda: virtual({"a": 5}),  # type: ignore[dict-item]
        lambda: virtual(network=["example.com"]),
        lambda: virtual(network="https://a.example"),
        lambda: VirtualLimits(seconds=0),
        lambda: VirtualLimits(memory=-1),
    ],
    ids=["cwd", "no name", "directory", "content", "host", "one url", "seconds", "memory"],
)
def test_a_definition_that_cannot_work_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


async def test_files_are_there_from_the_start() -> None:
    async with opened(virtual({"a/b.txt": "text", "/etc/my.bin": b"\xff"}, cwd="/work")) as sandbox:
        assert sandbox.cwd == "/work"
        assert await sandbox.read("a/b.txt") == b"text"
        assert await sandbox.read("/etc/my.bin") == b"\xff"


async def test_a_file_that_bashkit_does_not_take_is_an_error_when_it_opens() -> None:
    with pytest.raises(SandboxError, match="too large"):
        await virtual({"big": b"x" * 11_000_000}).open(context())


async def test_what_was_stored_is_there_and_files_are_not_planted_over_it() -> None:
    factory = virtual({"a": "first", "b": "first"})
    async with opened(factory) as sandbox:
        await sandbox.write("a", b"changed\xff")
        await sandbox.remove("b")
        await sandbox.exec("mkdir -p d; ln -s ../a d/link; chmod 700 a")
        stored = await sandbox.snapshot()
    async with opened(factory, stored) as sandbox:
        assert await sandbox.read("a") == b"changed\xff"
        assert await sandbox.read("d/link") == b"changed\xff"
        assert await sandbox.stat("b") is None
        assert await sandbox.snapshot() == stored


async def test_more_than_may_be_stored_is_an_error_that_says_so() -> None:
    async with opened(virtual(limits=VirtualLimits(stored=100_000))) as sandbox:
        await sandbox.write("a", os.urandom(200_000))
        with pytest.raises(SandboxError, match=r"holds too much to be kept: .* and 100000 are allowed"):
            await sandbox.snapshot()
        await sandbox.remove("a")
        assert await sandbox.snapshot()


@pytest.mark.parametrize(
    "damage",
    [lambda _data: b"", lambda _data: b"x" * 500, lambda data: data[:-1] + b"!"],
    ids=["empty", "other", "bent"],
)
async def test_what_cannot_be_restored_is_an_error_and_never_an_empty_sandbox(damage: Callable[[bytes], bytes]) -> None:
    async with opened(virtual({"a": "x"})) as sandbox:
        stored = await sandbox.snapshot()
    with pytest.raises(SandboxError, match="cannot be restored"):
        await virtual({"a": "x"}).open(SandboxContext(key=context().key, snapshot=damage(stored)))


async def test_neither_a_busy_shell_nor_a_large_snapshot_stalls_the_loop() -> None:
    async with opened(virtual(limits=VirtualLimits(commands=10_000_000, seconds=1))) as sandbox:
        assert await longest_stall(sandbox.exec("while true; do :; done")) < 0.2
        await sandbox.write("big", os.urandom(9_000_000))
        assert await longest_stall(sandbox.snapshot()) < 0.2


async def test_a_closed_one_says_so() -> None:
    async with opened(virtual()) as sandbox:
        await sandbox.close()
        with pytest.raises(SandboxError, match="closed"):
            await sandbox.exec("true")


async def test_a_hundred_at_once_do_not_see_each_other() -> None:
    async def one(n: int) -> bytes:
        async with opened(virtual()) as sandbox:
            await sandbox.exec(f"echo {n} > own")
            return await sandbox.read("own")

    assert await asyncio.gather(*map(one, range(100))) == [f"{n}\n".encode() for n in range(100)]


async def test_a_command_that_is_cancelled_before_it_began_does_not_run() -> None:
    async with opened(virtual()) as sandbox:
        await sandbox.exec("true")
        stopped = interpreters()  # so that it reads both at once, however fast it is
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            running = asyncio.ensure_future(sandbox.exec("echo > ran"))
            await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        await sandbox.exec("sleep 0.1")
        assert await sandbox.stat("ran") is None


def test_it_works_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def run() -> bytes:
        sandbox = await virtual().open(context())
        try:
            return (await sandbox.exec("echo hi")).stdout
        finally:
            await sandbox.close()

    assert uvloop.run(run()) == b"hi\n"
