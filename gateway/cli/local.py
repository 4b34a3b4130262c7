"""A conversation with an agent of the project in a folder, without a server."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from flue_actors.agent_ref import AgentRef, SessionRef
from flue_actors.definition.attaching import File, Image
from flue_actors.errors import StoreOwnedError, UnavailableError, UnknownAgentError
from flue_actors.events import ErrorEvent, Event
from flue_actors.gateway.cli.chat import Chat, Question, Reconnected, failed
from flue_actors.gateway.cli.opening import open_project
from flue_actors.gateway.wire import VERDICTS, Decision

_LEAVING_SECONDS: Final = 1.0
"""A person who leaves in the middle of a turn does not wait for its end."""


@asynccontextmanager
async def local_chat(root: Path, agent: str, id: str, *, session: str) -> AsyncGenerator[Chat]:
    """Load the project and start its runtime for as long as the chat lasts.

    Raises:
        UnknownAgentError: The project has no such agent; the details name the nearest one.
        ConfigError, StoreError: The project or its store cannot be used.
    """
    opened = open_project(root, dev=True, flags={"drain_timeout": _LEAVING_SECONDS})
    try:
        instance = opened.runtime.ref(agent, id)
    except UnknownAgentError:
        raise _unknown(agent, sorted(opened.project.agents)) from None
    try:
        await opened.runtime.start()
    except StoreOwnedError as error:
        raise StoreOwnedError(
            error.message, details="If it is this project's server, leave out --local to talk to it."
        ) from error
    try:
        yield _LocalChat(instance, instance.session(session))
    finally:
        await opened.runtime.stop()


class _LocalChat:
    def __init__(self, agent: AgentRef, session: SessionRef) -> None:
        self._agent = agent
        self._session = session

    async def ask(self, message: str, enclosed: Sequence[Image | File] = ()) -> AsyncIterator[Event | Reconnected]:
        images = [each for each in enclosed if isinstance(each, Image)]
        files = [each for each in enclosed if isinstance(each, File)]
        async for event in self._session.stream(message, images=images, files=files):
            if isinstance(event, ErrorEvent):
                raise failed(event.error.type, event.error.message, event.error.details)
            yield event

    async def questions(self) -> list[Question]:
        return [Question(each.id, each.tool_name, each.args) for each in await self._agent.approvals()]

    async def decide(self, id: str, decision: Decision, reason: str | None = None) -> None:
        await self._agent.decide(id, VERDICTS[decision], reason=reason)

    async def abort(self) -> None:
        await self._session.abort()

    async def lost(self) -> UnavailableError:
        return await asyncio.get_running_loop().create_future()  # it is over when we leave, never before


def _unknown(agent: str, known: list[str]) -> UnknownAgentError:
    near = get_close_matches(agent, known, 1)
    hint = f'Did you mean "{near[0]}"?' if near else f"There is: {', '.join(known) or 'none'}."
    return UnknownAgentError(f'This project has no agent "{agent}".', details=hint)
