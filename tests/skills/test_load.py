"""Taking a skill into the application: what travels with it, and what must not."""

import os
from pathlib import Path

import pytest

from flue_actors import load_skill
from flue_actors.errors import ConfigError
from flue_actors.skills.load import LARGEST_FILE, MOST_FILES
from tests.skills.written import write_skill

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n"


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_skill(path)
    return caught.value.message


def test_a_skill_comes_with_its_files(tmp_path: Path) -> None:
    made = write_skill(tmp_path, files={"scripts/run.py": "print(1)", "logo.png": b"\x89PNG\0", "a/b/c.md": "deep"})
    skill = load_skill(made)
    assert (skill.name, skill.instructions, skill.folder) == ("review", "Read it twice.", None)
    assert skill.resources == {"scripts/run.py": b"print(1)", "logo.png": b"\x89PNG\0", "a/b/c.md": b"deep"}


def test_the_path_may_be_that_of_its_skill_md(tmp_path: Path) -> None:
    made = write_skill(tmp_path)
    assert load_skill(made / "SKILL.md") == load_skill(str(made))


def test_a_relative_path_is_meant_from_the_file_that_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_skill(tmp_path / "project" / "skills")
    module = tmp_path / "project" / "agent.py"
    module.write_text("from flue_actors import load_skill\nskill = load_skill('skills/review')\n")
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(module.read_text(), str(module), "exec"), found)
    assert getattr(found["skill"], "name", None) == "review"


def test_without_a_file_a_relative_path_is_meant_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill(tmp_path)
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec("from flue_actors import load_skill\nskill = load_skill('review')\n", found)
    assert getattr(found["skill"], "name", None) == "review"


@pytest.mark.parametrize(
    "folder",
    [".git", ".cache", ".turbo", ".wrangler", "dist", "node_modules", "__pycache__", ".venv", "src/node_modules"],
)
def test_what_tools_leave_behind_is_skipped(tmp_path: Path, folder: str) -> None:
    made = write_skill(tmp_path, files={f"{folder}/x.txt": "x", f"{folder}/id_rsa": KEY, "kept.txt": "k"})
    assert set(load_skill(made).resources) == {"kept.txt"}


@pytest.mark.parametrize(
    "name",
    [
        *(".env", ".env.local", ".envrc", "prod.env", ".ENV", "server.pem", "server.KEY", "cert.p12", "x.pfx", "x.jks"),
        *("id_rsa", "id_ed25519", "id_rsa.pub", "credentials", "credentials.json", ".netrc", ".npmrc", ".pypirc"),
        *(".git-credentials", ".pgpass", "deep/down/.env", ".aws/config", ".gnupg/x", ".ssh/known_hosts", "a/.ssh/x"),
    ],
)
def test_what_looks_like_a_secret_is_refused(tmp_path: Path, name: str) -> None:
    assert "looks like a secret" in refusal(write_skill(tmp_path, files={name: "x"}))


@pytest.mark.parametrize("begins", ["-----BEGIN RSA PRIVATE KEY-----", "\n -----BEGIN PRIVATE KEY-----", KEY])
def test_a_private_key_of_any_name_is_refused(tmp_path: Path, begins: str) -> None:
    assert "'notes.txt': it holds a private key" in refusal(write_skill(tmp_path, files={"notes.txt": begins}))


def test_a_text_about_keys_is_fine(tmp_path: Path) -> None:
    made = write_skill(
        tmp_path, files={"keys.md": f"It looks like this:\n{KEY}", "monkey.txt": "k", "environment.md": "e"}
    )
    assert len(load_skill(made).resources) == 3


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s")
    made = write_skill(tmp_path)
    (made / "notes.txt").symlink_to(tmp_path / "secret.txt")
    assert "'notes.txt': it is a link out of the skill's folder" in refusal(made)


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    made = write_skill(tmp_path, files={"real/x.txt": "x"})
    (made / "again").symlink_to(made / "real")
    assert "'again': it is a link to a directory" in refusal(made)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    made = write_skill(tmp_path, files={"a.txt": "a"})
    (made / "b.txt").symlink_to("a.txt")
    assert load_skill(made).resources == {"a.txt": b"a", "b.txt": b"a"}


def test_a_link_into_what_is_skipped_is_refused(tmp_path: Path) -> None:
    made = write_skill(tmp_path, files={".git/config": "token"})
    (made / "b.txt").symlink_to(".git/config")
    assert 'it is a link into ".git"' in refusal(made)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    made = write_skill(tmp_path)
    (made / "a").symlink_to("b")
    (made / "b").symlink_to("a")
    assert 'The skill "review" cannot be read' in refusal(made)


def test_a_folder_that_is_a_link_goes_by_the_name_it_is_given_by(tmp_path: Path) -> None:
    write_skill(tmp_path / "real")
    (tmp_path / "skills").symlink_to("real")
    assert load_skill(tmp_path / "skills" / "review").name == "review"


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    made = write_skill(tmp_path)
    os.mkfifo(made / "pipe")
    assert "'pipe': it is no regular file" in refusal(made)


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    fits = write_skill(tmp_path, files={"x.bin": b"x" * LARGEST_FILE})
    assert len(load_skill(fits).resources) == 1
    assert "'x.bin': it is larger than 1 MiB" in refusal(
        write_skill(tmp_path, files={"x.bin": b"x" * (LARGEST_FILE + 1)})
    )


def test_a_large_skill_is_refused(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{n}.bin": b"x" * LARGEST_FILE for n in range(8)}
    assert 'The skill "review" is larger than 8 MiB' in refusal(write_skill(tmp_path, files=files))


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{n}.txt": "" for n in range(MOST_FILES)}
    assert "more than 1,000 files" in refusal(write_skill(tmp_path, files=files))


def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    assert "its name cannot be shown" in refusal(write_skill(tmp_path, files={"a\nb.txt": "x"}))


def test_a_folder_that_is_not_there_or_has_no_skill_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing") == 'The skill "nothing" cannot be read: No such file or directory.'
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty") == 'There is no SKILL.md in "empty".'


def test_bad_frontmatter_is_refused_with_the_reason(tmp_path: Path) -> None:
    made = write_skill(tmp_path).rename(tmp_path / "other")
    assert "that of its directory is not" in refusal(made)
