"""Every sandbox keeps the contract of the port."""

from collections.abc import AsyncIterator

import pytest

from flue_actors.sandboxes.protocol import Sandbox
from flue_actors.sandboxes.virtual import virtual
from tests.sandboxes.conftest import context
from tests.sandboxes.contract import BEHAVIOURS, Behaviour


@pytest.fixture
async def virtual_sandbox() -> AsyncIterator[Sandbox]:
    sandbox = await virtual().open(context())
    yield sandbox
    await sandbox.close()


@pytest.fixture(params=["virtual_sandbox", "local_sandbox", "isolated_sandbox"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
async def test_of(behaviour: Behaviour, sandbox: Sandbox) -> None:
    await behaviour(sandbox)
