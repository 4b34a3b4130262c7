"""The namespace: what commands find in it, and that nothing leads out of it."""

import asyncio
import ctypes
import os
import secrets
import shutil
import socket
import tempfile
import uuid
from pathlib import Path

import pytest

from flue_actors.errors import ConfigError, SandboxError, SandboxFileError
from flue_actors.ids import AgentKey
from flue_actors.sandboxes.folders import instance_folder
from flue_actors.sandboxes.host import HostSandbox
from flue_actors.sandboxes.isolated import isolated
from tests.sandboxes.conftest import context, make_deep, opened_isolated, running, until


async def said(sandbox: HostSandbox, command: str) -> str:
    result = await sandbox.exec(command, timeout=20)
    return (result.stdout + result.stderr).decode("utf-8", "replace")


async def test_commands_and_file_methods_see_the_same_workspace(isolated_sandbox: HostSandbox, workspace: Path) -> None:
    await isolated_sandbox.write("src/a.txt", b"one\n")
    assert await said(isolated_sandbox, "pwd; cat src/a.txt; echo two >> src/a.txt") == "/workspace\none\n"
    assert await isolated_sandbox.read("/workspace/src/a.txt") == b"one\ntwo\n"
    assert (workspace / "src/a.txt").read_bytes() == b"one\ntwo\n"
    assert await said(isolated_sandbox, "mkdir src/made && rm -r src && ls") == ""


async def test_a_command_runs_in_the_directory_asked_for(isolated_sandbox: HostSandbox) -> None:
    await isolated_sandbox.mkdir("a")
    assert (await isolated_sandbox.exec("pwd", cwd="a")).stdout == b"/workspace/a\n"
    with pytest.raises(SandboxFileError):
        await isolated_sandbox.exec("pwd", cwd="/usr")


