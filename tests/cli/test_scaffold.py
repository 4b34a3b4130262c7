"""`flue-actors init`: what it writes, and that it never overwrites."""

import tomllib
from pathlib import Path

import pytest

from flue_actors.errors import ConfigError
from flue_actors.gateway.cli.scaffold import project_files, write_project


def test_it_writes_an_agent_settings_an_environment_example_and_a_gitignore(tmp_path: Path) -> None:
    folder = tmp_path / "my-agents"
    written = write_project(folder)
    assert written == ["agents/joke_teller.py", "pyproject.toml", ".env.example", ".gitignore"]
    assert all((folder / path).is_file() for path in written)


def test_the_project_is_named_after_its_folder(tmp_path: Path) -> None:
    write_project(tmp_path / "My Agents!")
    pyproject = tomllib.loads((tmp_path / "My Agents!" / "pyproject.toml").read_text())
    assert pyproject["project"]["name"] == "my-agents"


def test_a_folder_without_letters_still_gets_a_valid_name() -> None:
    assert 'name = "my-agents"' in project_files("...")["pyproject.toml"]


def test_secrets_and_conversations_stay_out_of_git() -> None:
    assert {".env", "data/"} <= set(project_files("x")[".gitignore"].split())


def test_nothing_is_written_when_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("mine")
    with pytest.raises(ConfigError, match=r"already has pyproject\.toml"):
        write_project(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["pyproject.toml"]
    assert (tmp_path / "pyproject.toml").read_text() == "mine"
