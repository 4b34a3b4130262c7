"""The small process between us and a command: when the command ends, or we do, nothing of it stays behind.

Run as a script, ``python -I -S supervisor.py USER MEMORY PROGRAM ARGUMENT...``, with ``USER`` as ``uid:gid`` or ``-``, and
``MEMORY`` in bytes or ``-``:

* It starts the program in a session of its own, with no input, and ends with the program's exit code.
* The program's environment comes as the values of variables ``SUPERVISED_n``: the interpreter reads some variables
  itself, and adds one (``LC_CTYPE``).
* Its own input is a line to whoever asked. When that closes (a deadline, a cancellation, ``kill -9`` of our process), the
  program is killed.
* It looks, five times a second, how much memory the program and all below it hold; beyond ``MEMORY`` the program is killed.
  The kernel limits that for one process only, unless somebody has delegated a cgroup.
* In all cases it then kills what the program left running. On Linux it is the "subreaper" of all of it: a child that
  called ``setsid``, forked twice or emptied its environment is handed to the supervisor when its parent dies, so there is
  a moment when nobody is left, and only then it exits. Elsewhere it knows the program's process group only.

Of the project it imports nothing: it costs 9 ms to start (and 6 ms of that is ``ctypes``, for ``prctl``).
"""

import contextlib
import os
import select
import signal
import sys
import time

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_LOOKS = 0.2  # seconds between two looks at the memory; one takes 40 us for each process


def supervise(user: str, memory: str, argv: list[str]) -> int:
    """Run the program to its end, or to ours. Returns the exit code."""
    most = None if memory == "-" else int(memory)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    wake = _wake_on_child()
    program = os.fork()
    if program == 0:
        _become(user, argv)
    stderr = os.dup(2)
    _let_go_of_output()
    code = _wait(program, wake, most)
    if code is None:
        code = 128 + signal.SIGKILL
        _say(stderr, f"the command was ended: its processes held more than {most} bytes of memory together\n")
    os.close(stderr)
    _kill_group(program)
    _kill_what_is_left()
    return code


def _become(user: str, argv: list[str]) -> None:
    """In the child: turn into the program. Never returns."""
    try:
        os.setsid()
        _offer_to_the_kernel()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        if user != "-":
            uid, gid = map(int, user.split(":"))
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)  # after setuid, which clears it
        os.execve(argv[0], argv, _environment())  # noqa: S606 - the caller says what to start, shell or not
    except OSError as error:
        os.write(2, f"the command cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(126)


def _offer_to_the_kernel() -> None:
    """Where memory runs out, the program is ended, not whoever asked for it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    except OSError:
        pass  # not on Linux


def _environment() -> dict[bytes, bytes]:
    """What the program gets: the variables carried as the values of ours."""
    carried = (value.partition(b"=") for name, value in os.environb.items() if name.startswith(b"SUPERVISED_"))
    return {name: value for name, _, value in carried}


def _wake_on_child() -> int:
    """A descriptor that becomes readable when a child has ended."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGCHLD, _noticed)
    return readable


def _noticed(_signal: int, _frame: object) -> None:
    """A signal that is handled writes to the wakeup descriptor; one that is ignored does not."""


def _let_go_of_output() -> None:
    """The reader sees the end of the output when the program and its children have gone, not when we have."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def _wait(program: int, wake: int, most: int | None) -> int | None:
    """The exit code; None when there was too much memory."""
    looked = time.monotonic()
    while True:
        ready, _, _ = select.select([0, wake], [], [], None if most is None else _LOOKS)
        if 0 in ready:
            return 128 + signal.SIGKILL
        if wake in ready:
            os.read(wake, 512)
            code = _reap(program)
            if code is not None:
                return code
        if most is not None and time.monotonic() - looked >= _LOOKS:
            looked = time.monotonic()
            if _holds_more_than(most):
                return None


def _holds_more_than(most: int) -> bool:
    """Whether all below us hold more memory. What they share (a page after ``fork``) is counted once."""
    below = _below()
    if sum(_resident(pid) for pid in below) <= most:  # an upper bound, and cheap
        return False
    return sum(_proportional(pid) for pid in below) > most


def _below() -> list[int]:
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        inner = _children_of(waiting.pop())
        found += inner
        waiting += inner
    return found


def _children_of(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in _text(f"/proc/{pid}/task/{thread}/children").split()]


def _resident(pid: int) -> int:
    pages = _text(f"/proc/{pid}/statm").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def _proportional(pid: int) -> int:
    for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(pid)


def _text(path: str) -> str:
    """What the kernel tells; nothing of a process that has ended, or where it does not tell."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _say(stderr: int, why: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(stderr, why.encode())


def _reap(program: int) -> int | None:
    """Take leave of every child that has ended; the exit code if the program is one of them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == program:
            ended = os.waitstatus_to_exitcode(status)
            code = ended if ended >= 0 else 128 - ended


def _kill_what_is_left() -> None:
    while True:
        killed = [_kill_group(os.getpgid(child)) for child in _children_of(os.getpid())]
        if not any(killed):
            return
        os.waitpid(-1, 0)


def _kill_group(group: int) -> bool:
    """Kill a whole group at once: no member gets away by forking. False: it is gone, or not ours to kill (``sudo``)."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    os._exit(supervise(sys.argv[1], sys.argv[2], sys.argv[3:]))
