import subprocess
import sys
from pathlib import Path

import pytest

from flue_actors.errors import ConfigError, ModelError
from flue_actors.messages import TextContent
from flue_actors.models.catalog import ModelInfo
from flue_actors.models.registry import ModelRegistry
from flue_actors.testing import ScriptedModel
from tests.messages_api import messages_server
from tests.models.helpers import MODEL, asking, events_of, reply_of


def test_a_name_is_split_at_its_first_slash() -> None:
    registry = ModelRegistry()
    registry.register_provider("proxy", api="anthropic-messages", base_url="http://localhost:1", api_key="k")
    resolved = registry.resolve("proxy/org/model-1")
    assert (resolved.provider, resolved.model) == ("proxy", "org/model-1")


@pytest.mark.parametrize("name", ["echo", "/echo", "scripted/", ""])
def test_a_name_without_provider_or_model_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="provider/model"):
        ModelRegistry().resolve(name)


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r'no model provider "nix"; there are: anthropic, openai, scripted'):
        ModelRegistry().resolve("nix/model")


def test_an_unknown_scripted_model_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="echo, jokes, paced"):
        ModelRegistry().resolve("scripted/nix")


def test_models_of_one_provider_share_client_and_limiter() -> None:
    registry = ModelRegistry()
    echo, jokes = registry.resolve("scripted/echo"), registry.resolve("scripted/jokes")
    assert echo.client is jokes.client
    assert echo.limiter is jokes.limiter


def test_a_client_object_is_its_own_model_with_its_own_limiter() -> None:
    registry, one, other = ModelRegistry(), ScriptedModel(), ScriptedModel()
    assert registry.resolve(one).client is one
    assert registry.resolve(one).limiter is registry.resolve(one).limiter
    assert registry.resolve(one).limiter is not registry.resolve(other).limiter


async def test_a_client_of_your_own_is_made_once_on_first_use() -> None:
    registry, made = ModelRegistry(), list[ScriptedModel]()

    def make() -> ScriptedModel:
        made.append(ScriptedModel(["hello"]))
        return made[-1]

    registry.register_client("mine", make, models={"m": ModelInfo(context_window=10)})
    assert made == []
    resolved = registry.resolve("mine/m")
    registry.resolve("mine/other")
    assert len(made) == 1
    assert resolved.info.context_window == 10
    assert (await reply_of(resolved.client, asking("hi"))).content == (TextContent(text="hello"),)


def test_a_client_object_can_stand_behind_a_provider_name() -> None:
    registry, client = ModelRegistry(), ScriptedModel()
    registry.register_client("mine", client)
    assert registry.resolve("mine/anything").client is client


def test_facts_come_from_the_catalog_or_the_registration() -> None:
    registry = ModelRegistry()
    assert registry.resolve("anthropic/claude-haiku-4-5").info.context_window == 200_000
    assert registry.resolve("anthropic/claude-of-tomorrow").info == ModelInfo()
    models = {"big": ModelInfo(context_window=1_000_000)}
    registry.register_provider("p", api="anthropic-messages", api_key="k", context_window=8_000, models=models)
    assert registry.resolve("p/big").info.context_window == 1_000_000
    assert registry.resolve("p/small").info.context_window == 8_000


def test_an_unknown_api_and_an_impossible_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="anthropic-messages"):
        ModelRegistry().register_provider("p", api="telepathy")
    with pytest.raises(ConfigError, match="cannot name a provider"):
        ModelRegistry().register_client("a/b", ScriptedModel)


def test_only_a_provider_reached_over_the_network_can_be_configured() -> None:
    with pytest.raises(ConfigError, match="no connection"):
        ModelRegistry().configure_provider("scripted", api_key="k")
    with pytest.raises(ConfigError, match="no model provider"):
        ModelRegistry().configure_provider("nix", api_key="k")


