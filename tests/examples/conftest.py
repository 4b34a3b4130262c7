from collections.abc import Generator

import pytest

from tests.support.served import Served, copy_of_examples, served


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """The example project, served as `make run` serves it."""
    with served(copy_of_examples(tmp_path_factory.mktemp("served"))) as server:
        yield server
