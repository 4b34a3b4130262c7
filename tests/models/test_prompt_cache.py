"""What a conversation costs on a server that bills by byte prefix."""

from flue_actors.messages import Message, SignalMessage, ToolCall
from flue_actors.models.protocol import ModelRequest
from tests.messages_api import MessagesServer
from tests.messages_api.cache import PromptCache
from tests.models.helpers import anthropic_model, asking, assistant, reply_of, result, tool, user

INSTRUCTIONS = "You answer briefly and kindly. " * 20
TOOLS = (tool("add", a={"type": "integer"}), tool("find", text={"type": "string"}))


def _request(history: list[Message], **fields: str) -> ModelRequest:
    given = {"instructions": INSTRUCTIONS, "instance_text": "id: u1, date: 2026-11-21"} | fields
    return asking(*history, tools=TOOLS, **given)


def _share_read(server: MessagesServer) -> float:
    tokens = [request.tokens for request in server.requests]
    return sum(t.cache_read for t in tokens) / sum(t.total for t in tokens)


async def test_of_fifty_turns_at_least_95_percent_of_the_input_is_read_from_cache() -> None:
    async with anthropic_model() as (model, server):
        history: list[Message] = []
        for number in range(50):
            history.append(user(f"Question {number}: " + "and some words to make it a usual length. " * 5))
            reply = await reply_of(model.client, _request(history))
            history.append(assistant(*reply.content))
        assert _share_read(server) >= 0.95


async def test_many_parallel_calls_still_find_the_earlier_prefix() -> None:
    async with anthropic_model() as (model, server):
        script = "\n".join(['call add {"a": 1}'] * 30)
        history: list[Message] = [user(script)]
        reply = await reply_of(model.client, _request(history))
        calls = [block for block in reply.content if isinstance(block, ToolCall)]
        history += [assistant(*calls), *(result(call.id, "1") for call in calls)]
        await reply_of(model.client, _request(history))
        first, second = (request.tokens for request in server.requests)
        assert second.cache_read == first.total


async def test_another_instance_shares_tools_and_instructions() -> None:
    async with anthropic_model() as (model, server):
        await reply_of(model.client, _request([user("hi")]))
        await reply_of(model.client, _request([user("hi")], instance_text="id: u2"))
        assert server.requests[1].tokens.cache_read > len(INSTRUCTIONS) // 4


async def test_a_signal_in_the_history_keeps_its_bytes() -> None:
    async with anthropic_model() as (model, server):
        signal = SignalMessage(type="note", content="<changed>", timestamp=0, attributes={"by": "ops"})
        history: list[Message] = [signal]
        for number in range(3):
            reply = await reply_of(model.client, _request(history))
            history += [assistant(*reply.content), user(f"and {number}?")]
        assert server.requests[-1].tokens.cache_read > server.requests[0].tokens.total


def _turn(text: str, *, mark: bool = True) -> dict[str, object]:
    block: dict[str, object] = {"type": "text", "text": text}
    return {"role": "user", "content": [block | ({"cache_control": {"type": "ephemeral"}} if mark else {})]}


def test_the_account_reads_only_what_an_earlier_request_marked() -> None:
    cache = PromptCache()
    unmarked = cache.account({"model": "m", "messages": [_turn("a" * 400, mark=False)]})
    assert (unmarked.cache_read, unmarked.cache_write) == (0, 0)
    first = cache.account({"model": "m", "messages": [_turn("a" * 400)]})
    assert (first.cache_read, first.fresh) == (0, 0)
    second = cache.account({"model": "m", "messages": [_turn("a" * 400), _turn("b" * 40)]})
    assert second.cache_read == first.cache_write
    assert second.fresh == 0


def test_the_account_looks_back_twenty_blocks_and_no_further() -> None:
    def read_after(blocks: int) -> int:
        cache = PromptCache()
        cache.account({"model": "m", "messages": [_turn("a" * 400)]})
        between = [_turn("x", mark=False)] * (blocks - 1)
        start = _turn("a" * 400, mark=False)
        return cache.account({"model": "m", "messages": [start, *between, _turn("end")]}).cache_read

    assert read_after(20) > 0
    assert read_after(21) == 0


def test_one_changed_byte_loses_everything_behind_it() -> None:
    cache = PromptCache()
    cache.account({"model": "m", "messages": [_turn("a" * 400)]})
    assert cache.account({"model": "m", "messages": [_turn("a" * 399 + "b")]}).cache_read == 0
    assert cache.account({"model": "other", "messages": [_turn("a" * 400)]}).cache_read == 0


def test_short_prefixes_are_not_cached_where_a_minimum_is_set() -> None:
    cache = PromptCache(min_tokens=1024)
    body = {"model": "m", "messages": [_turn("a" * 400)]}
    assert cache.account(body) == cache.account(body)
