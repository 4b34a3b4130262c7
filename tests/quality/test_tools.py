"""The linters, the type checker and the import contracts are part of the suite."""

import pytest

from tests.quality.repository import tool

pytestmark = pytest.mark.timeout(170)


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("lint-imports", "--no-cache"),
        ("basedpyright",),
    ],
    ids=" ".join,
)
def test_the_tool_finds_nothing(command: tuple[str, ...]) -> None:
    done = tool(*command)
    assert done.returncode == 0, done.stdout + done.stderr
