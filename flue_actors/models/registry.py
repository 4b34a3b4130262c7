"""Which model a name means: ``"provider/model"`` to a client, its facts and its limiter. Belongs to one runtime.

A name is split at its first ``/``. Settings of a provider come from `configure_provider`, else `register_provider`, else
the provider's own environment variables. Clients are made on first use, one per provider, and closed by `aclose`.
"""

import os
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, Required, TypedDict, cast
from weakref import WeakKeyDictionary

import msgspec

from flue_actors.errors import ConfigError, ModelError
from flue_actors.models.anthropic.client import MESSAGES
from flue_actors.models.catalog import ANTHROPIC, UNKNOWN, ModelInfo
from flue_actors.models.http_client import HttpModelClient
from flue_actors.models.limiter import LimiterStatistics, ModelLimiter
from flue_actors.models.openai.client import COMPLETIONS, require_sdk
from flue_actors.models.protocol import ModelClient, ModelEvent, ModelRequest
from flue_actors.models.scripted import ScriptedProvider
from flue_actors.models.scripted_replies import scripted_name
from flue_actors.models.transport import Transport

MAX_CONCURRENCY: Final = 512
"""Calls one provider account gets at a time: above what one core can stream live (400 to 600 answers)."""

ALLOW_REQUESTS: Final = "FLUE_ALLOW_MODEL_REQUESTS"
"""``0`` in the environment: no provider is asked over the network, whoever tries is told so."""

Overrides = ModelClient | Mapping[str, ModelClient]
"""One client for every model, or one for each of these names."""

_UNLIMITED: Final = 1_000_000

_DIALECTS: Final = {dialect.api: dialect for dialect in (MESSAGES, COMPLETIONS)}
_ENVIRONMENTS: Final = {"anthropic": MESSAGES.api, "openai": COMPLETIONS.api}
"""Whom the environment's keys belong to: no other provider ever gets them."""


class ConnectionOptions(TypedDict, total=False):
    """How a provider is reached; see `ModelRegistry.configure_provider`."""

    base_url: str | None
    headers: Mapping[str, str] | None
    api_key: str | None


class ProviderOptions(ConnectionOptions, total=False):
    """What a provider is; see `ModelRegistry.register_provider`."""

    api: Required[str]
    context_window: int
    max_tokens: int | None
    models: Mapping[str, ModelInfo] | None


class ResolvedModel(msgspec.Struct, frozen=True):
    """What a model name means. ``provider`` and ``model`` are its two halves, as events show them."""

    client: ModelClient
    provider: str
    model: str
    info: ModelInfo
    limiter: ModelLimiter

    def require_prices(self) -> None:
        """For work whose cost is capped.

        Raises:
            ConfigError: The prices are not known.
        """
        if self.info.prices is None:
            raise ConfigError(f'The prices of model "{self.model}" are not known, so its cost cannot be limited.')


