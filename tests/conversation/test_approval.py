"""Decisions on tool calls: what they are bound to, and what the model is told."""

import msgspec

from flue_actors.conversation.approval import (
    Approval,
    Decision,
    approval_id,
    arguments_hash,
    decided,
    decode_approval,
    denial,
    encode_approval,
    named,
)
from flue_actors.messages import ToolCall
from tests.conversation.build import call

CALL = call("c1", "pay", amount=5, to="ada")
YES = Decision(verdict="approved", at=1, by="bob")


def approval(of: ToolCall, decision: Decision | None = YES) -> Approval:
    return Approval(
        id="c1",
        session="default",
        tool_name=of.name,
        tool_call_id=of.id,
        arguments=of.arguments,
        arguments_hash=arguments_hash(of),
        requested_at=1,
        expires_at=2,
        decision=decision,
    )


def found(known: Approval | None, of: ToolCall) -> Decision | None:
    return decided(known, of, arguments_hash(of))


def test_a_decision_holds_for_exactly_the_call_it_was_made_for() -> None:
    assert found(approval(CALL), CALL) == YES
    others = [call("c2", "pay", amount=5, to="ada"), call("c1", "pay", amount=6, to="ada"), call("c1", "pay", amount=5)]
    others.append(call("c1", "send", amount=5, to="ada"))
    assert [found(approval(CALL), each) for each in others] == [None] * 4


def test_without_a_decision_there_is_none() -> None:
    assert found(None, CALL) is None
    assert found(approval(CALL, None), CALL) is None


def test_the_order_of_the_arguments_is_no_difference() -> None:
    assert arguments_hash(CALL) == arguments_hash(call("c1", "pay", to="ada", amount=5))


def test_no_two_calls_are_called_the_same_though_models_repeat_their_ids() -> None:
    here = ("s1", "default", 3)
    ids = {approval_id(CALL, arguments_hash(CALL), *place) for place in (here, ("s2", *here[1:]), ("s1", "task:t", 3))}
    ids.add(approval_id(CALL, arguments_hash(CALL), "s1", "default", 5))
    ids.add(approval_id(CALL, arguments_hash(call("c1", "pay", amount=6)), *here))
    assert len(ids) == 5
    assert {id.partition(".")[0] for id in ids} == {"c1"}
    assert approval_id(CALL, arguments_hash(CALL), *here) in ids


def test_a_call_may_be_named_by_its_own_id_where_that_is_one_calls_only() -> None:
    assert named("c1", ["c1.a", "c2.b"]) == "c1.a"
    assert named("c1.a", ["c1.a", "c1.b"]) == "c1.a"
    assert named("c1", ["c1.a", "c1.b"]) is None
    assert named("c1", ["c1.a.b", "c1.a"]) == "c1.a"
    assert named("c", ["c1.a"]) is None


def test_the_model_is_told_why_a_call_did_not_run() -> None:
    no = Decision(verdict="denied", at=1, by="bob")
    assert denial(no) == "Not run: it was not approved."
    assert denial(msgspec.structs.replace(no, reason="too much")).endswith("They say: too much")
    assert "nobody decided in time" in denial(msgspec.structs.replace(no, expired=True))
    assert "bob" not in denial(no)


def test_a_row_is_read_as_it_was_written() -> None:
    for each in (approval(CALL), approval(CALL, None)):
        assert decode_approval(encode_approval(each)) == each
