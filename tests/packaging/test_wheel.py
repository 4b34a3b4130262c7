"""The built wheel, in the hands of a project that owns folders called `store` and `gateway` itself."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.quality.repository import ROOT, tool

PROGRAM = """
import asyncio

import gateway
import store

import flue_actors
from flue_actors import Runtime, create_agent, sqlite


async def main() -> None:
    agent = create_agent(model="scripted/echo", instructions="Repeat.")
    async with Runtime(agents={"echo": agent}, store=sqlite("chat.db")) as runtime:
        result = await runtime.ref("echo", "me").prompt("hello")
    print(store.OWNER, gateway.OWNER, result.text, flue_actors.__file__, sep="|")


asyncio.run(main())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = tool("hatchling", "build", "--target", "wheel", "--directory", str(folder))
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(wheel)], cwd=folder, check=True
    )
    return folder


def run_installed(installed: Path, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the wheel and its dependencies, and without this repository (-S skips the editable link)."""
    path = os.pathsep.join([str(project), str(installed), sysconfig.get_path("purelib")])
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"flue_actors", "flue_actors-0.1.0.dist-info"}


@pytest.mark.parametrize("room", ["gateway", "store"])
def test_the_linked_rooms_are_real_files_in_it(wheel: Path, room: str) -> None:
    expected = {f"flue_actors/{file.relative_to(ROOT)}" for file in (ROOT / room).rglob("*.py")}
    assert expected
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_it_is_marked_as_typed_and_carries_the_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"flue_actors/py.typed", "flue_actors-0.1.0.dist-info/licenses/LICENSE"} <= names


def test_a_project_with_its_own_store_and_gateway_folders_runs_on_it(installed: Path, tmp_path: Path) -> None:
    for room in ("store", "gateway"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text(f'OWNER = "my {room}"\n')
    (tmp_path / "main.py").write_text(PROGRAM)

    done = run_installed(installed, tmp_path, "main.py")

    assert done.returncode == 0, done.stderr
    my_store, my_gateway, text, location = done.stdout.strip().split("|")
    assert (my_store, my_gateway, text) == ("my store", "my gateway", "echo: hello (1 messages)")
    assert Path(location).is_relative_to(installed)


def test_the_command_line_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    done = run_installed(installed, tmp_path, "-m", "flue_actors", "--help")
    assert done.returncode == 0, done.stderr
    assert "connect" in done.stdout


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    built = tool("hatchling", "build", "--target", "sdist", "--directory", str(tmp_path))
    assert built.returncode == 0, built.stdout + built.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", str(archive)], cwd=tmp_path, check=True)

    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    built = tool("hatchling", "build", "--target", "wheel", "--directory", str(tmp_path), cwd=unpacked)

    assert built.returncode == 0, built.stdout + built.stderr
    (again,) = tmp_path.glob("*.whl")
    assert set(zipfile.ZipFile(again).namelist()) == set(zipfile.ZipFile(wheel).namelist())
