"""The host's shell: what a command sees, what it comes to, and that nothing of it stays behind."""

import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

import pytest

from flue_actors.errors import ConfigError, SandboxError, SandboxFileError
from flue_actors.sandboxes.host import HostSandbox
from flue_actors.sandboxes.local import local
from flue_actors.sandboxes.processes import KEPT
from flue_actors.sandboxes.protocol import TIMED_OUT
from tests.sandboxes.conftest import context, running, until

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to a subreaper")

BACKGROUND = "sleep 1000.{0} & setsid sleep 1000.{0} & env -i setsid -f sleep 1000.{0}; (sleep 1000.{0} & disown)"


@pytest.fixture
def marker() -> str:
    """Digits that make an argument of `sleep` findable among all processes."""
    return str(uuid.uuid4().int)[:15]


async def test_a_command_runs_in_the_workspace_and_tells_its_exit_code(local_sandbox: HostSandbox) -> None:
    result = await local_sandbox.exec("pwd; echo wrong >&2; exit 3")
    assert result.stdout.decode().strip() == local_sandbox.cwd
    assert (result.stderr, result.exit_code, result.timed_out, result.dropped) == (b"wrong\n", 3, False, 0)


async def test_a_command_may_run_in_a_directory_of_the_workspace_only(local_sandbox: HostSandbox) -> None:
    await local_sandbox.mkdir("a/b")
    assert (await local_sandbox.exec("pwd", cwd="a/b")).stdout.decode() == f"{local_sandbox.cwd}/a/b\n"
    for cwd in ("..", "missing", "/"):
        with pytest.raises(SandboxFileError):
            await local_sandbox.exec("pwd", cwd=cwd)


async def test_a_signal_is_told_as_128_and_its_number(local_sandbox: HostSandbox) -> None:
    assert (await local_sandbox.exec("kill -TERM $$")).exit_code == 128 + signal.SIGTERM


async def test_a_command_has_no_input_and_pipes_break_as_in_any_shell(local_sandbox: HostSandbox) -> None:
    assert (await local_sandbox.exec("cat")).exit_code == 0
    assert (await local_sandbox.exec("yes | head -1; echo ${PIPESTATUS[0]}")).stdout == b"y\n141\n"


async def test_only_allowed_variables_of_ours_are_seen(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "canary-1")
    monkeypatch.setenv("BASH_ENV", "/canary-2")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("LANG", "C.UTF-8")
    sandbox = await local(workspace, env={"GIVEN": "a = b", "LANG": None}).open(context())
    seen = (await sandbox.exec("env", env={"MORE": "now"})).stdout.decode().splitlines()
    names = {line.partition("=")[0] for line in seen}
    assert {"GIVEN=a = b", "MORE=now", "TZ=UTC"} <= set(seen)
    assert names <= {"GIVEN", "MORE", "PATH", "HOME", "USER", "LOGNAME", "HOSTNAME", "SHELL", "LC_ALL", "LC_CTYPE", "TZ",
                     "TERM", "TMPDIR", "TMP", "TEMP", "PWD", "SHLVL", "_"}  # fmt: skip
    await sandbox.close()


