import importlib.util
import sys
from collections.abc import Generator

import pytest

from flue_actors.definition.importing import forget, modules_below
from flue_actors.definition.project import Project, load_project
from tests.support.served import Served, copy_of_examples, served

needs_bashkit = pytest.mark.skipif(
    importlib.util.find_spec("bashkit") is None, reason="needs bashkit: the extra flue-actors[virtual]"
)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """The example project, served as `make run` serves it."""
    with served(copy_of_examples(tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Generator[Project]:
    """The example project, loaded into this process."""
    path, loaded = list(sys.path), set(sys.modules)
    project = load_project(copy_of_examples(tmp_path_factory.mktemp("loaded")))
    yield project
    sys.path[:] = path
    forget({name: module for name, module in modules_below(project.root).items() if name not in loaded})
