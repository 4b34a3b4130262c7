"""Loading at the start what the definitions' models need: the first input would wait a second for it."""

import logging
from collections.abc import Iterable, Iterator

from flue_actors.definition.profile import AgentProfile
from flue_actors.definition.project import AgentDefinition
from flue_actors.definition.resolving import ResolvedAgent
from flue_actors.errors import ConfigError
from flue_actors.models.protocol import ModelClient
from flue_actors.models.registry import ModelRegistry

logger = logging.getLogger("flue_actors.runtime")


async def load_models(models: ModelRegistry, agents: Iterable[AgentDefinition]) -> None:
    """Load for every agent whose definition depends on no instance. One that cannot be loaded is logged."""
    for definition in agents:
        static = definition.agent.static
        if static is not None:
            try:
                await models.prepare([*_models_of(static)])
                _check_prices(models, static)
            except ConfigError as error:  # the others can work
                logger.warning('agent "%s" will not answer: %s', definition.name, error.message)


def _models_of(agent: ResolvedAgent) -> Iterator[str | ModelClient]:
    if agent.model is not False:
        yield agent.model
    if agent.compaction.model is not None:
        yield agent.compaction.model
    yield from _models_below(agent.subagents)


def _check_prices(models: ModelRegistry, agent: ResolvedAgent) -> None:
    """Raises ConfigError, as its every message would."""
    if agent.limits.cost is not None or agent.limits.total_cost is not None:
        for model in (agent.model, agent.compaction.model):
            if model:
                models.resolve(model).require_prices()


def _models_below(profiles: Iterable[AgentProfile]) -> Iterator[str | ModelClient]:
    for profile in profiles:
        model = profile.fields.get("model")
        if model:
            yield model
        yield from _models_below(profile.subagents)