async def test_nothing_of_our_environment_is_in_it(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROVIDER_KEY", "TZ", "LD_CANARY"):
        monkeypatch.setenv(name, "canary-4")
    sandbox = await opened_isolated(isolated(workspace, env={"GIVEN": "a\nb = c"}))
    seen = await said(sandbox, 'env; cat /proc/*/environ | tr "\\0" "\\n"')
    assert "canary-4" not in seen
    assert await said(sandbox, 'echo "$GIVEN-$HOME-$USER"') == "a\nb = c-/workspace-agent\n"
    names = {line.partition("=")[0] for line in (await said(sandbox, "env -u GIVEN env")).splitlines()}
    assert names == {"HOME", "LANG", "PATH", "TERM", "TMPDIR", "USER", "PWD", "SHLVL", "_"}
    await sandbox.close()


async def test_variables_for_the_command_do_nothing_outside(isolated_sandbox: HostSandbox, outside: Path) -> None:
    traces = outside / "traces"
    traces.mkdir(mode=0o777)
    traces.chmod(0o777)
    result = await isolated_sandbox.exec(
        "echo $LD_DEBUG", env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": f"{traces}/trace"}
    )
    assert b"files\n" in result.stdout, "the command itself is traced, to where it can"
    assert os.listdir(traces) == []


async def test_nothing_of_the_host_can_be_read(isolated_sandbox: HostSandbox, outside: Path) -> None:
    (outside / "secret").write_text("canary-5")
    (outside / "secret").chmod(0o644)
    ways = (
        f"cat {outside}/secret",
        f"cat /proc/self/root{outside}/secret",
        f"cat /proc/1/root{outside}/secret; cat /proc/1/cwd{outside}/secret",
        f"ln -s {outside}/secret link; cat link",
        f"ln {outside}/secret hard; cat hard",
        "cat /workspace/../secret; cat ../secret",
        "grep -rs canary-5 / --exclude-dir=proc --exclude-dir=usr",
    )
    for way in ways:
        assert "canary-5" not in (await said(isolated_sandbox, way)).replace(way, "")
    with pytest.raises(SandboxFileError):
        await isolated_sandbox.read("link")


async def test_home_folders_passwords_and_devices_are_not_there(isolated_sandbox: HostSandbox) -> None:
    assert await said(isolated_sandbox, "ls /root /home /etc/shadow /sys /boot /dev/sda /dev/mem 2>/dev/null") == ""
    assert (
        await said(isolated_sandbox, "cut -d: -f1 /etc/passwd; whoami; hostname") == "agent\nnobody\nagent\nsandbox\n"
    )


async def test_only_the_workspace_and_tmp_can_be_written(isolated_sandbox: HostSandbox) -> None:
    tried = (
        "for d in / /usr /usr/bin /etc /bin /lib /dev /proc /run /var; do touch $d/planted 2>/dev/null && echo $d; done"
    )
    assert await said(isolated_sandbox, tried) == ""
    assert (
        await said(isolated_sandbox, "touch /tmp/a /workspace/a /dev/shm/a && echo x > /dev/null && echo fine")
        == "fine\n"
    )


async def test_tmp_lasts_until_the_sandbox_closes(isolated_sandbox: HostSandbox) -> None:
    name = f"flue-{uuid.uuid4().hex}"
    await isolated_sandbox.exec(f"echo kept > /tmp/{name}")
    assert await said(isolated_sandbox, f"cat /tmp/{name}") == "kept\n"
    assert not Path("/tmp", name).exists()


async def test_commands_have_no_power_over_the_kernel(isolated_sandbox: HostSandbox) -> None:
    assert "CapEff:\t0000000000000000" in await said(isolated_sandbox, "cat /proc/self/status")
    assert "NoNewPrivs:\t1" in await said(isolated_sandbox, "cat /proc/self/status")
    for refused in ("unshare -Ur true", "mount -t tmpfs none /tmp", "chroot / true", "hostname other", "mknod d c 1 1"):
        assert (await isolated_sandbox.exec(refused)).exit_code != 0


async def test_no_command_runs_as_root_of_the_host(isolated_sandbox: HostSandbox, workspace: Path) -> None:
    await isolated_sandbox.exec("touch made")
    assert (workspace / "made").stat().st_uid == workspace.stat().st_uid != 0
    await isolated_sandbox.write("ours/file", b"")
    assert (workspace / "ours/file").stat().st_uid == (workspace / "ours").stat().st_uid == workspace.stat().st_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root's folders away")
async def test_a_workspace_of_root_is_refused_to_root(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="belongs to root") as caught:
        await isolated(tmp_path).open(context())
    assert str(tmp_path) not in f"{caught.value.message}{caught.value.details}"


async def test_our_own_listener_cannot_be_reached(workspace: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        knock = f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo in"
        closed = await opened_isolated(isolated(workspace))
        assert (await closed.exec(knock)).exit_code != 0
        assert (await closed.exec("exec 3<>/dev/tcp/192.0.2.1/80", timeout=5)).exit_code == 1
        await closed.close()
        opened = await opened_isolated(isolated(workspace, network=True))
        assert (await opened.exec(knock)).stdout == b"in\n"
        await opened.close()


async def test_commands_have_a_loopback_of_their_own(isolated_sandbox: HostSandbox) -> None:
    assert "127.0.0.1" in await said(isolated_sandbox, "getent ahosts localhost")


async def test_sockets_without_a_file_cannot_be_reached(isolated_sandbox: HostSandbox) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0flue-{uuid.uuid4().hex}")
        listener.listen()
        name = listener.getsockname().decode()[1:]
        assert name not in await said(isolated_sandbox, "cat /proc/net/unix")


PYTHON = shutil.which("python3", path="/usr/bin:/bin")


@pytest.mark.skipif(PYTHON is None, reason="the system has no Python")
async def test_neither_our_keyring_nor_the_hypervisor_can_be_reached(isolated_sandbox: HostSandbox) -> None:
    script = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
print(libc.syscall(number, 0, -3, 0), errno.errorcode[ctypes.get_errno()])
try:
    socket.socket(40, socket.SOCK_STREAM)
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    await isolated_sandbox.write("script.py", script.encode())
    assert await said(isolated_sandbox, f"{PYTHON} script.py") == "-1 ENOSYS\nEAFNOSUPPORT\n"


@pytest.mark.skipif(PYTHON is None, reason="the system has no Python")
async def test_memory_that_the_host_shares_by_a_key_cannot_be_reached(isolated_sandbox: HostSandbox) -> None:
    libc, key, make, remove = ctypes.CDLL(None, use_errno=True), secrets.randbits(30), 0o1666, 0
    segment = libc.shmget(key, 4096, make)
    assert segment >= 0
    try:
        script = f"import ctypes; print(ctypes.CDLL(None).shmget({key}, 0, 0))"
        assert await said(isolated_sandbox, f"{PYTHON} -c '{script}'") == "-1\n"
    finally:
        libc.shmctl(segment, remove, None)


@pytest.mark.skipif(PYTHON is None, reason="the system has no Python")
async def test_the_processes_of_a_command_hold_no_more_memory_together_than_they_may(workspace: Path) -> None:
    sandbox = await opened_isolated(isolated(workspace, memory=1 << 30, total_memory=256 << 20))
    hold = f"{PYTHON} -c 'import time; held = bytearray(b\"x\") * (60 << 20); time.sleep(20)'"
    result = await sandbox.exec(f"for i in 1 2 3 4 5 6; do {hold} & done; wait", timeout=15)
    assert (result.exit_code, result.timed_out) == (137, False)
    assert result.stderr == b"the command was ended: its processes held more than 268435456 bytes of memory together\n"
    await sandbox.close()


@pytest.mark.skipif(PYTHON is None, reason="the system has no Python")
async def test_memory_that_processes_share_counts_once(workspace: Path) -> None:
    sandbox = await opened_isolated(isolated(workspace, memory=1 << 30, total_memory=256 << 20))
    script = """
import os, time
held = bytearray(b"x") * (100 << 20)
for _ in range(5):
    if os.fork() == 0:
        break
time.sleep(0.7)
"""
    await sandbox.write("share.py", script.encode())
    result = await sandbox.exec(f"{PYTHON} share.py; echo fine", timeout=15)
    assert (result.stdout, result.stderr, result.exit_code) == (b"fine\n", b"", 0)
    await sandbox.close()


async def test_a_command_is_in_no_group_of_ours(isolated_sandbox: HostSandbox) -> None:
    assert await said(isolated_sandbox, "id -G") == "1000\n"


async def test_a_process_has_its_limits(isolated_sandbox: HostSandbox) -> None:
    limits = await said(isolated_sandbox, "ulimit -c; ulimit -n; ulimit -t; ulimit -f; ulimit -u; ulimit -v")
    most = (0, 1_024, 3_600, 1 << 20, 256, 4 << 20)
    assert all(int(limit) <= highest for limit, highest in zip(limits.split(), most, strict=True)), limits


async def test_where_memory_runs_out_a_command_goes_first(isolated_sandbox: HostSandbox) -> None:
    assert await said(isolated_sandbox, "cat /proc/self/oom_score_adj") == "1000\n"


async def test_a_variable_may_have_any_name(isolated_sandbox: HostSandbox) -> None:
    env = {"variable": "1", "name": "2", "UID": "3", "last": "4"}
    result = await isolated_sandbox.exec('echo "$variable$name$last"; env', env=env)
    assert result.stdout.startswith(b"124\n")
    assert b"SANDBOX_ENV" not in result.stdout
    assert result.stderr == b""


async def test_commands_know_their_user_whatever_our_umask_is(workspace: Path) -> None:
    before = os.umask(0o077)
    try:
        sandbox = await opened_isolated(isolated(workspace))
    finally:
        os.umask(before)
    assert await said(sandbox, "id -un") == "agent\n"
    await sandbox.close()


async def test_a_fork_bomb_ends_at_the_limit_of_processes(workspace: Path) -> None:
    sandbox = await opened_isolated(isolated(workspace, processes=40))
    marker = uuid.uuid4().hex
    bomb = f"m={marker}; for i in $(seq 200); do sleep 1000 & done; jobs -p | wc -l"
    result = await sandbox.exec(bomb, timeout=0.7)
    assert b"Resource temporarily unavailable" in result.stderr
    await sandbox.exec(":(){ :|:& };:", timeout=5)
    await sandbox.exec(f"b() {{ b | b; }}; b # {marker}", timeout=0.5)
    await until(lambda: not running(marker))
    assert await said(sandbox, "echo alive") == "alive\n"
    await sandbox.close()


async def test_memory_files_and_limits_end_where_they_shall(workspace: Path) -> None:
    sandbox = await opened_isolated(isolated(workspace, memory=256 << 20, file_size=1 << 20))
    hog = await sandbox.exec('x=y; while true; do x="$x$x"; done', timeout=20)
    assert hog.exit_code not in (0, 124) and b"cannot allocate" in hog.stderr
    await sandbox.exec("head -c 5M /dev/zero > large")
    found = await sandbox.stat("large")
    assert found is not None and found.size == 1 << 20
    assert (await sandbox.exec("ulimit -v unlimited || ulimit -u 9999")).exit_code != 0
    await sandbox.close()


@pytest.mark.parametrize("how", ["end", "timeout", "cancel", "close"])
async def test_nothing_of_a_command_stays(isolated_sandbox: HostSandbox, how: str) -> None:
    marker = str(uuid.uuid4().int)[:15]
    sleeps = f"sleep 1000.{marker} & setsid sleep 1000.{marker} & env -i setsid -f sleep 1000.{marker}"
    command = sleeps if how == "end" else f"{sleeps}; sleep 1000.{marker}"
    started = asyncio.ensure_future(isolated_sandbox.exec(command, timeout=0.5 if how == "timeout" else None))
    if how in ("cancel", "close"):
        await until(lambda: running(f"1000.{marker}"))
        started.cancel() if how == "cancel" else await isolated_sandbox.close()
    await asyncio.gather(started, return_exceptions=True)
    assert not running(f"1000.{marker}")


async def test_other_processes_are_not_seen_nor_reached(isolated_sandbox: HostSandbox) -> None:
    assert int(await said(isolated_sandbox, "ls -d /proc/[0-9]* | wc -l")) < 9
    assert (await isolated_sandbox.exec(f"kill -0 {os.getpid()}")).exit_code != 0


async def test_an_instance_keeps_its_own_folder_under_the_root(outside: Path) -> None:
    factory = isolated(root=outside / "root")
    for id, text in (("a/b", "one"), ("..", "two"), ("x" * 500, "three")):
        sandbox = await opened_isolated(factory, id)
        assert await sandbox.list(".") == ()
        await sandbox.write("note", text.encode())
        await sandbox.close()
        again = await opened_isolated(factory, id)
        assert await said(again, "cat note") == text
        await again.close()
    assert os.listdir(outside / "root") == ["coder"]
    assert len(os.listdir(outside / "root/coder")) == 3
    for folder in (outside / "root/coder").iterdir():
        assert folder.stat().st_mode & 0o777 == 0o700, "nobody else on the host may look in"


async def test_without_a_folder_the_files_are_gone_when_it_closes() -> None:
    name = f"note-{uuid.uuid4().hex}"
    sandbox = await opened_isolated(isolated())
    await sandbox.write(name, b"")
    await sandbox.exec("mkdir -p locked/in && chmod 000 locked; ln -s / root-link")
    (kept,) = Path(tempfile.gettempdir()).glob(f"flue-sandbox-*/workspace/{name}")
    make_deep(kept.parent, 1_200)
    await sandbox.close()
    assert not kept.parent.parent.exists()


async def test_more_folders_may_be_seen_but_not_written(workspace: Path, outside: Path) -> None:
    data = outside / "data"
    data.mkdir()
    (data / "table.csv").write_text("1,2\n")
    data.chmod(0o777)
    sandbox = await opened_isolated(isolated(workspace, read_only=[data]))
    assert await said(sandbox, f"cat {data}/table.csv") == "1,2\n"
    assert (await sandbox.exec(f"touch {data}/new")).exit_code != 0
    await sandbox.close()


def test_every_key_has_a_folder_of_its_own(tmp_path: Path) -> None:
    ids = [
        "a",
        "A",
        "a/b",
        "a%2Fb",
        ".",
        "..",
        "...",
        "a.b",
        "\u00e4",
        "\u00e9",
        "e\u0301",
        "x" * 200,
        "x" * 201,
        "x" * 202,
        "%" * 200,
    ]
    folders = [instance_folder(str(tmp_path), AgentKey("coder", id)) for id in ids]
    assert len(set(folders)) == len(ids)
    for folder in folders:
        assert folder.parent == tmp_path / "coder"
        folder.mkdir(parents=True)


async def test_without_bubblewrap_the_error_names_what_to_install(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bash = shutil.which("bash")
    monkeypatch.setattr(shutil, "which", lambda name: bash if name == "bash" else None)
    with pytest.raises(SandboxError, match="bubblewrap") as caught:
        await isolated(workspace).open(context())
    assert "Install the package bubblewrap" in caught.value.details


async def test_two_factories_with_the_same_settings_are_equal(tmp_path: Path) -> None:
    assert isolated(tmp_path, read_only=[tmp_path]) == isolated(str(tmp_path), read_only=(str(tmp_path),))
    assert isolated(tmp_path) != isolated(tmp_path, network=True)
    assert "canary" not in repr(isolated(env={"TOKEN": "canary"}))


def test_settings_that_make_no_sense_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        isolated(tmp_path, root=tmp_path)
    for wrong in ({"memory": 1}, {"processes": 0}, {"file_size": 0}):
        with pytest.raises(ConfigError):
            isolated(**wrong)
    with pytest.raises(ConfigError):
        isolated(timeout=-1)