async def test_the_last_registration_wins_and_configuring_keeps_the_facts() -> None:
    registry = ModelRegistry()
    async with messages_server() as server:
        registry.register_provider("p", api="anthropic-messages", base_url="http://127.0.0.1:1", api_key="old")
        registry.register_provider("p", api="anthropic-messages", base_url=server.url, api_key="k", context_window=7)
        registry.configure_provider("p", api_key="patched", headers={"x-team": "blue"})
        resolved = registry.resolve(f"p/{MODEL}")
        assert resolved.info.context_window == 7
        await reply_of(resolved.client, asking("hi"))
        headers = server.requests[0].headers
        assert "patched" in headers.get("x-api-key", "") + headers.get("authorization", "")
        assert headers["x-team"] == "blue"
        await registry.aclose()


async def test_settings_of_the_environment_reach_anthropic(monkeypatch: pytest.MonkeyPatch) -> None:
    async with messages_server() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "from-the-environment")
        registry = ModelRegistry()
        await reply_of(registry.resolve(f"anthropic/{MODEL}").client, asking("hi"))
        assert "from-the-environment" in str(server.requests[0].headers)
        await registry.aclose()


async def test_the_environments_key_never_goes_to_another_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-the-environment")
    async with messages_server() as server:
        registry = ModelRegistry()
        registry.register_provider("p", api="anthropic-messages", base_url=server.url)
        with pytest.raises(ModelError):
            await events_of(registry.resolve("p/m").client, asking("hi"))
        registry.configure_provider("p", headers={"Authorization": "Bearer own"})
        await reply_of(registry.resolve("p/m").client, asking("hi"))
        assert "from-the-environment" not in str(server.requests[0].headers)
        await registry.aclose()


async def test_a_missing_key_is_told_to_the_developer_not_to_the_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    registry = ModelRegistry()
    with pytest.raises(ModelError) as failed:
        await events_of(registry.resolve(f"anthropic/{MODEL}").client, asking("hi"))
    assert "ANTHROPIC_API_KEY" in failed.value.dev
    assert "ANTHROPIC" not in failed.value.message + failed.value.details
    assert not failed.value.retryable
    await registry.aclose()


async def test_credentials_that_cannot_be_read_are_told_the_same_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path / "missing"))
    registry = ModelRegistry()
    with pytest.raises(ModelError) as failed:
        await events_of(registry.resolve(f"anthropic/{MODEL}").client, asking("hi"))
    assert str(tmp_path) not in failed.value.message + failed.value.details
    await registry.aclose()


async def test_statistics_name_each_provider_in_use() -> None:
    registry = ModelRegistry(max_concurrency=5)
    registry.resolve("anthropic/claude-haiku-4-5")
    assert registry.statistics()["anthropic"].max_concurrency == 5


def test_resolving_does_not_import_the_sdk_and_preparing_does() -> None:
    program = """
import asyncio, sys
from flue_actors.models.registry import ModelRegistry
registry = ModelRegistry()
registry.resolve("anthropic/claude-haiku-4-5")
asyncio.run(registry.prepare(["scripted/echo"]))
assert "anthropic" not in sys.modules
asyncio.run(registry.prepare(["scripted/echo", "anthropic/claude-haiku-4-5"]))
assert "anthropic" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_extra_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    registry = ModelRegistry()
    with pytest.raises(ConfigError, match=r"flue-actors\[openai\]"):
        registry.resolve("openai/gpt-5.5")
    assert registry.resolve("scripted/echo")


def test_preparing_imports_only_the_sdks_that_are_needed() -> None:
    program = """
import asyncio, os, sys
os.environ["OPENAI_API_KEY"] = "k"
from flue_actors.models.registry import ModelRegistry
registry = ModelRegistry()
registry.resolve("openai/gpt-5.5")
assert "openai" not in sys.modules
asyncio.run(registry.prepare(["openai/gpt-5.5"]))
assert "openai" in sys.modules
assert "anthropic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_provider_can_be_registered_anew_with_the_facts_of_its_models() -> None:
    registry = ModelRegistry()
    facts = ModelInfo(400_000, 128_000, "adaptive", native_results=True)
    registry.register_provider("openai", api="openai-completions", models={"gpt-5.5": facts})
    assert registry.resolve("openai/gpt-5.5").info == facts
