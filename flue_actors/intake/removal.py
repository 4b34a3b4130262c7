"""Removing conversations and whole instances: what runs in them is aborted first, and nothing comes in meanwhile."""

import asyncio

from flue_actors.errors import ActorError, DrainingError, FlueError, InterruptedTurnError
from flue_actors.ids import AgentKey
from flue_actors.intake.admission import Admission
from flue_actors.intake.delivery import Delivery
from flue_actors.services import Services
from flue_actors.storage import Erase
from flue_actors.submissions import LiveInstances


class Removal:
    """Erases through the store."""

    def __init__(
        self,
        services: Services,
        instances: LiveInstances,
        admission: Admission,
        delivery: Delivery,
    ) -> None:
        self._services = services
        self._instances = instances
        self._admission = admission
        self._delivery = delivery

    async def erase(self, key: AgentKey, session: str | None = None) -> None:
        """Abort and remove one session, or (None) the whole instance. Nothing of it is left when it returns.

        Raises:
            DrainingError: The runtime stops.
            StoreError: Refused; what ran was aborted all the same.
        """
        self._admission.close(key)
        try:
            await self._abort(key, session)
            await self._forget(key, session)
            await self._services.store.commit(self._services.fence, Erase(key=key, session=session))
            feed = self._instances.feeds.get(key)
            if feed is not None:
                feed.end(session)
        finally:
            self._admission.reopen(key)

    async def _abort(self, key: AgentKey, session: str | None) -> None:
        while (live := self._instances.get(key)) is not None and (left := live.below(session)):
            await self._delivery.abort(left, "erased")
            if self._services.stopping():
                raise DrainingError
            for each in left:
                try:
                    await each.result()
                except FlueError:
                    await asyncio.sleep(0)
            await live.decided()

    async def _forget(self, key: AgentKey, session: str | None) -> None:
        try:
            await self._delivery.forget(key, session)
        except (ActorError, InterruptedTurnError) as error:
            if self._services.stopping():
                raise DrainingError from error
            raise