async def test_the_environment_is_as_it_was_at_the_definition(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Oslo")
    factory = local(workspace)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    sandbox = await factory.open(context())
    assert (await sandbox.exec("echo $TZ")).stdout == b"Europe/Oslo\n"
    assert factory != local(workspace)
    await sandbox.close()


async def test_the_supervisor_does_not_obey_variables_meant_for_the_command(local_sandbox: HostSandbox) -> None:
    trace = f"{local_sandbox.cwd}/trace"
    result = await local_sandbox.exec("exit 0", env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": trace})
    assert result.exit_code == 0
    traced = [entry.name for entry in await local_sandbox.list(".")]
    assert len(traced) == 1, "bash alone was traced"


async def test_no_startup_file_is_read(workspace: Path) -> None:
    (workspace / ".bashrc").write_text("echo startup")
    (workspace / ".bash_profile").write_text("echo startup")
    sandbox = await local(workspace, env={"HOME": str(workspace)}).open(context())
    assert (await sandbox.exec("true")).stdout == b""
    await sandbox.close()


async def test_a_command_whose_time_is_over_is_killed_and_keeps_its_output(local_sandbox: HostSandbox) -> None:
    result = await local_sandbox.exec("echo before; trap '' TERM; sleep 1000", timeout=0.2)
    assert (result.exit_code, result.timed_out, result.stdout) == (TIMED_OUT, True, b"before\n")


async def test_the_limit_of_the_sandbox_holds_for_longer_ones_too(workspace: Path) -> None:
    sandbox = await local(workspace, timeout=0.2).open(context())
    assert (await sandbox.exec("sleep 1000")).timed_out
    assert (await sandbox.exec("sleep 1000", timeout=500)).timed_out
    await sandbox.close()


async def test_of_a_flood_the_end_is_kept(local_sandbox: HostSandbox) -> None:
    result = await local_sandbox.exec("yes | head -c 20000000; echo; echo end; seq 3 >&2")
    assert len(result.stdout) == KEPT
    assert result.stdout.endswith(b"\nend\n")
    assert (result.dropped, result.stderr) == (20_000_005 - KEPT, b"1\n2\n3\n")


async def test_a_flood_of_a_gibibyte_takes_no_memory(workspace: Path) -> None:
    program = f"""
import asyncio, resource
from flue_actors.ids import AgentKey
from flue_actors.sandboxes.local import local
from flue_actors.sandboxes.protocol import SandboxContext
async def main():
    sandbox = await local({str(workspace)!r}).open(SandboxContext(key=AgentKey("a", "b")))
    await sandbox.exec("true")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await sandbox.exec("yes | head -c 1G")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(result.dropped + len(result.stdout), grown)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    seen, grown = map(int, output.split())
    assert seen == 1 << 30
    assert grown < 16 * (1024 if sys.platform == "linux" else 1 << 20), "at most 16 MiB"


async def test_output_is_told_while_the_command_runs(local_sandbox: HostSandbox) -> None:
    told: list[tuple[str, bytes]] = []
    seen = asyncio.Event()

    def on_output(stream: str, data: bytes) -> None:
        told.append((stream, data))
        seen.set()

    running_command = asyncio.ensure_future(
        local_sandbox.exec("echo first; until [ -e go ]; do sleep 0.01; done; echo second >&2", on_output=on_output)
    )
    await asyncio.wait_for(seen.wait(), 5)
    assert told == [("stdout", b"first\n")]
    await local_sandbox.write("go", b"")
    await running_command
    assert told == [("stdout", b"first\n"), ("stderr", b"second\n")]


@on_linux
async def test_what_a_command_left_in_the_background_is_gone_when_it_has_ended(
    local_sandbox: HostSandbox, marker: str
) -> None:
    result = await local_sandbox.exec(BACKGROUND.format(marker) + "; echo done")
    assert (result.stdout, result.exit_code) == (b"done\n", 0)
    assert not running(f"1000.{marker}")


@on_linux
async def test_a_bomb_of_processes_in_sessions_of_their_own_is_gone_too(
    local_sandbox: HostSandbox, marker: str
) -> None:
    bomb = (
        f"spawn() {{ for i in 1 2 3 4; do setsid -f bash -c 'sleep 0.01; sleep 1000.{marker}'; done; }}; spawn; spawn"
    )
    await local_sandbox.exec(bomb, timeout=0.5)
    assert not running(f"1000.{marker}")


@on_linux
@pytest.mark.parametrize("how", ["timeout", "cancel", "close"])
async def test_however_a_command_is_stopped_all_it_started_is_gone(
    local_sandbox: HostSandbox, marker: str, how: str
) -> None:
    command = BACKGROUND.format(marker) + f"; sleep 1000.{marker}"
    started = asyncio.ensure_future(local_sandbox.exec(command, timeout=0.3 if how == "timeout" else None))
    await until(lambda: running(f"1000.{marker}"))
    if how == "cancel":
        started.cancel()
    if how == "close":
        await local_sandbox.close()
    (outcome,) = await asyncio.gather(started, return_exceptions=True)
    assert isinstance(outcome, {"cancel": asyncio.CancelledError, "close": SandboxError}.get(how, object))
    assert not running(f"1000.{marker}")


async def test_a_command_that_is_cancelled_before_it_runs_does_not_stay(
    local_sandbox: HostSandbox, marker: str
) -> None:
    started = asyncio.ensure_future(local_sandbox.exec(f"sleep 1000.{marker}"))
    while not local_sandbox_is_starting(started):
        await asyncio.sleep(0)
    started.cancel()
    await asyncio.gather(started, return_exceptions=True)
    assert not running(f"1000.{marker}")


def local_sandbox_is_starting(started: "asyncio.Future[object]") -> bool:
    """True from the moment on that the command's process is being made."""
    return any("subprocess_exec" in repr(task) for task in asyncio.all_tasks())


@on_linux
async def test_when_our_process_is_killed_its_commands_end(workspace: Path, marker: str) -> None:
    program = f"""
import asyncio
from flue_actors.ids import AgentKey
from flue_actors.sandboxes.local import local
from flue_actors.sandboxes.protocol import SandboxContext
async def main():
    sandbox = await local({str(workspace)!r}).open(SandboxContext(key=AgentKey("a", "b")))
    await sandbox.exec({BACKGROUND.format(marker) + f"; sleep 1000.{marker}"!r})
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await until(lambda: running(f"1000.{marker}"))
    process.kill()
    await process.wait()
    await until(lambda: not running(f"1000.{marker}"))


@on_linux
async def test_a_command_that_kills_its_supervisor_does_not_hang_us(local_sandbox: HostSandbox, marker: str) -> None:
    result = await local_sandbox.exec(f"kill -9 $PPID; sleep 1000.{marker}")
    assert result.exit_code == 128 + signal.SIGKILL
    await until(lambda: not running(f"1000.{marker}"))


async def test_commands_of_one_sandbox_run_side_by_side(local_sandbox: HostSandbox) -> None:
    meet = "touch {0}; until [ -e {1} ]; do sleep 0.01; done"
    first, second = local_sandbox.exec(meet.format("a", "b")), local_sandbox.exec(meet.format("b", "a"))
    results = await asyncio.wait_for(asyncio.gather(first, second), 5)
    assert [result.exit_code for result in results] == [0, 0]


@pytest.mark.parametrize("command", ["echo a\0b", "echo \ud800", "x" * 3_000_000])
async def test_a_command_that_cannot_be_started_is_an_error(local_sandbox: HostSandbox, command: str) -> None:
    with pytest.raises(SandboxError):
        await local_sandbox.exec(command)


async def test_a_closed_sandbox_runs_nothing(local_sandbox: HostSandbox) -> None:
    await local_sandbox.close()
    await local_sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        await local_sandbox.exec("true")


async def test_nothing_is_to_be_stored(local_sandbox: HostSandbox) -> None:
    assert await local_sandbox.snapshot() is None


async def test_a_folder_that_does_not_exist_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(SandboxError) as caught:
        await local(tmp_path / "missing").open(context())
    assert str(tmp_path) not in caught.value.message


async def test_two_factories_with_the_same_settings_are_equal(tmp_path: Path) -> None:
    assert local(tmp_path, env={"A": "1", "B": "2"}) == local(str(tmp_path), env={"B": "2", "A": "1"})
    assert local(tmp_path) != local(tmp_path, timeout=1)
    assert hash(local(tmp_path)) == hash(local(tmp_path))
    assert local() == local(os.getcwd())


def test_what_a_factory_looks_like_tells_no_value() -> None:
    shown = repr(local(env={"TOKEN": "canary-3"}))
    assert "TOKEN" in shown and "canary-3" not in shown


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A": "x\0"}, {"a b": "x"}])
def test_a_variable_that_cannot_be_is_a_config_error(env: dict[str, str | None]) -> None:
    with pytest.raises(ConfigError):
        local(env=env)


def test_a_timeout_that_is_not_positive_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        local(timeout=0)
