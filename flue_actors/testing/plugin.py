"""The pytest plugin. It adds the fixture ``flue_runtime``, a marker and an ini option, and changes nothing by itself.

* ``flue_runtime``: makes a `Machine` whose agents reach no provider over the network.
* ``@pytest.mark.allow_model_requests``: a test whose agents may.
* ``flue_allow_model_requests = false`` in the ini file: the same for every other test of the project (it sets
  ``FLUE_ALLOW_MODEL_REQUESTS=0`` while a test without the marker runs), except while recordings are made.
"""

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from flue_actors.testing.machine import FlueRuntime

OPTION: Final = "flue_allow_model_requests"
MARKER: Final = "allow_model_requests"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The ini option."""
    parser.addini(OPTION, "Whether tests may ask model providers over the network.", type="bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    """The marker; and the switch, when the project asks for it."""
    config.addinivalue_line("markers", f"{MARKER}: flue-actors may ask model providers over the network in this test.")
    if not config.getini(OPTION):
        config.pluginmanager.register(_Switch(), "flue_actors_switch")


class _Switch:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        from flue_actors.models.registry import ALLOW_REQUESTS
        from flue_actors.testing.recorded import recording

        if recording() or item.get_closest_marker(MARKER) is not None:
            return (yield)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv(ALLOW_REQUESTS, "0")
            return (yield)


@pytest.fixture
def flue_runtime(request: pytest.FixtureRequest) -> "FlueRuntime":
    """Makes a runtime under test: memory store, a clock that follows the loop's, crashes and evictions on request."""
    from flue_actors.testing.machine import Machine

    marked: pytest.Mark | None = request.node.get_closest_marker(MARKER)
    return partial(Machine, allow_model_requests=marked is not None)
