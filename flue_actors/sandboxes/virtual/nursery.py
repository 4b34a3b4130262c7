"""Where interpreters come from: one process that has bashkit loaded and does nothing but fork.

A process of its own, because a one-line script can end bashkit's: ``x='eval "$x"'; eval "$x"`` overflows its stack, as do
five thousand brackets given to ``jq``, and that is a segmentation fault of the whole process. Forked, because a fresh
Python with bashkit takes 60 ms. What it starts has nothing of our environment, no open file of ours, and ends when its line to us
closes; so does the nursery, however we end.

One interpreter is always begun ahead: a fork, a loop and bashkit's threads take 5 ms that the first command need not wait
for.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
from typing import Final

from flue_actors.errors import SandboxError

_PROGRAM: Final = """
import sys
sys.path[:] = sys.argv[1:]
from flue_actors.sandboxes.virtual.nursery import main
main()
"""
_LINE: Final = 3
"""The file descriptor under which the nursery finds its line to us."""
_ENV: Final = {"TOKIO_WORKER_THREADS": "2", "MALLOC_ARENA_MAX": "2"}
"""All of its environment, and of what it starts: how many threads bashkit has (else as many as there are cores)."""


class Nursery:
    """Starts interpreters. One for the whole program: it is as much a part of it as the code it has loaded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._ahead: socket.socket | None = None
        self._owner = 0

    def start(self) -> socket.socket:
        """A line to a new interpreter.

        Raises:
            SandboxError: There can be none now.
        """
        try:
            with self._lock:
                if self._owner != os.getpid():  # we are a fork of whoever began it
                    self._line = self._ahead = None
                begun, self._ahead = self._ahead, None
                return begun if begun is not None and _waits(begun) else self._begin()
        except OSError as error:
            raise SandboxError("The sandbox's interpreter cannot be started.", dev=str(error)) from error

    def begin_ahead(self) -> None:
        """Have one ready for the next `start`. Does nothing when there is one, or none can be had now."""
        with contextlib.suppress(OSError), self._lock:
            if self._ahead is None and self._owner == os.getpid():
                self._ahead = self._begin()

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            if self._line is not None:
                try:
                    socket.send_fds(self._line, [b"+"], [theirs.fileno()])
                except OSError:
                    self._line.close()  # it has ended: somebody killed it
                else:
                    return ours
            self._line, self._owner = _spawn(), os.getpid()
            socket.send_fds(self._line, [b"+"], [theirs.fileno()])
        return ours


def _waits(line: socket.socket) -> bool:
    """True when the interpreter at the other end is still there: it says nothing before it is asked."""
    readable, _, _ = select.select([line], [], [], 0)
    if readable:
        line.close()
    return not readable


NURSERY: Final = Nursery()


def _spawn() -> socket.socket:
    """A new nursery process, as our line to it. It is its own session, so a ctrl-c is not for it."""
    ours, theirs = socket.socketpair()
    with theirs:
        nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1)]
        line = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), _LINE)]
        if theirs.fileno() == _LINE:
            os.set_inheritable(_LINE, True)
            line = []
        argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, *(os.path.abspath(path) for path in sys.path)]
        pid = os.posix_spawn(sys.executable, argv, _ENV, file_actions=nothing + line)
    threading.Thread(target=os.waitpid, args=(pid, 0), name="virtual sandboxes", daemon=True).start()
    return ours


def main() -> None:
    """The nursery's own life."""
    from flue_actors.sandboxes.virtual import interpreter

    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is forgotten without being waited for
    gc.freeze()
    line = socket.socket(fileno=_LINE)
    while True:
        said, handed, _, _ = socket.recv_fds(line, 1, 1)
        if not said:
            return
        if not handed:
            continue
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            line.close()
            interpreter.live(socket.socket(fileno=handed[0]))
        os.close(handed[0])
