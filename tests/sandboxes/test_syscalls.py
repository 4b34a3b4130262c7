"""The seccomp filter of isolated sandboxes, run as the kernel runs it."""

import errno
import struct

import pytest

from flue_actors.errors import SandboxError
from flue_actors.sandboxes.syscalls import seccomp_filter

X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
ALLOWED = 0


def answer(program: bytes, architecture: int, number: int, argument: int = 0) -> int:
    """The error the kernel gives for this call; `ALLOWED` for none."""
    steps = list(struct.iter_unpack("=HBBI", program))
    at, value = 0, 0
    while True:
        what, if_so, if_not, operand = steps[at]
        match what:
            case 0x20:
                value = {0: number, 4: architecture, 16: argument}[operand]
                at += 1
            case 0x15 | 0x35:
                at += 1 + (if_so if (value == operand if what == 0x15 else value >= operand) else if_not)
            case _:
                return ALLOWED if operand == 0x7FFF0000 else operand ^ 0x00050000


@pytest.mark.parametrize(
    ("machine", "architecture", "refused", "allowed"),
    [
        ("x86_64", X86_64, {"keyctl": 250, "add_key": 248, "io_uring_setup": 425, "bpf": 321}, [0, 1, 56, 59, 101, 42]),
        (
            "aarch64",
            AARCH64,
            {"keyctl": 219, "add_key": 217, "io_uring_setup": 425, "bpf": 280},
            [63, 64, 220, 221, 117],
        ),
    ],
)
def test_what_reaches_past_the_namespaces_is_refused_and_nothing_else(
    machine: str, architecture: int, refused: dict[str, int], allowed: list[int]
) -> None:
    program = seccomp_filter(machine)
    for number in refused.values():
        assert answer(program, architecture, number) == errno.ENOSYS
    for number in allowed:
        assert answer(program, architecture, number) == ALLOWED


@pytest.mark.parametrize(("machine", "architecture", "socket"), [("x86_64", X86_64, 41), ("aarch64", AARCH64, 198)])
def test_only_sockets_that_belong_to_the_network_namespace_can_be_made(
    machine: str, architecture: int, socket: int
) -> None:
    program = seccomp_filter(machine)
    for unix_internet_netlink in (1, 2, 10, 16):
        assert answer(program, architecture, socket, unix_internet_netlink) == ALLOWED
    for another in (0, 17, 31, 38, 40, 42, 44):
        assert answer(program, architecture, socket, another) == errno.EAFNOSUPPORT


def test_the_calls_of_another_machine_are_no_way_around() -> None:
    program = seccomp_filter("x86_64")
    assert answer(program, I386, 288) == errno.ENOSYS
    assert answer(program, I386, 3) == errno.ENOSYS
    assert answer(program, X86_64, 0x40000000 | 250) == errno.ENOSYS


def test_a_machine_that_is_not_known_has_no_isolated_sandbox() -> None:
    with pytest.raises(SandboxError, match="x86-64 and arm64"):
        seccomp_filter("riscv64")
