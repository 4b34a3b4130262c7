"""Replies of a `ScriptedModel` that do not end by themselves."""

import asyncio
from collections.abc import AsyncIterator

from flue_actors.models.protocol import ModelEvent, ModelRequest, TextDelta


async def hang(_: ModelRequest) -> AsyncIterator[ModelEvent]:
    """Say nothing."""
    await asyncio.Event().wait()
    yield TextDelta("never")


async def half(_: ModelRequest) -> AsyncIterator[ModelEvent]:
    """Say half of it."""
    yield TextDelta("The answer ")
    yield TextDelta("is ")
    await asyncio.Event().wait()
