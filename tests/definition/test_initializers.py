"""What goes wrong in an initializer, told to the developer; and what it may cost."""

import json
from typing import Any

import pytest

from flue_actors import AgentConfig, AgentContext, create_agent, define_agent_profile, tool
from flue_actors.definition.agent import CreatedAgent
from flue_actors.errors import ConfigError, Denied

CONTEXT = AgentContext(agent="desk", id="u1", env={})


async def refusal(agent: CreatedAgent) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        await agent.resolve(CONTEXT)
    return error.value


async def test_a_wrong_field_names_the_agent_and_the_line() -> None:
    make: Any = AgentConfig

    def initialize(ctx: AgentContext) -> AgentConfig:
        return make(modle="scripted/echo")

    error = await refusal(create_agent(initialize))
    assert error.message.startswith('Agent "desk": "modle"')
    assert '"model"' in error.message
    assert f"test_initializers.py:{initialize.__code__.co_firstlineno + 1}" in error.dev


async def test_two_tools_of_one_name_name_the_agent() -> None:
    @tool
    def twice() -> None:
        """Twice."""

    profile = define_agent_profile(model="scripted/echo", tools=[twice])
    error = await refusal(create_agent(lambda: AgentConfig(profile=profile, tools=[twice])))
    assert error.message == 'Agent "desk": Two tools are called "twice".'


async def test_the_line_is_the_users_own_even_when_a_library_raised() -> None:
    async def initialize(ctx: AgentContext) -> AgentConfig:
        return json.loads("[")

    error = await refusal(create_agent(initialize))
    assert f"test_initializers.py:{initialize.__code__.co_firstlineno + 1}: JSONDecodeError" in error.dev
    assert isinstance(error.__cause__, json.JSONDecodeError)


async def test_an_error_of_ours_that_it_raises_passes_through() -> None:
    def initialize(ctx: AgentContext) -> AgentConfig:
        raise Denied(403)

    with pytest.raises(Denied):
        await create_agent(initialize).resolve(CONTEXT)


@pytest.mark.parametrize("given", [3, "scripted/echo", AgentConfig(model="scripted/echo")])
def test_only_a_function_is_an_initializer(given: Any) -> None:
    with pytest.raises(ConfigError):
        create_agent(given)
    with pytest.raises(ConfigError):
        create_agent(name="other")(given)


@pytest.mark.parametrize("given", [{"name": "no spaces"}, {"aliases": ["a:b"]}, {"name": ""}])
def test_a_name_or_alias_that_is_none_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        create_agent(model="scripted/echo", **given)


def test_an_initializer_and_fields_are_one_too_many() -> None:
    make: Any = create_agent
    with pytest.raises(ConfigError):
        make(lambda: AgentConfig(model="scripted/echo"), model="scripted/echo")


def test_a_static_agent_is_checked_when_it_is_made() -> None:
    with pytest.raises(ConfigError, match="model"):
        create_agent(profile=define_agent_profile(instructions="No model."))


async def test_a_static_agent_is_resolved_once() -> None:
    agent = create_agent(model="scripted/echo")
    assert await agent.resolve(CONTEXT) is await agent.resolve(CONTEXT)


def test_an_agent_may_leave_the_model_to_each_prompt() -> None:
    static = create_agent(model=False).static
    assert static is not None and static.model is False
