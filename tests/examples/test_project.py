"""Every agent of the example project, as a caller meets it."""

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.served import Answer, Served

EVENT = {"ticketId": "ticket-8473", "commentId": "c1", "text": "Any news?"}


def text(answer: Answer) -> str:
    assert answer.status == 200, answer
    return answer.body["result"]["text"]


def sent_webhook(examples: Served, event: dict[str, Any] | bytes, secret: bytes = b"only-for-the-examples") -> Answer:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return examples.request("POST", "/webhooks/support-comments", body, X_Signature=signature)


def test_the_joke_teller_answers_over_http(examples: Served) -> None:
    assert text(examples.prompt("joke-teller", "http", "Hello!"))


def test_the_joke_teller_streams_over_a_websocket(examples: Served) -> None:
    frames = examples.prompt_over_socket("joke-teller", "socket", "Hello!")
    assert [frame["type"] for frame in frames if frame["type"] != "event"] == ["ready", "started", "result"]
    deltas = [frame["event"]["text"] for frame in frames if frame.get("event", {}).get("type") == "text_delta"]
    assert "".join(deltas) == frames[-1]["result"]["text"]


def test_the_support_assistants_tools_reach_the_ticket_of_its_id_and_no_other(examples: Served) -> None:
    assert "invoice" in text(examples.prompt("support-assistant", "ticket-8472", "call read_ticket"))
    assert "export" in text(examples.prompt("support-assistant", "ticket-8473", "call read_ticket"))


def test_the_support_assistant_writes_into_its_own_ticket(examples: Served) -> None:
    script = 'call add_comment {"text": "Called back."}'
    assert "Added." in text(examples.prompt("support-assistant", "ticket-1", script))
    assert "Called back." in text(examples.prompt("support-assistant", "ticket-1", "call read_ticket"))


def test_the_help_desk_has_the_tools_of_its_profile(examples: Served) -> None:
    answer = examples.prompt("help-desk", "visitor", 'call search_articles {"topic": "Billing"}')
    assert "first of the month" in text(answer)


def test_the_ticket_desk_lets_in_the_tickets_owner_only(examples: Served) -> None:
    assert examples.prompt("ticket-desk", "ticket-8472", "Hi").status == 401
    assert examples.prompt("ticket-desk", "ticket-8472", "Hi", Authorization="Bearer nonsense").status == 401
    assert examples.prompt("ticket-desk", "ticket-8472", "Hi", Authorization="Bearer token-of-bob").status == 404
    assert text(examples.prompt("ticket-desk", "ticket-8472", "Hi", Authorization="Bearer token-of-ada"))


def test_the_ticket_desks_refusal_is_the_guards_own_json(examples: Served) -> None:
    assert examples.prompt("ticket-desk", "ticket-8472", "Hi").body == {"error": "Unauthorized"}


def test_the_live_desk_answers_its_owner_over_a_websocket(examples: Served) -> None:
    frames = examples.prompt_over_socket("live-desk", "ticket-8473", "Hi", Authorization="Bearer token-of-bob")
    assert frames[-1]["type"] == "result"


def test_the_live_desk_refuses_a_handshake_with_json(examples: Served) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        examples.prompt_over_socket("live-desk", "ticket-8473", "Hi", Authorization="Bearer nonsense")
    assert refusal.value.response.status_code == 401
    assert json.loads(refusal.value.response.body or b"") == {"error": "Unauthorized"}


def test_the_live_desk_is_not_there_over_http(examples: Served) -> None:
    answer = examples.prompt("live-desk", "ticket-8473", "Hi", Authorization="Bearer token-of-bob")
    assert (answer.status, answer.body["error"]["type"]) == (404, "agent_not_found")


def test_a_webhook_is_accepted_and_reaches_the_ticket_it_is_about(examples: Served) -> None:
    answer = sent_webhook(examples, EVENT | {"ticketId": "ticket-from-webhook"})
    assert answer.status == 202
    assert {"dispatchId", "submissionId", "acceptedAt"} <= answer.body.keys()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        answer = examples.prompt("support-assistant", "ticket-from-webhook", "Hi", session="customer-follow-up")
        if "(3 messages)" in text(answer):
            return
    raise AssertionError(answer)


def test_a_webhook_without_the_right_signature_is_refused(examples: Served) -> None:
    assert sent_webhook(examples, EVENT, secret=b"guessed").status == 401


def test_a_signature_that_is_not_even_ascii_is_refused(examples: Served) -> None:
    answer = examples.request("POST", "/webhooks/support-comments", EVENT, X_Signature="\u00fcberzeugend")
    assert answer.status == 401


@pytest.mark.parametrize(
    "event",
    [EVENT | {"ticketId": 5}, EVENT | {"ticketId": ""}, EVENT | {"ticketId": " "}, {}, b"{", b'"\xff"'],
    ids=["a number", "empty", "blank", "nothing", "no JSON", "no UTF-8"],
)
def test_a_webhook_that_is_not_such_an_event_is_the_senders_mistake(
    examples: Served, event: dict[str, Any] | bytes
) -> None:
    assert sent_webhook(examples, event).status == 400


def test_what_dispatch_refuses_has_the_status_it_has_everywhere(examples: Served) -> None:
    answer = sent_webhook(examples, EVENT | {"ticketId": "x" * 600})
    assert (answer.status, answer.body["error"]["type"]) == (400, "invalid_request")
