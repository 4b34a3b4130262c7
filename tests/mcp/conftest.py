"""Servers that all tests of this room share; those that kill one start their own."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.mcp.house import Program, program

KINDS = ("stdio", "http", "legacy", "sse")


@pytest.fixture(scope="session")
def programs() -> Iterator[dict[str, Program]]:
    """One server of each kind that has a port."""
    with contextlib.ExitStack() as stack:
        started = {kind: Program(kind) for kind in KINDS[1:]}
        for each in started.values():
            stack.callback(each.kill)
        for each in started.values():
            each.wait()
        yield started


@pytest.fixture(params=KINDS)
def connect(request):
    """Makes a server that is reached over each transport in turn: ``connect(**options)``."""
    if request.param == "stdio":
        return program
    return request.getfixturevalue("programs")[request.param].connect


@pytest.fixture
def http(programs) -> Program:
    """The server that speaks streamable HTTP."""
    return programs["http"]
