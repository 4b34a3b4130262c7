"""An agent whose model soon has too long a conversation, and models that write its summaries."""

import asyncio
from collections.abc import Callable
from typing import Any

from flue_actors import create_agent, tool
from flue_actors.definition.limits import Compaction
from flue_actors.errors import ModelError
from flue_actors.messages import Usage
from flue_actors.models.protocol import ModelRequest
from flue_actors.models.scripted_replies import context_tokens
from flue_actors.testing import FunctionModel
from flue_actors.testing.replies import reply
from tests.runtime.machine import Machine
from tests.runtime.models import by_message

NAME = "scripted/echo?window=4000"
LONG = "word " * 400
"""500 tokens."""


@tool
async def nap(seconds: float = 5) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return "rested"


def is_summary(request: ModelRequest) -> bool:
    return request.max_tokens is not None


class Model(FunctionModel):
    """Says what ``said`` says, or what it is told, summaries apart, of which it has so many; and counts what it reads."""

    def __init__(self, said: Callable[[ModelRequest], Any] | None = None, *, summaries: int = 1000) -> None:
        super().__init__(self._say)
        self._said = said or by_message()
        self._left = summaries

    def _say(self, request: ModelRequest) -> Any:
        if is_summary(request):
            self._left -= 1
            return reply("What was said.", usage=Usage(input=70, output=7)) if self._left >= 0 else ModelError()
        said, read = self._said(request), context_tokens(request)
        if not isinstance(said, str):
            return said
        return reply(said, usage=Usage(input=read, output=len(said) // 4, total_tokens=read + len(said) // 4))

    @property
    def asked(self) -> list[ModelRequest]:
        return [each for each in self.requests if not is_summary(each)]

    @property
    def summaries(self) -> list[ModelRequest]:
        return [each for each in self.requests if is_summary(each)]


def agent(**fields: Any) -> Any:
    given: dict[str, Any] = {
        "tools": [nap],
        "instructions": "",
        "compaction": Compaction(reserve_tokens=1000),
        **fields,
    }
    return create_agent(model=NAME, **given)


async def start(one: Machine, model: FunctionModel, **how: Any) -> Any:
    return (await one.start(models={NAME: model}, **how)).ref("agent", "u1")
