"""Which client answers: overrides, and providers that must not be asked."""

from pathlib import Path
from typing import Any

import pytest

from flue_actors import create_agent
from flue_actors.definition.settings import Settings, load_settings
from flue_actors.errors import ConfigError, ModelError
from flue_actors.models.registry import ALLOW_REQUESTS, ModelRegistry
from flue_actors.runtime import Runtime
from flue_actors.testing import Machine, ScriptedModel, in_virtual_time
from flue_actors.testing.recorded import RECORD
from tests.models.helpers import asking, events_of

HAIKU = "anthropic/claude-haiku-4-5"
FIXED = create_agent(model=HAIKU, instructions="Be brief.")


def answering(registry: ModelRegistry, model: str) -> object:
    return registry.resolve(model).client


async def test_one_client_answers_for_every_model_and_it_keeps_its_name_and_window() -> None:
    registry, model = ModelRegistry(), ScriptedModel()
    known = registry.resolve(HAIKU).info
    with registry.override(model):
        resolved = registry.resolve(HAIKU)
        assert answering(registry, "nobody/knows") is model
        assert registry.resolve(ScriptedModel()).client is model
    assert (resolved.client, resolved.provider, resolved.model) == (model, "anthropic", "claude-haiku-4-5")
    assert resolved.info == known
    assert answering(registry, HAIKU) is not model


async def test_clients_by_name_leave_other_models_what_they_are() -> None:
    registry, model = ModelRegistry(), ScriptedModel()
    with registry.override({HAIKU: model}):
        assert answering(registry, HAIKU) is model
        assert answering(registry, "scripted/echo") is not model


async def test_the_innermost_override_that_knows_a_model_wins() -> None:
    registry, outer, inner = ModelRegistry(), ScriptedModel(), ScriptedModel()
    with registry.override(outer), registry.override({HAIKU: inner}), registry.override({"a/b": outer}):
        assert answering(registry, HAIKU) is inner
        assert answering(registry, "scripted/echo") is outer


async def test_a_name_that_is_none_stays_an_error() -> None:
    registry = ModelRegistry()
    with registry.override(ScriptedModel()), pytest.raises(ConfigError, match="not a model name"):
        registry.resolve("claude")


async def test_a_runtimes_agents_are_overridden_while_it_runs() -> None:
    async with Runtime({"agent": FIXED}) as runtime:
        with runtime.override(models=ScriptedModel(["first"])):
            assert (await runtime.ref("agent", "u1").prompt("hi")).text == "first"
        with runtime.override(models={HAIKU: ScriptedModel(["second"])}):
            assert (await runtime.ref("agent", "u1").prompt("hi")).text == "second"


@pytest.mark.parametrize("value", ["0", "false", "No", "off"])
async def test_the_environment_switches_requests_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(ALLOW_REQUESTS, value)
    with pytest.raises(ModelError, match="switched off") as refusal:
        await events_of(ModelRegistry().resolve(HAIKU).client, asking("hi"))
    assert "ScriptedModel" in refusal.value.message
    assert HAIKU in refusal.value.message
    assert not refusal.value.retryable


async def test_an_explicit_permission_stands_above_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_REQUESTS, "0")
    registry = ModelRegistry()
    registry.allow_requests(True)
    assert registry.resolve(HAIKU).client.api == "anthropic-messages"
    registry.allow_requests(False)
    with pytest.raises(ModelError, match="switched off"):
        await events_of(registry.resolve(HAIKU).client, asking("hi"))


async def test_models_of_this_process_answer_all_the_same() -> None:
    registry = ModelRegistry()
    registry.allow_requests(False)
    assert await events_of(registry.resolve("scripted/echo").client, asking("hi", model="echo"))
    assert registry.resolve(ScriptedModel()).client.api == "scripted"


@in_virtual_time
async def test_whoever_asks_the_agent_is_told_that_requests_are_off_and_what_to_do() -> None:
    async with Machine({"agent": FIXED}) as machine:
        with pytest.raises(ModelError, match=r"override\(models=ScriptedModel"):
            await machine.ref("agent", "u1").prompt("hi")


def test_the_switches_are_no_misspelled_settings(tmp_path: Path) -> None:
    assert load_settings(tmp_path, env={ALLOW_REQUESTS: "0", RECORD: "1"}) == Settings()


@pytest.mark.parametrize("models", [["Hello!"], "scripted/echo", {HAIKU: "Hello!"}])
def test_only_clients_take_the_place_of_models(models: Any) -> None:
    with pytest.raises(ConfigError, match="is no model client"), Runtime().override(models=models):
        pass
