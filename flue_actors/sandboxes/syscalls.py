"""What commands of `isolated` may not ask the kernel for, as a seccomp filter. Pure.

Namespaces leave some things shared with the host: the keyring of our own session (a key in it could be read), sockets of
the hypervisor (``AF_VSOCK`` knows no network namespace), the kernel's log. They are refused here, and with them what is
mostly used to attack a kernel. Programs hear that the kernel does not have it, and do without.
"""

import errno
import os
import struct
from typing import Final

import msgspec

from flue_actors.errors import SandboxError

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_X32 = 0x40000000

_FAMILIES: Final = (1, 2, 10, 16)
"""Sockets that may be made: unix, internet, internet version 6, netlink. All of them belong to a network namespace."""


class Machine(msgspec.Struct, frozen=True):
    """How one kind of machine calls them.

    Attributes:
        refused: add_key, request_key, keyctl, syslog, open_by_handle_at, perf_event_open, bpf, userfaultfd, and the three
            of io_uring, which makes sockets too.
    """

    architecture: int
    socket: int
    refused: tuple[int, ...]


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 41, (248, 249, 250, 103, 304, 298, 321, 323, 425, 426, 427)),
    "aarch64": Machine(0xC00000B7, 198, (217, 218, 219, 116, 265, 241, 280, 282, 425, 426, 427)),
}


def seccomp_filter(machine: str | None = None) -> bytes:
    """The filter as ``bwrap --seccomp`` reads it.

    Args:
        machine: As `os.uname` calls it; default: this one.

    Raises:
        SandboxError: What its calls are is not known here.
    """
    name = machine or os.uname().machine
    known = MACHINES.get(name)
    if known is None:
        raise SandboxError("Isolated sandboxes are for x86-64 and arm64.", dev=name)
    return b"".join(struct.pack("=HBBI", *step) for step in _steps(known))


def _steps(machine: Machine) -> list[tuple[int, int, int, int]]:
    """(what to do, how many steps to skip if so, if not, with what). Of another kind of machine nothing is allowed."""
    numbers = [(_IF_AT_LEAST, _X32), *((_IF_EQUAL, number) for number in machine.refused)]
    asks_for_socket = 3 + len(numbers)
    no_family = asks_for_socket + 2 + len(_FAMILIES)
    allowed, refused = no_family + 1, no_family + 2

    def skip(at: int, to: int) -> int:
        return to - at - 1

    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 0, skip(1, refused), machine.architecture),
        (_LOAD, 0, 0, _NUMBER),
        *((test, skip(at, refused), 0, number) for at, (test, number) in enumerate(numbers, 3)),
        (_IF_EQUAL, 0, skip(asks_for_socket, allowed), machine.socket),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *((_IF_EQUAL, skip(at, allowed), 0, family) for at, family in enumerate(_FAMILIES, asks_for_socket + 2)),
        (_RETURN, 0, 0, _ERROR | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
    ]
