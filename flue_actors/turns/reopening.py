"""Reading back what an interrupted input has come to, and patience with a store that cannot be read for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from flue_actors.conversation.resumption import Resumption, resumption
from flue_actors.errors import StoreUnavailableError
from flue_actors.services import Services
from flue_actors.session import Session
from flue_actors.storage import Submission
from flue_actors.turns.recording import pauses

logger = logging.getLogger("flue_actors.reopening")

P = ParamSpec("P")
T = TypeVar("T")


async def patiently(ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """The answer of the store, as soon as it can be used.

    Raises:
        StoreError: Another one than `StoreUnavailableError`.
    """
    waits = pauses()
    while True:
        try:
            return await ask(*args, **kwargs)
        except StoreUnavailableError:
            pause = next(waits)
            logger.warning("the store cannot be used; tried again in %g s", pause)
        await asyncio.sleep(pause)


async def reopen(services: Services, submission: Submission) -> tuple[Session, Resumption]:
    """The session of a submission that was begun, and what came of it so far.

    Raises:
        StoreError: Another one than `StoreUnavailableError`.
    """
    session, entries = await patiently(Session.load, services.store, submission.key, submission.session)
    journal = await patiently(services.store.journal, submission.id)
    mine = [entry for entry in entries if entry.submission_id == submission.id]
    return session, resumption(mine, journal, spent_ms=submission.spent_ms)
