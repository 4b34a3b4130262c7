"""The small process between us and a command: when the command ends, or we do, nothing of it stays behind.

Run as a script, ``python -I -S supervisor.py USER PROGRAM ARGUMENT...``, with ``USER`` as ``uid:gid`` or ``-``:

* It starts the program in a session of its own, with no input, and ends with the program's exit code.
* The program's environment comes as the values of variables ``SUPERVISED_n``: the interpreter reads some variables
  itself, and adds one (``LC_CTYPE``).
* Its own input is a line to whoever asked. When that closes (a deadline, a cancellation, ``kill -9`` of our process), the
  program is killed.
* In both cases it then kills what the program left running. On Linux it is the "subreaper" of all of it: a child that
  called ``setsid``, forked twice or emptied its environment is handed to the supervisor when its parent dies, so there is
  a moment when nobody is left, and only then it exits. Elsewhere it knows the program's process group only.

Of the project it imports nothing: it costs 9 ms to start (and 6 ms of that is ``ctypes``, for ``prctl``).
"""

import os
import select
import signal
import sys

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36


def supervise(user: str, argv: list[str]) -> int:
    """Run the program to its end, or to ours. Returns the exit code."""
    _prctl(_SET_CHILD_SUBREAPER, 1)
    wake = _wake_on_child()
    program = os.fork()
    if program == 0:
        _become(user, argv)
    _let_go_of_output()
    code = _wait(program, wake)
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


def _wait(program: int, wake: int) -> int:
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if 0 in ready:
            return 128 + signal.SIGKILL
        os.read(wake, 512)
        code = _reap(program)
        if code is not None:
            return code


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
        killed = [_kill_group(os.getpgid(child)) for child in _children()]
        if not any(killed):
            return
        os.waitpid(-1, 0)


def _children() -> list[int]:
    """Our living and dead children; none where the kernel does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listed:
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return []


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
    os._exit(supervise(sys.argv[1], sys.argv[2:]))
