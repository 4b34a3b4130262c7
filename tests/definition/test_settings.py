"""Where settings come from, which source wins, and what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flue_actors.definition.settings import Settings, load_settings, read_dotenv
from flue_actors.errors import ConfigError

SOURCES = ("pyproject", "dotenv", "environment", "flag")
"""Weakest first."""

NAMES = tuple(field.name for field in msgspec.structs.fields(Settings))


def project(folder: Path, *, pyproject: str = "", dotenv: str = "") -> Path:
    (folder / "pyproject.toml").write_text(pyproject)
    (folder / ".env").write_text(dotenv)
    return folder


def table(line: str) -> str:
    return f"[tool.flue-actors]\n{line}\n"


def variables(values: dict[str, int]) -> dict[str, str]:
    return {f"FLUE_{name.upper()}": str(value) for name, value in values.items()}


def load(
    root: Path, *, dev: bool = False, env: dict[str, str] | None = None, flags: dict[str, Any] | None = None
) -> Settings:
    return load_settings(root, env=env or {}, dev=dev, flags=flags)


def test_a_project_that_says_nothing_has_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("host", "127.0.0.1"),
        ("port", 3583),
        ("max_turns", 50),
        ("tool_timeout", 120),
        ("stream_idle_timeout", 120),
        ("cancel_grace", 30),
        ("max_body", 4_194_304),
        ("max_frame", 1_048_576),
        ("max_head", 65_536),
        ("head_timeout", 10),
        ("body_timeout", 30),
        ("max_queued", 1_000),
        ("passivate_after", 15 * 60),
        ("max_active", 10_000),
        ("drain_timeout", 30),
    ],
)
def test_the_defaults_are_the_documented_ones(name: str, default: Any) -> None:
    assert getattr(Settings(), name) == default


@given(
    said=st.dictionaries(
        st.sampled_from(SOURCES),
        st.dictionaries(st.sampled_from(("port", "max_turns", "max_body")), st.integers(1, 65_535)),
    ),
    dev=st.booleans(),
)
def test_each_setting_comes_from_the_strongest_source_that_names_it(
    tmp_path_factory: pytest.TempPathFactory, said: dict[str, dict[str, int]], dev: bool
) -> None:
    root = project(
        tmp_path_factory.getbasetemp(),
        pyproject=table("\n".join(f"{name} = {value}" for name, value in said.get("pyproject", {}).items())),
        dotenv="\n".join(f"{name}={value}" for name, value in variables(said.get("dotenv", {})).items()),
    )
    strongest: dict[str, Any] = {}
    for source in SOURCES:
        if source != "dotenv" or dev:
            strongest |= said.get(source, {})
    found = load(root, dev=dev, env=variables(said.get("environment", {})), flags=said.get("flag"))
    assert found == Settings(**strongest)


def test_dotenv_is_read_in_development_only(tmp_path: Path) -> None:
    root = project(tmp_path, dotenv="FLUE_PORT=4000")
    assert load(root, dev=True).port == 4000
    assert load(root).port == 3583


def test_a_flag_that_was_not_given_says_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, flags={"host": None, "port": 4000}) == Settings(port=4000)


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, env={"FLUE_PORT": ""}).port == 3583


def test_dashes_are_as_good_as_underscores_in_pyproject(tmp_path: Path) -> None:
    assert load(project(tmp_path, pyproject=table("max-queued = 5"))).max_queued == 5


def test_several_origins_are_a_list_in_toml_and_separated_by_commas_in_a_variable(tmp_path: Path) -> None:
    both = ("https://a.example", "https://b.example")
    root = project(tmp_path, pyproject=table('allowed_origins = ["https://a.example", "https://b.example"]'))
    assert load(root).allowed_origins == both
    env = {"FLUE_ALLOWED_ORIGINS": "https://a.example, https://b.example,"}
    assert load(tmp_path, env=env).allowed_origins == both


def test_names_that_are_like_no_setting_belong_to_others(tmp_path: Path) -> None:
    assert load(tmp_path, env={"FLUE_MODEL": "scripted/echo", "FLUE_TOKEN": "t", "PORT": "1"}) == Settings()


def test_the_model_of_an_example_may_stand_in_dotenv(tmp_path: Path) -> None:
    assert load(project(tmp_path, dotenv="FLUE_MODEL=scripted/echo"), dev=True) == Settings()


@pytest.mark.parametrize(
    "sources", [{"pyproject": table("zzz = 1")}, {"flags": {"zzz": "1"}}], ids=["pyproject", "flag"]
)
def test_in_our_table_and_among_flags_a_name_like_no_setting_is_refused_with_the_whole_list(
    tmp_path: Path, sources: dict[str, Any]
) -> None:
    root = project(tmp_path, pyproject=sources.pop("pyproject", ""))
    with pytest.raises(ConfigError, match="zzz") as error:
        load(root, **sources)
    assert [name for name in NAMES if name not in error.value.message] == []


@given(name=st.sampled_from(NAMES), place=st.integers(0, 30), source=st.sampled_from(SOURCES))
def test_one_letter_less_is_told_from_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: int, source: str
) -> None:
    assume(place < len(name) and name[place] != "_")
    wrong = name[:place] + name[place + 1 :]
    variable, flag = f"FLUE_{wrong.upper()}", f"--{wrong.replace('_', '-')}"
    root = project(
        tmp_path_factory.getbasetemp(),
        pyproject=table(f"{wrong} = 1") if source == "pyproject" else "",
        dotenv=f"{variable}=1" if source == "dotenv" else "",
    )
    env = {variable: "1"} if source == "environment" else {}
    with pytest.raises(ConfigError) as error:
        load(root, dev=True, env=env, flags={wrong: "1"} if source == "flag" else {})
    written, nearest = {
        "pyproject": (wrong, name),
        "dotenv": (variable, f"FLUE_{name.upper()}"),
        "environment": (variable, f"FLUE_{name.upper()}"),
        "flag": (flag, name),
    }[source]
    assert error.value.message.startswith(written)
    assert error.value.message.endswith(f"Did you mean {nearest}?")


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"pyproject": table("max_quued = 5")}, ["max_quued", "pyproject.toml", "max_queued"]),
        ({"env": {"FLUE_PROT": "1"}}, ["FLUE_PROT", '"1"', "environment", "FLUE_PORT"]),
        ({"dotenv": "FLUE_MAX_TURN=1", "dev": True}, ["FLUE_MAX_TURN", ".env", "FLUE_MAX_TURNS"]),
        ({"flags": {"hots": "x"}}, ["--hots", "host"]),
    ],
)
def test_a_misspelled_name_is_refused_with_its_place_and_the_nearest_one(
    tmp_path: Path, sources: dict[str, Any], words: list[str]
) -> None:
    root = project(tmp_path, pyproject=sources.pop("pyproject", ""), dotenv=sources.pop("dotenv", ""))
    with pytest.raises(ConfigError) as error:
        load(root, **sources)
    assert [word for word in words if word not in error.value.message] == []


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"pyproject": table('port = "80"')}, ["port", "'80'", "pyproject.toml"]),
        ({"pyproject": table("port = 70000")}, ["port", "70000"]),
        ({"pyproject": table("max_turns = true")}, ["max_turns", "True"]),
        ({"env": {"FLUE_MAX_TURNS": "0"}}, ["max_turns", "'0'", "FLUE_MAX_TURNS", "environment"]),
        ({"env": {"FLUE_TOOL_TIMEOUT": "nan"}}, ["tool_timeout", "'nan'"]),
        ({"env": {"FLUE_TOOL_TIMEOUT": "inf"}}, ["tool_timeout", "'inf'"]),
        ({"dotenv": "FLUE_PORT=x", "dev": True}, ["port", "'x'", ".env"]),
        ({"flags": {"port": "x"}}, ["port", "'x'", "--port"]),
    ],
)
def test_an_impossible_value_is_refused_with_its_place(
    tmp_path: Path, sources: dict[str, Any], words: list[str]
) -> None:
    root = project(tmp_path, pyproject=sources.pop("pyproject", ""), dotenv=sources.pop("dotenv", ""))
    with pytest.raises(ConfigError) as error:
        load(root, **sources)
    assert [word for word in words if word not in error.value.message] == []


@pytest.mark.parametrize("text", ["[tool", "[tool]\nflue-actors = 3", "\udcff"])
def test_a_pyproject_that_cannot_be_used_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "tool = 3", "[tool.other]\nport = 1"])
def test_a_pyproject_without_our_table_says_nothing(tmp_path: Path, text: str) -> None:
    assert load(project(tmp_path, pyproject=text)) == Settings()


def test_a_dotenv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"FLUE_PORT=\xff")
    with pytest.raises(ConfigError, match=r"\.env"):
        load(tmp_path, dev=True)


def test_dotenv_is_taken_as_it_is_written(tmp_path: Path) -> None:
    project(tmp_path, dotenv='# a comment\nKEY="a b"\nexport OTHER=x${KEY}\nEMPTY\n')
    assert read_dotenv(tmp_path) == {"KEY": "a b", "OTHER": "x${KEY}"}


@pytest.mark.parametrize("name", NAMES)
def test_a_settings_object_refuses_a_value_of_the_wrong_type(name: str) -> None:
    wrong: dict[str, Any] = {name: object()}
    with pytest.raises(ConfigError, match=name):
        Settings(**wrong)


RANGES = {
    "port": (0, 65_535),
    **dict.fromkeys(("max_turns", "max_queued", "max_pending", "max_active"), (1, None)),
    **dict.fromkeys(("max_body", "max_frame", "max_head"), (1, None)),
    "drain_timeout": (0, 10_000_000),
}


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_a_range_belong_to_it_and_what_lies_beyond_is_refused(tmp_path: Path, name: str) -> None:
    ends = [end for end in RANGES[name] if end is not None]
    assert [getattr(load(tmp_path, env=variables({name: end})), name) for end in ends] == ends
    for beyond in [ends[0] - 1, *(end + 1 for end in ends[1:])]:
        with pytest.raises(ConfigError, match=f"{name} cannot be '{beyond}'"):
            load(tmp_path, env=variables({name: beyond}))


@pytest.mark.parametrize(
    "name",
    ["tool_timeout", "stream_idle_timeout", "passivate_after", "cancel_grace", "head_timeout", "body_timeout"],
)
def test_a_time_is_more_than_nothing_and_at_most_some_months(tmp_path: Path, name: str) -> None:
    assert getattr(load(tmp_path, flags={name: 0.001}), name) == 0.001
    assert getattr(load(tmp_path, flags={name: 10_000_000}), name) == 10_000_000
    for beyond in (0, -1, 10_000_001):
        with pytest.raises(ConfigError, match=f"{name} cannot be {beyond} "):
            load(tmp_path, flags={name: beyond})


@pytest.mark.parametrize("name", ["host", "store"])
def test_a_host_or_store_without_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} cannot be ''"):
        load(project(tmp_path, pyproject=table(f'{name} = ""')))


@pytest.mark.parametrize("name", ["retain_submissions", "retain_idle"])
def test_what_is_never_forgotten_can_be_said_everywhere(tmp_path: Path, name: str) -> None:
    assert getattr(load(tmp_path, env={f"FLUE_{name.upper()}": "never"}), name) is None
    assert getattr(load(tmp_path, env={f"FLUE_{name.upper()}": "86400"}), name) == 86_400
    assert getattr(load(project(tmp_path, pyproject=table(f'{name} = "never"'))), name) is None


def test_other_settings_are_no_matter_of_never(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drain_timeout"):
        load(tmp_path, env={"FLUE_DRAIN_TIMEOUT": "never"})
