"""Everything that takes work in and puts it away while a runtime runs: admission, delivery, removal, what was left before."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from flue_actors.actors import ActorSystem
from flue_actors.agent_ref import SubmissionInfo
from flue_actors.agents.settling import keep_for_its_agent, keep_for_next_start
from flue_actors.definition.guards import Principal
from flue_actors.errors import InterruptedTurnError
from flue_actors.ids import AgentKey
from flue_actors.inputs import Input
from flue_actors.intake.admission import Admission, Admitted, Sending
from flue_actors.intake.approvals import Approvals
from flue_actors.intake.delivery import Delivery
from flue_actors.intake.removal import Removal
from flue_actors.intake.retention import Retention, Sweeper
from flue_actors.owed import Owed
from flue_actors.receipts import info
from flue_actors.roster import Roster
from flue_actors.services import Services
from flue_actors.storage import Rename, Submission
from flue_actors.submissions import LiveInstances, Pending

logger = logging.getLogger("flue_actors.runtime")


class Intake:
    """Of one runtime, from its start to its stop.

    Attributes:
        approvals: Decisions on tool calls.

    Args:
        roster: The agents there are now.
    """

    def __init__(
        self,
        services: Services,
        system: ActorSystem,
        instances: LiveInstances,
        retention: Retention,
        roster: Callable[[], Roster],
    ) -> None:
        self._services = services
        self._roster = roster
        self._instances = instances
        self._parked: dict[str, list[Submission]] = {}  # by agents that are not there
        self._delivery = Delivery(services, system)
        self._admission = Admission(services, instances, self._delivery.deliver, self._delivery.stop)
        self.approvals = Approvals(services, instances, self._delivery.release)
        self._removal = Removal(services, instances, self._admission, self._delivery)
        self._sweeper = Sweeper(retention, services, live=instances.get, erase=self._removal.erase)

    @property
    def waiting(self) -> int:
        """How many instances have not begun with what an earlier process left."""
        return len(self._delivery.backlog)

    @property
    def parked(self) -> tuple[SubmissionInfo, ...]:
        """Accepted inputs of agents that are not defined any more."""
        return tuple([info(each) for parked in self._parked.values() for each in parked])

    def begin(self, left: Sequence[Submission]) -> None:
        """Take up what an earlier process accepted and did not settle, and keep only what is to be kept."""
        self._take_up(left)
        self._sweeper.start()

    def work_off(self) -> None:
        """Begin with what an earlier process left, a little at a time."""
        self._delivery.backlog.begin()

    def unpark(self) -> None:
        """There are new definitions: take up what waited for them."""
        names = self._roster().names
        self._take_up([each for name in names for each in self._parked.pop(name, ())])

    def park(self, inputs: Sequence[Pending]) -> None:
        """Put these away: their agent is not defined any more."""
        for each in inputs:
            self._parked.setdefault(each.submission.key.agent, []).append(each.submission)
            keep_for_its_agent(self._services, each)

    def suspended(self, pending: Pending) -> None:
        """It waits for somebody's decision."""
        if self._services.stopping():
            for each in (pending, *pending.joined()):
                keep_for_next_start(self._services, each)
        else:
            self.approvals.wait(pending)

    async def admit(self, key: AgentKey, session: str, given: Input, how: Sending) -> Admitted:
        """Accept an input; see `Admission.admit`."""
        return await self._admission.admit(key, session, given, how)

    async def send(
        self, key: AgentKey, session: str, given: Input, principal: Principal | None, idempotency_key: str
    ) -> None:
        """Accept what running work hands over: a detached task."""
        how = Sending(principal=principal, idempotency_key=idempotency_key)
        with suppress(InterruptedTurnError):  # it was accepted before, and is worked on after the stop that comes now
            await self.admit(key, session, given, how)

    def owe(self, key: AgentKey, session: str, given: Input, principal: Principal | None) -> Owed:
        """Accept an input with what it comes of; see `Admission.owe`."""
        return self._admission.owe(key, session, given, principal)

    async def abort(self, targets: Sequence[Pending], reason: str) -> int:
        """Have these aborted; see `Delivery.abort`."""
        return await self._delivery.abort(targets, reason)

    async def erase(self, key: AgentKey, session: str | None = None) -> None:
        """Remove a session or an instance; see `Removal.erase`."""
        await self._removal.erase(key, session)

    def worked(self, seconds: float) -> None:
        """An input took this long: Retry-After is estimated from it."""
        self._admission.worked(seconds)

    def close(self) -> None:
        """The runtime stops: what has not begun is left to the next start."""
        self._delivery.close()
        for pending in self._instances.left_alone():
            keep_for_next_start(self._services, pending)

    async def end(self) -> None:
        """Return when nothing is swept any more."""
        await self._sweeper.stop()
        await self.approvals.stop()

    async def settled(self) -> None:
        """Return when nothing is settled past its actor any more."""
        await self._delivery.end()

    def _take_up(self, left: Sequence[Submission]) -> None:
        """In the order of acceptance."""
        roster, here = self._roster(), list[Pending]()
        for submission in sorted(left, key=lambda each: each.attempt == 0):  # what was begun holds its session
            if submission.key.agent in roster:
                pending = self._admission.resume(submission)
                if submission.status == "waiting" and submission.abort is None:
                    self.approvals.wait(pending)
                else:
                    pending.suspended = False
                    here.append(pending)
            else:
                self._parked.setdefault(submission.key.agent, []).append(submission)
        for agent, parked in self._parked.items():
            logger.warning('%d inputs wait: there is no agent "%s" any more', len(parked), agent)
        if here:
            logger.warning("an earlier process left %d inputs; they are worked on now", len(here))
        self._delivery.backlog.hold(here)


async def left_before(services: Services, roster: Roster) -> list[Submission]:
    """What an earlier process accepted and did not settle. What instances had under an alias is theirs under their name.

    Raises:
        StoreError: The store cannot be used.
    """
    renames = [Rename(old=old, new=new) for old, new in roster.aliases]
    if renames:
        await services.store.commit(services.fence, *renames)
    return await services.store.unsettled()
