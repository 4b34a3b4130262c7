from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors import AgentConfig, AgentContext, Durability, Tool, create_agent, define_agent_profile, tool
from flue_actors.definition.agent import CreatedAgent
from flue_actors.definition.resolving import ResolvedAgent, resolve
from flue_actors.errors import ConfigError
from flue_actors.testing import ScriptedModel


def resolved(config: AgentConfig) -> ResolvedAgent:
    return resolve(config.fields)


CONTEXT = AgentContext(agent="a", id="u1", env={"KEY": "value"})


def make_tool(name: str) -> Tool:
    @tool(name=name)
    async def function() -> str:
        """Do something."""
        return ""

    return function


async def test_an_agent_without_an_initializer_is_resolved_from_its_fields() -> None:
    agent = create_agent(model="scripted/echo", instructions="Hi.")
    resolved = await agent.resolve(CONTEXT)
    assert (resolved.model, resolved.instructions, resolved.thinking_level) == ("scripted/echo", "Hi.", "medium")


async def test_an_initializer_is_told_the_instance_and_runs_every_time() -> None:
    seen: list[AgentContext] = []

    def initialize(ctx: AgentContext) -> AgentConfig:
        seen.append(ctx)
        return AgentConfig(model="scripted/echo", instructions=f"Ticket {ctx.id}, {ctx.env['KEY']}")

    agent = create_agent(initialize)
    assert (await agent.resolve(CONTEXT)).instructions == "Ticket u1, value"
    await agent.resolve(CONTEXT)
    assert len(seen) == 2


async def test_an_initializer_may_be_async_or_take_nothing() -> None:
    async def later(ctx: AgentContext) -> AgentConfig:
        return AgentConfig(model="scripted/echo")

    for agent in (create_agent(later), create_agent(lambda: AgentConfig(model="scripted/echo"))):
        assert (await agent.resolve(CONTEXT)).model == "scripted/echo"


async def test_create_agent_is_a_decorator_with_and_without_a_name() -> None:
    @create_agent
    def plain(ctx: AgentContext) -> AgentConfig:
        return AgentConfig(model="scripted/echo")

    @create_agent(name="other", aliases=["old"])
    def named(ctx: AgentContext) -> AgentConfig:
        return AgentConfig(model="scripted/echo")

    assert isinstance(plain, CreatedAgent)
    assert (named.name, named.aliases) == ("other", ("old",))


async def test_an_initializer_that_raises_names_the_agent_and_keeps_the_cause_for_the_developer() -> None:
    def broken(ctx: AgentContext) -> AgentConfig:
        raise KeyError("secret")

    with pytest.raises(ConfigError) as error:
        await create_agent(broken).resolve(CONTEXT)
    assert '"a"' in error.value.message
    assert "secret" not in error.value.message
    assert "test_agent.py" in error.value.dev


async def test_an_initializer_has_to_return_a_config() -> None:
    with pytest.raises(ConfigError, match="AgentConfig"):
        await create_agent(lambda: {"model": "scripted/echo"}).resolve(CONTEXT)  # type: ignore[arg-type, return-value]


def test_a_present_field_replaces_the_profiles_and_none_clears_it() -> None:
    profile = define_agent_profile(model="scripted/echo", instructions="Profile.", version="1")
    assert resolved(AgentConfig(profile=profile)).instructions == "Profile."
    assert resolved(AgentConfig(profile=profile, instructions="Own.")).instructions == "Own."
    cleared = resolved(AgentConfig(profile=profile, instructions=None, version=None))
    assert (cleared.instructions, cleared.version) == ("", None)


def test_tools_append_behind_the_profiles_and_are_sorted_for_the_model() -> None:
    profile = define_agent_profile(model="scripted/echo", tools=[make_tool("b")])
    found = resolved(AgentConfig(profile=profile, tools=[make_tool("a")]))
    assert [each.name for each in found.tools] == ["a", "b"]


def test_two_tools_of_one_name_are_refused_also_across_profile_and_config() -> None:
    profile = define_agent_profile(model="scripted/echo", tools=[make_tool("b")])
    with pytest.raises(ConfigError, match='"b"'):
        resolved(AgentConfig(profile=profile, tools=[make_tool("b")]))
    with pytest.raises(ConfigError, match='"b"'):
        AgentConfig(tools=[make_tool("b"), make_tool("b")])


def test_an_agent_needs_a_model() -> None:
    with pytest.raises(ConfigError, match="no model"):
        resolved(AgentConfig(instructions="x"))


def test_an_unknown_field_is_refused_and_the_nearest_one_named() -> None:
    with pytest.raises(ConfigError, match='"instructions"'):
        create_agent(model="scripted/echo", instuctions="typo")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match='"model"'):
        define_agent_profile(modl="scripted/echo")


def test_a_profile_has_no_profile() -> None:
    with pytest.raises(ConfigError):
        define_agent_profile(profile=define_agent_profile(model="scripted/echo"))


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "echo"},
        {"model": "/echo"},
        {"model": 3},
        {"name": "1st"},
        {"description": " "},
        {"instructions": 3},
        {"tools": "add"},
        {"tools": [len]},
        {"thinking_level": "huge"},
        {"concurrency": "none"},
        {"public_events": "some"},
        {"durability": {"timeout": 1}},
        {"durability": Durability(timeout=-1)},
        {"durability": Durability(attempts=0)},
        {"tool_timeout": 0},
        {"max_turns": True},
        {"max_queued": 1.5},
        {"profile": {"model": "scripted/echo"}},
        {"skills": ["x"]},
        {"sandbox": object()},
    ],
)
def test_a_field_that_is_not_valid_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        AgentConfig(**fields)


def test_fields_of_later_features_may_be_switched_off() -> None:
    assert AgentConfig(model="scripted/echo", sandbox=False, skills=None)


def test_a_model_may_be_a_client_object() -> None:
    model = ScriptedModel(["hi"])
    assert resolved(AgentConfig(model=model)).model is model


def test_the_fingerprint_follows_what_the_model_is_told() -> None:
    def of(**fields: Any) -> str:
        return resolved(AgentConfig(**{"model": "scripted/echo", "instructions": "x", **fields})).fingerprint

    assert of() == of()
    assert of() == of(version="2", max_turns=3)
    assert len({of(), of(instructions="y"), of(model="scripted/jokes"), of(tools=[make_tool("a")])}) == 4


_fields = st.fixed_dictionaries(
    {},
    optional={
        "instructions": st.none() | st.text(max_size=5),
        "thinking_level": st.none() | st.sampled_from(["off", "high"]),
        "version": st.none() | st.sampled_from(["1", "2"]),
        "max_turns": st.none() | st.integers(1, 9),
        "concurrency": st.none() | st.sampled_from(["instance", "session"]),
    },
)


@given(_fields, _fields)
def test_merging_is_replacement_field_by_field(below: dict[str, Any], above: dict[str, Any]) -> None:
    profile = define_agent_profile(model="scripted/echo", **below)
    merged = resolved(AgentConfig(profile=profile, **above))
    plain = resolved(AgentConfig(model="scripted/echo", **{**below, **above}))
    assert msgspec.structs.asdict(merged) == msgspec.structs.asdict(plain)
