"""What a hostile script can do in a virtual sandbox: nothing to the host, to other sandboxes, or for long."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flue_actors.errors import SandboxError
from flue_actors.sandboxes.virtual import VirtualLimits, virtual, wire
from flue_actors.sandboxes.virtual.nursery import NURSERY
from flue_actors.sandboxes.virtual.sandbox import VirtualSandbox
from tests.sandboxes.conftest import context

SECRET = "hunter2-canary-d41d8cd9"
MIB = 1024 * 1024
LIMITS = VirtualLimits(seconds=1.0, memory=64 * MIB)


@pytest.fixture
async def sandbox() -> AsyncIterator[VirtualSandbox]:
    sandbox = await virtual({"kept.txt": "kept"}, limits=LIMITS).open(context())
    yield sandbox
    await sandbox.close()


def resident() -> int:
    """Bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "script",
    [
        "env; set; export -p; declare -p",
        "cat /proc/self/environ /proc/1/environ /proc/*/environ",
        "cat {host}; cat ../../../../../../{host}; cat /proc/self/root/{host}; cat /proc/self/cwd/../../../{host}",
        "ln -s {host} l; cat l; ln {host} h; cat h; cp {host} c; cat c",
        "find / -name '*canary*'; grep -r hunter2 / ; ls -R /",
        ". {host}; source {host}; bash {host}; while read -r x; do echo $x; done < {host}",
        "exec 3<{host}; cat <&3; cat /dev/fd/3 /dev/fd/4 /dev/fd/5 /proc/self/fd/*",
        "tar cf - {host}; awk '{{print}}' {host}; sed -n p {host}; jq -R . {host}; jq -n env; awk 'BEGIN{{for(e in ENVIRON)print ENVIRON[e]}}'",
        "curl file://{host}; curl http://127.0.0.1/; cat < /dev/tcp/127.0.0.1/22; wget -qO- file://{host}",
    ],
)
async def test_nothing_of_the_host_is_seen(
    script: str, sandbox: VirtualSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "canary.txt"
    host.write_text(SECRET)
    monkeypatch.setenv("CANARY", SECRET)
    result = await sandbox.exec(script.format(host=host))
    assert SECRET.encode() not in result.stdout + result.stderr
    assert await sandbox.stat(str(host)) is None


async def test_the_interpreters_process_has_neither_our_environment_nor_an_open_file_of_ours(
    tmp_path: Path, sandbox: VirtualSandbox
) -> None:
    with (tmp_path / "open").open("w"):
        await sandbox.exec("true")
        environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in interpreters()]
        files = [os.readlink(link) for pid in interpreters() for link in Path(f"/proc/{pid}/fd").iterdir()]
    assert environments
    assert all(b"PATH=" not in environment and b"HOME=" not in environment for environment in environments)
    assert not any(name.startswith("/") and name != "/dev/null" and "pytest" in name for name in files)


async def test_the_system_it_shows_is_its_own(sandbox: VirtualSandbox) -> None:
    said = (await sandbox.exec("cat /etc/passwd; hostname; id")).stdout.decode()
    assert said != Path("/etc/passwd").read_text()
    assert os.uname().nodename not in said
    assert "uid=1000(user)" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::ffff:127.0.0.1]"])
async def test_private_addresses_are_refused_even_when_allowed(host: str) -> None:
    connected = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nwon")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://{host}:{server.sockets[0].getsockname()[1]}/"
    sandbox = await virtual(network=[url], limits=LIMITS).open(context())
    result = await sandbox.exec(f"curl -sS -m 1 '{url}'; curl -s http://not-allowed.example/")
    assert b"won" not in result.stdout
    assert connected == 0
    await sandbox.close()
    server.close()


HOSTILE = {
    "endless loop": "while true; do :; done",
    "endless awk": "awk 'BEGIN{while(1){x++}}'",
    "endless jq": "jq -n 'def f: f; f'",
    "fork bomb": ":(){ :|:& };:",
    "background children": "for i in 1 2 3 4 5; do (while true; do :; done) & done; sleep 60 & wait",
    "sleeping child": "sleep 60 & echo started",
    "flood": "yes; cat /dev/zero; while true; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
    "flood of errors": "while true; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >&2; done",
    "variable": 'x=aaaaaaaa; while true; do x="$x$x"; done',
    "files": "for i in $(seq 1 1000); do head -c 60000 /dev/urandom > f$i; done",
    "one file": "while true; do cat /dev/urandom >> f; done",
    "deep function": "f() { f; }; f",
    "deep eval": 'x=\'eval "$x"\'; eval "$x"',
    "deep env": "env " * 3_000 + "true",
    "deep xargs": "echo a | " + "xargs " * 3_000 + "echo",
    "deep jq": "jq -n '" + "[" * 60_000 + "]" * 60_000 + "'",
    "deep brackets": "[ " + r"\( " * 50_000 + "a" + r" \)" * 50_000 + " ]",
    "deep substitution": "echo " + "$(echo " * 3_000 + "a" + ")" * 3_000,
    "braces": "echo {1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}",
}


