"""Runs user code for an activation: each message and each hook in a Task and a context of its own."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flue_actors.actors.actor import PROXY_MESSAGES, Actor, overrides
from flue_actors.actors.children import Children
from flue_actors.actors.envelope import Envelope
from flue_actors.actors.handling import ENTERED, FENCED, JOINING, Handling, enter
from flue_actors.actors.refusals import parent_ended
from flue_actors.errors import DeadlineExceededError

if TYPE_CHECKING:
    from flue_actors.actors.activation import Activation

log = logging.getLogger(__name__)


def start_message(activation: "Activation", actor: Actor, envelope: Envelope) -> None:
    """Begin to handle ``envelope``; `Activation.ended` is called at the end."""
    core = activation.core
    core.tick = now = core.now()
    envelope.where = handling = Handling(activation, envelope, activation.epoch, now, envelope.lane, envelope.deadline)
    activation.running = (*activation.running, handling) if activation.running else (handling,)
    message = envelope.message
    function = actor.on_receive if type(message) not in PROXY_MESSAGES else actor.handle_proxy
    # Made by hand: loop.create_task() adds 0.4 us and nothing else.
    handling.task = asyncio.Task(
        _run(handling, function, message), loop=core.loop, name=activation.kind.name, context=core.context.copy()
    )


def start_hook(activation: "Activation", hook: Callable[[Any], Any], argument: Any, timeout: float) -> None:
    """Begin to run ``hook(argument)``, cancelled after ``timeout`` seconds; `Activation.ended` is called at the end."""
    core = activation.core
    handling = Handling(activation, None, activation.epoch, core.now())
    activation.running = (*activation.running, handling)
    handling.timer = core.loop.call_later(timeout, handling.interrupt, DeadlineExceededError)
    handling.task = asyncio.Task(
        _run(handling, hook, argument), loop=core.loop, name=activation.kind.name, context=core.context.copy()
    )


async def _run(handling: Handling, function: Callable[[Any], Any], argument: Any) -> None:
    enter(handling)
    value = None
    error: BaseException | None = handling.interrupted
    if error is None:
        handling.phase = ENTERED
        try:
            value = function(argument)
            if hasattr(value, "__await__"):
                value = await value
        except BaseException as exc:  # noqa: BLE001  # the one place that catches everything: see Handling.failure
            error = handling.failure(exc)
    if handling.children is not None and handling.phase != FENCED:
        error = await _join(handling, handling.children, error)
    if error is not None and handling.envelope is not None and ENTERED <= handling.phase <= JOINING:
        handling.envelope.settle(None, error)
        await _failed(handling, handling.envelope, error)
    handling.activation.ended(handling, value, error)
    error = None  # or the traceback's frame would keep itself alive


async def _join(handling: Handling, children: Children, error: BaseException | None) -> BaseException | None:
    handling.phase = JOINING
    if error is not None:
        children.abort(parent_ended)
    await children.join(parent_ended)
    return error if error is not None else handling.interrupted


async def _failed(handling: Handling, envelope: Envelope, error: BaseException) -> None:
    activation = handling.activation
    activation.count_failure(error)
    if handling.interrupted is not None:
        return
    level = logging.ERROR if envelope.reply_to is None else logging.INFO
    log.log(level, "A message to %s failed", activation.address, exc_info=error)
    actor = activation.actor
    if actor is None or handling.epoch != activation.epoch or not overrides(actor, "on_failure"):
        return
    try:
        directive = actor.on_failure(type(error), error, error.__traceback__)
        if hasattr(directive, "__await__"):
            directive = await directive
    except BaseException:
        log.exception("on_failure() of %s raised", activation.address)
        return
    if directive == "restart" and handling.phase != FENCED:
        activation.restart()
