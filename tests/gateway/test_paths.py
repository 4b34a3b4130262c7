from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import InvalidRequestError, RouteNotFoundError
from flue_actors.gateway.paths import RawPath, decode_segment, instance_key, public_path, split_path
from flue_actors.ids import AgentKey


def key(raw: str, prefix: str = "") -> AgentKey:
    return instance_key(split_path(raw.encode(), prefix))


def test_a_path_names_an_agent_and_an_id() -> None:
    assert key("/agents/support/ticket-1") == AgentKey("support", "ticket-1")


def test_a_prefix_is_skipped_by_its_segments() -> None:
    assert key("/deep/api/agents/support/1", "/deep/api") == AgentKey("support", "1")


def test_what_follows_the_id_stays_as_it_was_sent() -> None:
    assert split_path(b"/agents/a/b/st%61tus", "").tail == (b"st%61tus",)


def test_an_encoded_slash_belongs_to_the_id() -> None:
    path = split_path(b"/agents/a/b%2Fstatus", "")
    assert path == RawPath(b"a", b"b%2Fstatus")
    assert instance_key(path).id == "b/status"


@pytest.mark.parametrize(
    "id", ["..", ".", "%2e%2e", "\0", "a\r\nx: y", "é", "e\u0301", "🙂", "a b", "+", "%", "A", "a"]
)
def test_ids_are_exact(id: str) -> None:
    assert key("/agents/a/" + quote(id, safe="")).id == id


@given(st.text(min_size=1, max_size=128).filter(lambda text: text.strip()))
def test_every_text_survives_the_path(id: str) -> None:
    assert key("/agents/a/" + quote(id, safe="")).id == id


@given(st.binary(max_size=60))
def test_a_segment_decodes_or_is_refused(raw: bytes) -> None:
    try:
        decoded = decode_segment(raw)
    except InvalidRequestError:
        return
    assert decode_segment(quote(decoded, safe="").encode()) == decoded


@pytest.mark.parametrize(
    "path", ["/", "", "/agents", "/agents/", "/agents/a", "/other/a/b", "/%61gents/a/b", "//agents/a/b"]
)
def test_another_path_is_no_route(path: str) -> None:
    with pytest.raises(RouteNotFoundError):
        key(path)


@pytest.mark.parametrize(
    "id", ["", "%20", "%09%0a", "%ff", "%c0%af", "%ed%a0%80", "%", "%2", "%zz", "a" * 513, "%F0%9F%99%82" * 129]
)
def test_an_impossible_id_is_refused(id: str) -> None:
    with pytest.raises(InvalidRequestError):
        key("/agents/a/" + id)


def test_an_id_of_512_bytes_is_the_longest() -> None:
    assert key("/agents/a/" + "%F0%9F%99%82" * 128).id == "🙂" * 128


def test_a_blank_agent_name_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        key("/agents//b")


@given(st.text(min_size=1, max_size=20).filter(str.strip), st.text(min_size=1, max_size=20).filter(str.strip))
def test_an_instances_own_path_leads_back_to_it(agent: str, id: str) -> None:
    path = public_path("", "/api", AgentKey(agent, id))
    assert path.isascii()
    assert key(path, "/api") == AgentKey(agent, id)


def test_an_instances_own_path_begins_where_a_framework_mounted_us() -> None:
    assert public_path("/my app/", "/api", AgentKey("a", "b/c?")) == "/my%20app/api/agents/a/b%2Fc%3F"
