"""Between accepted inputs and their actors: into the mailbox, out of it when they are aborted, and settled in any case."""

import asyncio
import contextvars
import logging
from collections.abc import Sequence
from typing import Any

from flue_actors.actors import ActorSystem
from flue_actors.agents.actor import Forget
from flue_actors.agents.settling import aborted, keep_for_next_start, settle_unworked
from flue_actors.errors import ActorUnavailableError, FlueError, InternalError, StoreUnavailableError, TurnError
from flue_actors.ids import TASK_PREFIX, AgentKey
from flue_actors.intake.backlog import Backlog
from flue_actors.services import Services
from flue_actors.storage import RequestAbort
from flue_actors.submissions import Pending

logger = logging.getLogger("flue_actors.delivery")


class Delivery:
    """Hands inputs to their actors."""

    def __init__(self, services: Services, system: ActorSystem) -> None:
        self._services = services
        self._system = system
        self._settling: set[asyncio.Task[None]] = set()
        self._refused: dict[AgentKey, list[Pending]] = {}  # by actors that pause after failures
        self.backlog = Backlog(self._post)

    def deliver(self, pending: Pending) -> None:
        """Put a new input into its instance's mailbox, behind what the instance has left from before."""
        self.backlog.take_up(pending.submission.key)
        refused = self._refused.get(pending.submission.key)
        if refused is None:
            self._post(pending)
        else:
            refused.append(pending)

    async def abort(self, targets: Sequence[Pending], reason: str) -> int:
        """Have these aborted; returns how many. The wish is durable when it returns.

        Raises:
            StoreError: Nothing was aborted.
        """
        if not targets:
            return 0
        ids = tuple([each.submission_id for each in targets])
        await self._services.store.commit(self._services.fence, RequestAbort(submission_ids=ids, reason=reason))
        for each in targets:
            self.stop(each, reason)
        return len(targets)

    def stop(self, pending: Pending, reason: str) -> None:
        """Stop the work on an input whose abort is durable. One that joined another's turn takes that one with it."""
        pending = pending.host or pending
        if pending.settled:
            return
        pending.abort = pending.abort or reason
        submission = pending.submission
        self.backlog.take_up(submission.key)
        if pending.suspended:
            self.release(pending)  # its actor sees the wish
            return
        if pending.held is not None:
            self._post(pending)
        if pending.resumed and not pending.started_at:
            return  # its actor sees the wish when it takes it up, and settles it with what there is of it
        self._system.ref(submission.key.agent, submission.key.id).abort(submission.id, reason=reason)

    def release(self, pending: Pending) -> None:
        """Work on a suspended input again, and after it on those that its actor left alone because of it."""
        if pending.suspended:
            pending.suspended, pending.due = False, True
            self._post(pending)
            self._take_up_held(pending)

    async def forget(self, key: AgentKey, session: str | None) -> None:
        """Have the actor keep nothing in memory of this session, or (None) of any."""
        await self._system.ref(key.agent, key.id).ask(Forget(session))

    def close(self) -> None:
        """The runtime stops: what has not begun is left to the next start."""
        refused = [each for left in self._refused.values() for each in left]
        self._refused.clear()
        for pending in (*self.backlog.close(), *refused):
            keep_for_next_start(self._services, pending)

    async def end(self) -> None:
        """Give what is being settled here ``settings.cancel_grace`` to get there; the rest is left to the next start."""
        if self._settling:
            await asyncio.wait(self._settling, timeout=self._services.settings.cancel_grace)
        for task in self._settling:
            task.cancel()
        if self._settling:
            await asyncio.wait(self._settling)

    def _post(self, pending: Pending) -> None:
        """However the mailbox ends it, it gets settled."""
        pending.held = None
        pending.posted += 1
        submission = pending.submission
        ask = self._system.ref(submission.key.agent, submission.key.id).ask
        # Nobody waits for what is dispatched: sent from inside a turn, it is no part of that turn. A prompt is.
        detached = submission.session.startswith(TASK_PREFIX)
        alone = submission.kind == "dispatch" or detached or pending.resumed
        place = contextvars.Context() if alone else contextvars.copy_context()
        reply = place.run(ask, pending, message_id=submission.id)
        reply.future.add_done_callback(lambda reply: self._answered(pending, reply))

    def _answered(self, pending: Pending, reply: "asyncio.Future[Any]") -> None:
        error = reply.exception()
        pending.posted -= 1
        if isinstance(error, ActorUnavailableError) and error.retry_after and not self._services.stopping():
            self._post_later(pending, error.retry_after)
            return
        left_alone = pending.posted or (error is None and (pending.held or pending.suspended))
        if not (pending.settled or pending.joins or left_alone):
            self._end(pending, error)
        if pending.settled and pending.holds:
            self._take_up_held(pending)  # they came to the actor while it was in its mailbox once more
        if pending.held is not None and not (pending.held.suspended or pending.posted):
            self._post(pending)  # that one went on meanwhile
        self.backlog.ended(pending)

    def _post_later(self, pending: Pending, seconds: float) -> None:
        """Its actor pauses after failures of its own: that is nothing the input should fail for."""
        key = pending.submission.key
        if key not in self._refused:
            self._refused[key] = []
            asyncio.get_running_loop().call_later(seconds, self._post_refused, key)
        self._refused[key].append(pending)

    def _post_refused(self, key: AgentKey) -> None:
        for pending in sorted(self._refused.pop(key, ()), key=lambda each: each.submission.seq):
            if not pending.settled:
                self._post(pending)

    def _take_up_held(self, behind: Pending) -> None:
        """What was left alone because of this one takes its turn, in the order of acceptance."""
        for each in tuple(behind.instance.unsettled.values()):
            if each.held is behind:
                self._post(each)

    def _end(self, pending: Pending, error: BaseException | None) -> None:
        if self._services.stopping():
            for each in (pending, *pending.joined()):
                keep_for_next_start(self._services, each)
            return
        task = asyncio.ensure_future(settle_unworked(self._services, pending, self._failure(pending, error)))
        for under_way in (self._settling, pending.instance.settling):
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        task.add_done_callback(lambda task: self._ended(pending, task))

    def _ended(self, pending: Pending, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            for each in (pending, *pending.joined()):
                keep_for_next_start(self._services, each)
        self._take_up_held(pending)  # its time was over as it began to wait

    def _failure(self, pending: Pending, error: BaseException | None) -> FlueError:
        """What a submission that its actor could not settle is settled with."""
        if pending.abort is not None:
            return aborted(pending.abort)
        if isinstance(error, TurnError | StoreUnavailableError):
            return error
        if error is not None:
            logger.error("an accepted input could not be worked on", exc_info=error)
        return InternalError(dev=repr(error))
