"""How much an agent may use up, and when its conversations are summarised. Pure."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Caps on one message, and on everything an instance ever does. None = no cap of this kind.

    A message's subagents count with it. A cap is looked at between model calls: the call that crosses it is the last one.

    Attributes:
        turns: Model calls for one message (`Settings.max_turns` where None). Then: ``turn_limit``.
        tokens: Tokens for one message, in and out, cached ones too. Then: ``token_limit``.
        cost: US dollars for one message. A model without known prices is refused. Then: ``cost_limit``.
        seconds: Work on one message, in all attempts, waiting for approvals apart. Then: ``deadline_exceeded``.
        tool_output: Bytes of one tool's answer that the model is shown (50 KiB where None); the rest is cut.
        total_tokens: Tokens of all messages of an instance together. Then: ``instance_limit``.
        total_cost: US dollars of all messages of an instance together. Then: ``instance_limit``.
        last_answer: At ``turns``, ``tokens`` or ``cost`` ask the model once more, without tools, to answer with what it
            has; the message is then completed, with the cap as its stop reason. None = no, or for one prompt: as its agent.
    """

    turns: int | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    tool_output: int | None = None
    total_tokens: int | None = None
    total_cost: float | None = None
    last_answer: bool | None = None


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """When and how older messages are replaced by a summary. Defaults are Flue's.

    Attributes:
        automatic: After a message whose context came close to the model's window. Without it, only an overflow that the
            provider reports, or ``compact()``, does it.
        reserve_tokens: What has to stay free of the window: None = 20,000, or the model's longest reply if that is less.
        keep_recent_tokens: About how much of the newest messages stays as it is.
        model: Who summarises; None = the agent's model.
    """

    automatic: bool = True
    reserve_tokens: int | None = None
    keep_recent_tokens: int = 8000
    model: str | None = None
