from hypothesis import given
from hypothesis import strategies as st

from flue_actors.messages import ToolCall
from flue_actors.models.anthropic.body import request_body
from flue_actors.models.attachments import Base64Cache
from flue_actors.models.call_names import safe_id, safe_name
from flue_actors.models.catalog import UNKNOWN
from flue_actors.models.http_client import Outgoing
from flue_actors.models.openai.body import chat_body
from tests.completions_api import validation as completions
from tests.messages_api import validation as messages
from tests.models.helpers import asking, assistant, result

KIMI = ToolCall(id="functions.add:0", name="functions.add", arguments={})
OTHER = Outgoing(own=False, affinity="", cache=Base64Cache())


def test_what_is_plain_stays_as_it_is() -> None:
    assert safe_id("toolu_01-A") == "toolu_01-A"
    assert safe_name("read_file") == "read_file"


@given(st.text(max_size=80), st.text(max_size=80))
def test_different_ids_stay_different_and_are_of_plain_characters(one: str, other: str) -> None:
    assert (safe_id(one) == safe_id(other)) == (one == other)
    assert 0 < len(safe_id(one)) <= 64
    assert safe_id(one).replace("-", "_").replace("_", "a").isalnum()


def test_an_odd_call_of_one_provider_can_be_sent_to_another() -> None:
    said = assistant(KIMI, api="openai-completions", model="kimi")
    request = asking("go", said, result(KIMI.id, "3"))
    body = request_body(request, UNKNOWN)
    assert messages.refusal(body) is None
    assert body["messages"][1]["content"][0]["name"] == "functions_add"


def test_a_server_gets_its_own_ids_back_and_others_plain_ones() -> None:
    own = assistant(KIMI, api="openai-completions", model="kimi")
    other = assistant(ToolCall(id="a.b", name="", arguments={}), api="scripted", model="echo")
    body = chat_body(asking("go", own, result(KIMI.id, "3"), other, result("a.b", "4")), UNKNOWN, OTHER)
    assert completions.refusal(body, own=False) is None
    calls = [message["tool_calls"][0] for message in body["messages"] if message["role"] == "assistant"]
    assert calls[0]["id"] == KIMI.id
    assert calls[1]["id"] == safe_id("a.b")
    assert calls[1]["function"]["name"] == "_"
