"""The pytest plugin, in projects of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from flue_actors.testing import FlueRuntime, ScriptedModel, in_virtual_time

AGENT = """
import pytest
from flue_actors import create_agent
from flue_actors.errors import ModelError
from flue_actors.models.registry import ModelRegistry
from flue_actors.testing import FlueRuntime, ScriptedModel, in_virtual_time

HAIKU = create_agent(model="anthropic/claude-haiku-4-5", instructions="")

def network_client():
    return type(ModelRegistry().resolve("anthropic/claude-haiku-4-5").client).__name__
"""


class Project:
    """Somebody's project with one test file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, tests: str, *arguments: str, ini: str = "") -> str:
        """What pytest says of these tests, in a process of its own."""
        (self.root / "test_it.py").write_text(AGENT + tests)
        (self.root / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@in_virtual_time
async def test_the_fixture_makes_a_machine(flue_runtime: FlueRuntime) -> None:
    from flue_actors import create_agent

    agent = create_agent(model="anthropic/claude-haiku-4-5", instructions="")
    async with flue_runtime({"helper": agent}, models=ScriptedModel(["Hello!"])) as machine:
        assert (await machine.ref("helper", "u1").prompt("hi")).text == "Hello!"


FIXTURE = """
@in_virtual_time
async def test_refused(flue_runtime: FlueRuntime):
    async with flue_runtime({"a": HAIKU}) as machine:
        with pytest.raises(ModelError, match="switched off"):
            await machine.ref("a", "u1").prompt("hi")

@pytest.mark.allow_model_requests
@in_virtual_time
async def test_marked(flue_runtime: FlueRuntime, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    async with flue_runtime({"a": HAIKU}) as machine:
        with pytest.raises(ModelError) as refusal:
            await machine.ref("a", "u1").prompt("hi")
    assert "switched off" not in str(refusal.value)  # it has no key

@in_virtual_time
async def test_runs_out(flue_runtime: FlueRuntime):
    async with flue_runtime({"a": HAIKU}, models=ScriptedModel()) as machine:
        await machine.runtime.dispatch("a", id="u1", input="hi")
        import asyncio
        await asyncio.sleep(1)
"""


def test_the_fixture_reaches_no_provider_unless_marked_and_a_bad_script_fails_its_test(project: Project) -> None:
    said = project.run(FIXTURE)
    assert "1 failed, 2 passed" in said, said
    assert "ScriptedModel has no reply left for request 1" in said


@pytest.mark.parametrize("plugins", [("-p", "no:asyncio"), ("-p", "no:asyncio", "-p", "no:anyio")], ids=str)
def test_it_gets_on_with_any_plugin_for_async_tests_and_with_none(project: Project, plugins: tuple[str, ...]) -> None:
    test = """
@in_virtual_time
async def test_it(flue_runtime: FlueRuntime):
    async with flue_runtime({"a": HAIKU}, models=ScriptedModel(["yes"])) as machine:
        assert (await machine.ref("a", "u1").prompt("hi")).text == "yes"
"""
    assert "1 passed" in project.run(test, *plugins)


REQUESTS = """
def test_plain():
    assert network_client() == "{plain}"

@pytest.mark.allow_model_requests
def test_marked():
    assert network_client() == "HttpModelClient"
"""


def test_a_project_that_merely_has_it_installed_is_left_alone(project: Project) -> None:
    assert "2 passed" in project.run(REQUESTS.format(plain="HttpModelClient"))


def test_the_ini_option_switches_requests_off_for_every_test_without_the_marker(project: Project) -> None:
    said = project.run(REQUESTS.format(plain="_Refusing"), ini="flue_allow_model_requests = false")
    assert "2 passed" in said, said


def test_recordings_can_be_made_all_the_same(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUE_RECORD", "1")
    said = project.run(REQUESTS.format(plain="HttpModelClient"), ini="flue_allow_model_requests = false")
    assert "2 passed" in said, said


def test_the_marker_is_known(project: Project) -> None:
    assert "@pytest.mark.allow_model_requests:" in project.run("", "--markers")


def test_the_kit_imports_no_pytest_and_loading_the_plugin_imports_no_runtime() -> None:
    program = """
import sys, flue_actors.testing as kit
[getattr(kit, name) for name in kit.__all__]
print("pytest" in sys.modules, end=" ")
"""
    plugin = 'import sys, flue_actors.testing.plugin; print("flue_actors.runtime" in sys.modules)'
    said = [subprocess.check_output([sys.executable, "-c", each], text=True).strip() for each in (program, plugin)]
    assert said == ["False", "False"]
