"""Sums and results of an operation. Pure."""

import msgspec
from msgspec import UNSET

from flue_actors.errors import AbortedError, FlueError
from flue_actors.events import ModelName, PromptResult
from flue_actors.messages import AssistantMessage, Cost, TextContent, Usage, text_of
from flue_actors.storage import Outcome

ZERO = Usage(cost=Cost())


def add_usage(a: Usage, b: Usage) -> Usage:
    """Tokens and cost of both. The cost of a sum is unknown (None) as soon as one part's is."""
    return Usage(
        input=a.input + b.input,
        output=a.output + b.output,
        cache_read=a.cache_read + b.cache_read,
        cache_write=a.cache_write + b.cache_write,
        total_tokens=a.total_tokens + b.total_tokens,
        cost=None if a.cost is None or b.cost is None else _add_cost(a.cost, b.cost),
    )


def priced(usage: Usage) -> Usage:
    """The same, and nothing for a cost that is not known: what a cap on cost can go by."""
    return usage if usage.cost is not None else msgspec.structs.replace(usage, cost=Cost())


def _add_cost(a: Cost, b: Cost) -> Cost:
    return Cost(
        input=a.input + b.input,
        output=a.output + b.output,
        cache_read=a.cache_read + b.cache_read,
        cache_write=a.cache_write + b.cache_write,
        total=a.total + b.total,
    )


def prompt_result(last: AssistantMessage, usage: Usage, stop_reason: str | None) -> PromptResult:
    """What the caller of a prompt gets: the last reply's text, the whole operation's usage."""
    return PromptResult(
        text=text_of(last),
        usage=usage,
        model=ModelName(provider=last.provider, id=last.model),
        stop_reason=UNSET if stop_reason is None else stop_reason,
    )


def outcome_of(error: FlueError) -> Outcome:
    """How an input ends that ends with this error."""
    return "aborted" if isinstance(error, AbortedError) else "failed"


def cut_off_reply(text: str, api: str, provider: str, model: str, at: int) -> AssistantMessage:
    """A reply that ended in the middle. What it cost is not known."""
    return AssistantMessage(
        content=(TextContent(text=text),),
        api=api,
        provider=provider,
        model=model,
        usage=Usage(),
        stop_reason="aborted",
        timestamp=at,
    )
