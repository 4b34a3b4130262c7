"""The namespace a command of `isolated` runs in, as arguments of ``bwrap`` (bubblewrap 0.8 or newer)."""

import os
import resource
import shutil
import stat
from collections.abc import Mapping
from typing import Final

import msgspec

from flue_actors.errors import SandboxError
from flue_actors.sandboxes.shells import bash
from flue_actors.sandboxes.syscalls import seccomp_filter

WORKSPACE: Final = "/workspace"
"""Where the workspace is inside."""

USER: Final = 1000
"""The user and group that commands believe to be."""

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# What programs need to find libraries, certificates and the time; nothing that names users, hosts or secrets.
_ETC = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "mime.types", "services", "protocols"),
    *("ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/tls/certs", "pki/ca-trust/extracted"),
)
_ETC_OF_NETWORK = ("resolv.conf", "hosts", "nsswitch.conf")

# Outside, variables travel under names that mean nothing: LD_PRELOAD is for the command, not for bwrap and the supervisor.
_CARRIED = "SANDBOX_ENV_"
# What bash keeps to itself (UID, PPID) it does not take: as from any environment, silently.
_UNPACK = (
    f'for {_CARRIED} in "${{!{_CARRIED}@}}"; do export "${{!{_CARRIED}}}" 2>/dev/null; unset "${_CARRIED}"; done; '
    f"unset {_CARRIED}"
)

# bwrap reads the filter from a descriptor, and the supervisor has none open for it.
_WITH_FILTER = ("/bin/sh", "-c", 'exec "$@" 9<"$0"')

_FILTER: Final = "seccomp"
_OPEN_FILES: Final = 1_024
_CPU_SECONDS: Final = 3_600  # of one process; what spins for ever ends even where no timeout is set


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What commands are held to, by the kernel and (``total_memory``) by their supervisor.

    Attributes:
        memory: Bytes of address space of one process.
        total_memory: Bytes that all processes of one command hold together.
        processes: Processes and threads of one command.
        file_size: Bytes of one file.
    """

    memory: int
    total_memory: int
    processes: int
    file_size: int


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """One sandbox on the host.

    Attributes:
        workspace: Folder that is mounted writable at `WORKSPACE`.
        scratch: Folder with what `furnish` made.
        read_only: Further folders, mounted at their own path.
    """

    workspace: str
    scratch: str
    network: bool
    read_only: tuple[str, ...]
    limits: Limits


def furnish(scratch: str, owner: tuple[int, int] | None) -> None:
    """Make what the namespace mounts beside the workspace: ``/tmp``, ``/dev/shm``, and who lives in it; and its filter.

    Raises:
        SandboxError: This kind of machine is not known.
    """
    for name in ("tmp", "shm", "etc"):
        folder = os.path.join(scratch, name)
        os.mkdir(folder)
        if owner is not None:
            os.chown(folder, *owner)
    _write(scratch, "etc/passwd", f"agent:x:{USER}:{USER}::{WORKSPACE}:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n")
    _write(scratch, "etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n")
    _write(scratch, "etc/group", f"agent:x:{USER}:\nnogroup:x:65534:\n")
    _write(scratch, _FILTER, seccomp_filter())


def carried(env: Mapping[str, str]) -> dict[str, str]:
    """The environment for ``bwrap``, out of which the command gets ``env``."""
    return {f"{_CARRIED}{number}": f"{name}={value}" for number, (name, value) in enumerate(env.items())}


def bwrap_argv(box: Box, command: str, cwd: str) -> tuple[str, ...]:
    """Everything from what starts ``bwrap`` to the command.

    Raises:
        SandboxError: bubblewrap or bash is not installed.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SandboxError(
            "Isolated sandboxes need bubblewrap 0.8 or newer.", details="Install the package bubblewrap."
        )
    return (
        *_WITH_FILTER,
        os.path.join(box.scratch, _FILTER),
        *(bwrap, "--seccomp", "9"),
        *("--unshare-user", "--uid", str(USER), "--gid", str(USER), "--disable-userns", "--cap-drop", "ALL"),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "sandbox", "--unshare-cgroup-try"),
        *(() if box.network else ("--unshare-net",)),
        *("--die-with-parent", "--new-session"),
        *_mounts(box),
        *("--chdir", cwd, "--", *_limited(box.limits), command),
    )


def _mounts(box: Box) -> list[str]:
    mounts = ["--ro-bind", "/usr", "/usr"]
    for folder in _SYSTEM:
        mounts += _system(folder)
    for name in (*_ETC, *(_ETC_OF_NETWORK if box.network else ())):
        mounts += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in ("passwd", "group", *(() if box.network else ("hosts",))):
        mounts += ["--ro-bind", f"{box.scratch}/etc/{name}", f"/etc/{name}"]
    mounts += ["--proc", "/proc", "--dev", "/dev", "--bind", f"{box.scratch}/shm", "/dev/shm"]  # noqa: S108
    mounts += ["--bind", f"{box.scratch}/tmp", "/tmp", "--dir", "/run", "--dir", "/var"]  # noqa: S108
    mounts += ["--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    for folder in box.read_only:
        mounts += ["--ro-bind", folder, folder]
    mounts += ["--bind", box.workspace, WORKSPACE]
    # What is left is in memory, which a command could fill.
    return [*mounts, "--remount-ro", "/dev", "--remount-ro", "/"]


def _system(folder: str) -> list[str]:
    """A folder of the system as it is on the host: a link into ``/usr``, a folder of its own, or not there."""
    try:
        mode = os.lstat(folder).st_mode
    except FileNotFoundError:
        return []
    if stat.S_ISLNK(mode):
        return ["--symlink", os.readlink(folder), folder]
    return ["--ro-bind", folder, folder]


def _limited(limits: Limits) -> tuple[str, ...]:
    """The shell, under limits. They are set inside: the number of processes is counted per user namespace."""
    settings = (
        ("-c", resource.RLIMIT_CORE, 0, 1024),
        ("-n", resource.RLIMIT_NOFILE, _OPEN_FILES, 1),
        ("-t", resource.RLIMIT_CPU, _CPU_SECONDS, 1),
        ("-f", resource.RLIMIT_FSIZE, limits.file_size, 1024),
        ("-u", resource.RLIMIT_NPROC, limits.processes, 1),
        ("-v", resource.RLIMIT_AS, limits.memory, 1024),
    )
    words = [f"ulimit {flag} {_allowed(kind, wanted) // unit}" for flag, kind, wanted, unit in settings]
    shell = bash()
    return (*shell, " && ".join((*words, _UNPACK, f'exec {" ".join(shell)} "$0"')))


def _allowed(kind: int, wanted: int) -> int:
    """Not more than we may have ourselves: asking for more is refused."""
    _, hard = resource.getrlimit(kind)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _write(scratch: str, name: str, content: str | bytes) -> None:
    path = os.path.join(scratch, name)
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.chmod(path, 0o644)  # whatever our umask is: another user reads it
