"""thin, replaced soon"""
import msgspec
class Settings(msgspec.Struct, frozen=True, kw_only=True):
    max_turns: int = 50
    tool_timeout: float = 120
    stream_idle_timeout: float = 120
    max_queued: int = 1000
    max_pending: int = 100_000
    drain_timeout: float = 30
    passivate_after: float = 900
    max_active: int = 10_000
    cancel_grace: float = 30