@pytest.mark.parametrize("script", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_script_ends_and_harms_nobody(script: str, sandbox: VirtualSandbox) -> None:
    other = await virtual().open(context("other"))
    before, started = resident(), time.monotonic()
    running = asyncio.ensure_future(sandbox.exec(script))
    assert (await other.exec("echo well")).stdout == b"well\n"
    try:
        result = await running
        assert len(result.stdout) + len(result.stderr) <= 2 * LIMITS.output
    except SandboxError:
        pass  # its interpreter ended: that is within what it may do to itself
    assert time.monotonic() - started < LIMITS.seconds + 4
    assert resident() - before < 32 * MIB
    assert (await other.exec("echo well")).stdout == b"well\n"
    assert (await sandbox.exec("cat kept.txt")).stdout == b"kept"
    await other.close()


async def test_after_a_crash_the_files_are_those_that_were_stored(sandbox: VirtualSandbox) -> None:
    await sandbox.write("stored", b"1")
    await sandbox.snapshot()
    await sandbox.write("later", b"2")
    with pytest.raises(SandboxError, match="starts anew with the files as they were stored"):
        await sandbox.exec(HOSTILE["deep eval"])
    assert await sandbox.read("stored") == b"1"
    assert await sandbox.stat("later") is None


async def test_memory_has_an_end(sandbox: VirtualSandbox) -> None:
    await asyncio.gather(
        *(
            sandbox.exec(f"for i in 1 2 3 4 5 6 7 8 9; do head -c 9000000 /dev/urandom > f{n}$i; done")
            for n in range(9)
        ),
        return_exceptions=True,
    )
    assert max(resident_of(pid) for pid in interpreters()) < LIMITS.memory + 300 * MIB


async def test_its_process_cannot_answer_for_the_nursery(sandbox: VirtualSandbox) -> None:
    await sandbox.exec("true")
    begun = interpreters()
    lines = {os.readlink(f"/proc/{_parent(Path(f'/proc/{pid}/stat'))}/fd/3") for pid in begun}
    assert lines
    for pid in begun:
        assert not lines & {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}


async def test_the_kernel_holds_its_process_to_the_limit(sandbox: VirtualSandbox) -> None:
    await sandbox.exec("true")
    data = {
        line.split()[3]
        for pid in interpreters()
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
        if line.startswith("Max data size")
    }
    assert str(LIMITS.memory + 256 * MIB) in data


async def test_when_it_is_closed_its_process_ends() -> None:
    before = set(interpreters())
    sandbox = await virtual().open(context())
    running = asyncio.ensure_future(sandbox.exec("while true; do :; done"))
    await asyncio.sleep(0)
    await sandbox.close()
    with pytest.raises(SandboxError):
        await running
    async with asyncio.timeout(5):
        while len(set(interpreters()) - before) > 1:  # one is begun ahead
            await asyncio.sleep(0.01)


def interpreters() -> list[int]:
    """Processes of virtual sandboxes that this process has begun, without the nursery itself."""
    parents = {int(path.parent.name): _parent(path) for path in Path("/proc").glob("[0-9]*/stat")}
    nurseries = {pid for pid, parent in parents.items() if parent == os.getpid() and _is_nursery(pid)}
    return [pid for pid, parent in parents.items() if parent in nurseries]


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _is_nursery(pid: int) -> bool:
    return b"virtual.nursery" in Path(f"/proc/{pid}/cmdline").read_bytes()


def resident_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


async def asked(line: socket.socket) -> list[wire.Request]:
    """What comes to an interpreter at once."""
    return list(wire.Frames().requests(await asyncio.get_running_loop().sock_recv(line, 65_536)))


@asynccontextmanager
async def lying(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[VirtualSandbox, socket.socket]]:
    """A sandbox whose interpreter is somebody else, at the other end of a line."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    monkeypatch.setattr(NURSERY, "start", lambda: ours)
    monkeypatch.setattr(NURSERY, "begin_ahead", lambda: None)
    sandbox = await virtual(limits=VirtualLimits(stored=1_000)).open(context())
    with theirs:
        await asked(theirs)  # what it is to be
        yield sandbox, theirs
        await sandbox.close()


async def test_an_interpreter_does_not_make_us_store_more_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async with lying(monkeypatch) as (sandbox, line):
        storing = asyncio.create_task(sandbox.snapshot())
        (request,) = await asked(line)
        line.send(wire.frame(wire.Answer(request.number, wire.Bytes(b"x" * 1_001))))
        with pytest.raises(SandboxError, match="too much"):
            await storing


@pytest.mark.parametrize(
    "says",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\1\xc1",
        wire.frame(wire.Answer(1, wire.Done())),
        wire.frame(wire.Answer(1, wire.Found(None))),
        wire.frame(wire.Request(1, wire.Snapshot(1))),
    ],
)
async def test_what_makes_no_sense_is_an_error_of_the_call(says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with lying(monkeypatch) as (sandbox, line):
        reading = asyncio.create_task(sandbox.read("file"))
        await asked(line)
        line.send(says)
        async with asyncio.timeout(5):
            with pytest.raises(SandboxError, match="interpreter ended"):
                await reading


async def test_answers_to_what_was_not_asked_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with lying(monkeypatch) as (sandbox, line):
        reading = asyncio.create_task(sandbox.read("file"))
        (request,) = await asked(line)
        for number, data in ((request.number + 1, b"wrong"), (-5, b"wrong"), (request.number, b"right")):
            line.send(wire.frame(wire.Answer(number, wire.Bytes(data))))
        assert await reading == b"right"