class _Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as registered; ``make`` (a client of the user's own) wins over ``api``."""

    api: str = ""
    make: Callable[[], ModelClient] | None = None
    transport: Transport = Transport()
    info: ModelInfo = UNKNOWN
    models: Mapping[str, ModelInfo] = {}

    def info_of(self, model: str) -> ModelInfo:
        return self.models.get(model, self.info)


class _Live(msgspec.Struct, frozen=True):
    client: ModelClient
    limiter: ModelLimiter


class ModelRegistry:
    """The models of one runtime; see the module."""

    def __init__(self, *, max_concurrency: int = MAX_CONCURRENCY) -> None:
        self._max_concurrency = max_concurrency
        self._providers: dict[str, _Provider] = {
            "anthropic": _Provider(api=MESSAGES.api, transport=Transport(environment=True), models=ANTHROPIC),
            "openai": _Provider(api=COMPLETIONS.api, transport=Transport(environment=True)),
            "scripted": _Provider(make=ScriptedProvider),
        }
        self._patches: dict[str, Transport] = {}
        self._live: dict[str, _Live] = {}
        self._retired: list[_Live] = []
        self._here: dict[str, ResolvedModel] = {}  # what is asked in this process: 5 us to find out anew
        self._objects: WeakKeyDictionary[ModelClient, ModelLimiter] = WeakKeyDictionary()
        self._overrides: list[Overrides] = []  # the newest is the last
        self._learned: dict[str, int] = {}  # windows, from refusals
        self._allowed: bool | None = None
        self._refused = ModelLimiter(_UNLIMITED)

    def register_provider(
        self,
        name: str,
        *,
        api: str,
        base_url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        context_window: int = 0,
        max_tokens: int | None = None,
        models: Mapping[str, ModelInfo] | None = None,
    ) -> None:
        """Add a provider that speaks a known wire protocol, or replace one of this name.

        Args:
            name: What stands before the ``/``.
            api: The wire protocol: ``anthropic-messages`` or ``openai-completions``.
            base_url: None = the protocol's own default or environment variable.
            api_key: None = none; for the names ``anthropic`` and ``openai`` the SDK's own environment variables.
            context_window: Tokens; for models that ``models`` does not name. 0 = unknown.
            max_tokens: As ``context_window``; None = unknown.
            models: Facts by model name.

        Raises:
            ConfigError: Unknown ``api`` or impossible name.
        """
        if api not in _DIALECTS:
            raise ConfigError(f'Provider "{name}": there is no api "{api}"; there are: {", ".join(_DIALECTS)}.')
        own = _ENVIRONMENTS.get(name) == api
        transport = Transport(base_url=base_url, api_key=api_key, headers=dict(headers or {}), environment=own)
        info = ModelInfo(context_window=context_window, max_tokens=max_tokens)
        self._register(name, _Provider(api=api, transport=transport, info=info, models=dict(models or {})))

    def register_client(
        self,
        name: str,
        client: ModelClient | Callable[[], ModelClient],
        *,
        models: Mapping[str, ModelInfo] | None = None,
    ) -> None:
        """Add a provider of your own: a client, or what builds it on first use. `aclose` closes it.

        Raises:
            ConfigError: Impossible name.
        """
        make = client if callable(client) else lambda: client
        self._register(name, _Provider(make=make, models=dict(models or {})))

    def configure_provider(
        self,
        name: str,
        *,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        api_key: str | None = None,
    ) -> None:
        """Patch how a provider is reached, keeping its models' facts. Replaces an earlier patch; running calls end as
        they began.

        Raises:
            ConfigError: Unknown provider, or one that is not reached over the network.
        """
        if self._provider(name, name).make is not None:
            raise ConfigError(f'Provider "{name}" has no connection to configure.')
        self._patches[name] = Transport(base_url=base_url, api_key=api_key, headers=dict(headers or {}))
        self._retire(name)

    @contextmanager
    def override(self, models: Overrides) -> Generator[None]:
        """Inside, a model that is asked for is answered by the given client; the innermost override that knows it wins.

        It keeps its name, and what is known of the name: context window and prices. A call that runs ends as it began.

        Args:
            models: One client in place of every model; or clients by name (``"provider/model"``), and the other
                models are what they are. The provider of a name need not be known.

        Raises:
            ConfigError: Something else was given.
        """
        for each in cast("Mapping[str, Any]", models).values() if isinstance(models, Mapping) else [models]:
            if not callable(getattr(each, "stream", None)):
                raise ConfigError(
                    f"{type(each).__name__} is no model client.", details="Give a ScriptedModel([...]), or one by name."
                )
        self._overrides.append(models)
        try:
            yield
        finally:
            self._overrides.reverse()  # `remove` takes the first, the newest may have the same client
            self._overrides.remove(models)
            self._overrides.reverse()

    def allow_requests(self, allowed: bool) -> None:
        """Whether providers may be asked over the network; until this is called the environment's
        ``FLUE_ALLOW_MODEL_REQUESTS`` says so, and without it they may. Clients handed in are never in question.
        """
        self._allowed = allowed

    def resolve(self, model: str | ModelClient) -> ResolvedModel:
        """The client for a name. A `ModelClient` object (hashable, as objects are) is its own: ``provider`` is then its
        ``api``, ``model`` the name of its class, and it shares a limiter with nobody.

        Raises:
            ConfigError: No ``/`` in it, an unknown provider, an unknown scripted model, or an extra that is missing.
        """
        if not self._overrides and isinstance(model, str) and (known := self._here.get(model)) is not None:
            return known
        given = self._overriding(model)
        if not isinstance(model, str):
            client = model if given is None else given
            return ResolvedModel(client, client.api, type(client).__name__, UNKNOWN, self._limiter_of(client))
        name, slash, rest = model.partition("/")
        if not slash or not name or not rest:
            raise ConfigError(f'"{model}" is not a model name: write "provider/model", such as "scripted/echo".')
        if given is not None:
            return self._informed(ResolvedModel(given, name, rest, self._known_of(name, rest), self._limiter_of(given)))
        provider = self._provider(name, model)
        if provider.make is None and not self._may_ask():
            return ResolvedModel(_Refusing(provider.api, model), name, rest, provider.info_of(rest), self._refused)
        live = self._live.get(name) or self._open(name, provider)
        info = scripted_name(rest).info if isinstance(live.client, ScriptedProvider) else provider.info_of(rest)
        resolved = self._informed(ResolvedModel(live.client, name, rest, info, live.limiter))
        if provider.make is not None:
            self._here[model] = resolved
        return resolved

    def learned(self, model: ResolvedModel, window: int) -> ResolvedModel:
        """The model, whose provider has just said how many tokens it reads: kept in mind where nobody knew it. 0 = it did not."""
        if not window or model.info.context_window:
            return model
        self._learned[f"{model.provider}/{model.model}"] = window
        self._here.clear()
        return self._informed(model)

    async def prepare(self, models: Iterable[str | ModelClient]) -> None:
        """Load what these models need, in a thread where it is slow (an SDK: up to a second).

        Raises:
            ConfigError: As `resolve`.
        """
        for model in models:
            client = self.resolve(model).client
            if isinstance(client, HttpModelClient):
                with suppress(ModelError):  # no key: told to whoever uses the model, and to nobody else
                    await client.load()

    def statistics(self) -> dict[str, LimiterStatistics]:
        """The limiter of each provider in use."""
        return {name: live.limiter.statistics() for name, live in self._live.items()}

    async def aclose(self) -> None:
        """Close every client made here. Clients handed in as objects belong to their owner. Idempotent."""
        for name in list(self._live):
            self._retire(name)
        while self._retired:
            live = self._retired.pop()
            live.limiter.close()
            await live.client.aclose()

    def _informed(self, model: ResolvedModel) -> ResolvedModel:
        window = self._learned.get(f"{model.provider}/{model.model}", 0) if self._learned else 0
        if not window or model.info.context_window:
            return model
        return msgspec.structs.replace(model, info=msgspec.structs.replace(model.info, context_window=window))

    def _overriding(self, model: str | ModelClient) -> ModelClient | None:
        for models in reversed(self._overrides):
            if not isinstance(models, Mapping):
                return models
            if isinstance(model, str) and model in models:
                return models[model]
        return None

    def _may_ask(self) -> bool:
        if self._allowed is not None:
            return self._allowed
        return os.environ.get(ALLOW_REQUESTS, "1").lower() not in {"0", "false", "no", "off"}

    def _limiter_of(self, client: ModelClient) -> ModelLimiter:
        limiter = self._objects.get(client)
        if limiter is None:
            limiter = self._objects[client] = ModelLimiter(self._max_concurrency)
        return limiter

    def _known_of(self, name: str, model: str) -> ModelInfo:
        provider = self._providers.get(name)
        if provider is None:
            return UNKNOWN
        return scripted_name(model).info if provider.make is ScriptedProvider else provider.info_of(model)

    def _register(self, name: str, provider: _Provider) -> None:
        if not name or "/" in name:
            raise ConfigError(f'"{name}" cannot name a provider: it stands before the "/" of a model name.')
        self._providers[name] = provider
        self._patches.pop(name, None)
        self._retire(name)

    def _provider(self, name: str, asked: str) -> _Provider:
        provider = self._providers.get(name)
        if provider is None:
            known = ", ".join(sorted(self._providers))
            raise ConfigError(f'"{asked}": there is no model provider "{name}"; there are: {known}.')
        return provider

    def _open(self, name: str, provider: _Provider) -> _Live:
        limiter = ModelLimiter(_UNLIMITED if provider.make is ScriptedProvider else self._max_concurrency)
        live = self._live[name] = _Live(self._client(name, provider), limiter)
        return live

    def _client(self, name: str, provider: _Provider) -> ModelClient:
        if provider.make is not None:
            return provider.make()
        if provider.api == COMPLETIONS.api:
            require_sdk()
        transport = provider.transport.patched(self._patches.get(name, Transport()))
        dialect = _DIALECTS[provider.api]
        return HttpModelClient(dialect, transport, provider.info_of, max_connections=self._max_concurrency)

    def _retire(self, name: str) -> None:
        """Take a client out of service; calls it is performing end in peace."""
        self._here.clear()
        if live := self._live.pop(name, None):
            self._retired.append(live)


class _Refusing:
    """In place of a provider that must not be asked."""

    def __init__(self, api: str, model: str) -> None:
        self.api = api
        self._model = model

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        raise ModelError(
            f'"{self._model}" was not asked: model requests are switched off ({ALLOW_REQUESTS}=0 or '
            "allow_model_requests(False)). In a test, give the runtime a model of flue_actors.testing: "
            "with runtime.override(models=ScriptedModel([...])): ...",
            details=f"Use a test model, or allow requests: {ALLOW_REQUESTS}=1.",
        )
        yield  # what makes it a stream

    async def aclose(self) -> None:
        """Nothing to close."""
