"""The bounds of an actor system, all in one place; every queue and every wait has one."""

import msgspec


class ActorLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of one `ActorSystem`. Times are seconds.

    Attributes:
        mailbox_size: Messages that may wait for one actor.
        ingress: Messages from foreign threads that may wait for the event loop.
        passivate_after: An actor idle for this long leaves memory (to within a tenth).
        max_active: Beyond this many actors in memory, the least recently used idle ones leave.
        cancel_grace: What a cancelled message gets to end by itself before it is fenced.
        start_timeout: What `Actor.on_start` may take.
        stop_timeout: What `Actor.on_stop` may take.
        stop_grace: At the end of `ActorSystem.stop`, what cancelled messages get, and then the `on_stop` hooks.
        max_depth: How deep children may nest; an actor nobody spawned has depth 0.
        max_children: Children of one message that may work at the same time; others wait.
        restart_budget: Restarts of one actor within ``restart_window`` before it backs off.
        restart_window: See ``restart_budget``.
        backoff_first: The first pause; each further one doubles it.
        backoff_last: The longest pause.
        dead_letters: Dead letters kept for inspection.
        blocking_hosts: Threads that run blocking calls at the same time.
        blocking_queue: Blocking calls that may wait for a thread.
        blocking_abandoned: Threads left behind, past their deadline, before new blocking calls are refused.
    """

    mailbox_size: int = 1_024
    ingress: int = 100_000
    passivate_after: float = 900.0
    max_active: int = 10_000
    cancel_grace: float = 30.0
    start_timeout: float = 60.0
    stop_timeout: float = 30.0
    stop_grace: float = 5.0
    max_depth: int = 4
    max_children: int = 16
    restart_budget: int = 3
    restart_window: float = 60.0
    backoff_first: float = 0.5
    backoff_last: float = 30.0
    dead_letters: int = 256
    blocking_hosts: int = 32
    blocking_queue: int = 1_000
    blocking_abandoned: int = 64
