"""The matrix: every test of a path runs over every transport, with every kind of model."""

import logging

import pytest

from tests.paths.stage import MODELS
from tests.paths.transports import CARRYING, TRANSPORTS


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """A kind of model."""
    return request.param


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """A way to talk to an instance."""
    return request.param


@pytest.fixture(params=CARRYING)
def carrying(request: pytest.FixtureRequest) -> str:
    """One that carries more than text."""
    return request.param


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures are what some paths lead to."""
    caplog.set_level(logging.CRITICAL)
