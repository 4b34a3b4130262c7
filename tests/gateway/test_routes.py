"""The route table's own rules, without a server."""

import pytest

from flue_actors.errors import RouteNotFoundError
from flue_actors.gateway.resources.routes import ROUTES, find_route


def test_a_path_without_a_parameter_is_found_as_it_stands() -> None:
    assert find_route(()) == (ROUTES[()], b"")
    assert find_route((b"sessions",)) == (ROUTES[(b"sessions",)], b"")


@pytest.mark.parametrize("name", [b"default", b"a%2Fb", b"..", b"*", b"None", b"%zz", b"\xff"])
def test_a_parameter_is_one_whole_segment_as_it_was_sent(name: bytes) -> None:
    route, parameter = find_route((b"sessions", name))
    assert set(route.methods) == {"GET", "DELETE"}
    assert parameter == name


@pytest.mark.parametrize(
    "tail",
    [
        (b"",),
        (b"nothing",),
        (b"sessions", b""),
        (b"submissions",),
        (b"sessions", b"a", b""),
        (b"sessions", b"a", b"b"),
        (b"s%65ssions", b"a"),
        (b"SESSIONS",),
        (b"status", b"a"),
    ],
)
def test_anything_else_is_no_route(tail: tuple[bytes, ...]) -> None:
    with pytest.raises(RouteNotFoundError):
        find_route(tail)


def test_a_parameter_stands_at_the_end_of_a_route_and_nowhere_else() -> None:
    assert [tail for tail in ROUTES if None in tail[:-1]] == []
