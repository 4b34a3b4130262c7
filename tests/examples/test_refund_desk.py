"""The refund desk: small refunds run, large ones wait for somebody, over a restart too."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.served import Answer, Served, copy_of_examples, served

BOB = {"Authorization": "Bearer token-of-bob"}  # may ask
ADA = {"Authorization": "Bearer token-of-ada"}  # may approve


def refund(order: str, amount: int) -> str:
    return f'call refund {{"order": "{order}", "amount": {amount}}}'


def ask(server: Served, id: str, message: str) -> str:
    """Send it without waiting; its submission."""
    answer = server.request("POST", f"/agents/refund-desk/{id}", {"message": message}, Prefer="respond-async", **BOB)
    assert answer.status == 202, answer
    return answer.body["submissionId"]


def waiting(server: Served, id: str) -> dict[str, Any]:
    """The call that waits for a decision, as soon as there is one."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if calls := server.request("GET", f"/agents/refund-desk/{id}/approvals", **ADA).body["approvals"]:
            (call,) = calls
            return call
        time.sleep(0.02)
    raise AssertionError("nothing waits")


def decide(server: Served, id: str, call: dict[str, Any], body: dict[str, str], who: dict[str, str] = ADA) -> Answer:
    return server.request("POST", f"/agents/refund-desk/{id}/approvals/{call['id']}", body, **who)


def outcome(server: Served, id: str, submission: str) -> dict[str, Any]:
    return server.request("GET", f"/agents/refund-desk/{id}/submissions/{submission}?wait=10", **BOB).body


def test_a_small_refund_runs_at_once_and_only_once(examples: Served) -> None:
    first = examples.prompt("refund-desk", "small", refund("o1", 20), **BOB)
    again = examples.prompt("refund-desk", "small", refund("o1", 20), **BOB)
    assert "Refunded 20 euros for o1." in first.body["result"]["text"]
    assert "o1 was refunded before: 20 euros." in again.body["result"]["text"]


def test_a_refund_of_less_than_nothing_never_reaches_the_tool(examples: Served) -> None:
    answer = examples.prompt("refund-desk", "negative", refund("o1", -100), **BOB)
    assert "Refunded" not in answer.body["result"]["text"]


@pytest.mark.parametrize(
    ("decision", "verdict", "said"),
    [
        ({"decision": "approve"}, "approved", "Refunded 500 euros for o1."),
        ({"decision": "deny", "reason": "Ask the shop."}, "denied", "They say: Ask the shop."),
    ],
)
def test_a_large_refund_waits_over_a_restart_until_somebody_decides(
    tmp_path: Path, decision: dict[str, str], verdict: str, said: str
) -> None:
    folder = copy_of_examples(tmp_path)
    with served(folder) as server:
        submission = ask(server, "c1", refund("o1", 500))
        call = waiting(server, "c1")
        assert (call["toolName"], call["args"]) == ("refund", {"order": "o1", "amount": 500})
        assert server.request("GET", "/agents/refund-desk/c1/status", **BOB).body["state"] == "waiting"
        server.process.kill()
        server.process.wait()
    with served(folder) as server:
        assert waiting(server, "c1") == call
        assert decide(server, "c1", call, decision).body == {"approvalId": call["id"], "decision": verdict}
        found = outcome(server, "c1", submission)
        history = server.request("GET", "/agents/refund-desk/c1/sessions/default", **BOB).body["entries"]
    assert found["outcome"] == "completed"
    assert said in found["result"]["text"]
    (result,) = [entry["message"] for entry in history if entry["message"]["role"] == "toolResult"]
    assert result["details"]["approval"]["verdict"] == verdict
    assert "ada" not in str(result)


def test_whoever_asks_for_a_refund_cannot_approve_it(examples: Served) -> None:
    submission = ask(examples, "own", refund("o1", 500))
    call = waiting(examples, "own")
    assert decide(examples, "own", call, {"decision": "approve"}, BOB).status == 403
    assert examples.request("POST", f"/agents/refund-desk/own/approvals/{call['id']}", {}).status == 401
    assert decide(examples, "own", call, {"decision": "deny"}).status == 200
    assert decide(examples, "own", call, {"decision": "approve"}).status == 409
    assert "Refunded" not in outcome(examples, "own", submission)["result"]["text"]


def test_there_is_no_socket_on_which_a_customer_could_decide(examples: Served) -> None:
    answer = examples.request("GET", "/agents/refund-desk/socket", Upgrade="websocket", **ADA)
    assert answer.status >= 400
