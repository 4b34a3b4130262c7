"""What models call the tools."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.ids import is_name
from flue_actors.mcp.naming import LONGEST, tool_name


@pytest.mark.parametrize(
    ("server", "tool", "name"),
    [
        ("github", "list_issues", "mcp__github__list_issues"),
        ("My Server", "a.b/c", "mcp__My_Server__a_b_c"),
        ("_x_", "__y", "mcp__x__y"),
        ("  ", "é", "mcp__unnamed__unnamed"),
    ],
)
def test_names_keep_letters_digits_underscores_and_hyphens(server, tool, name):
    assert tool_name(server, tool) == name


def test_a_long_name_is_cut_and_two_that_differ_late_stay_different():
    one, two = tool_name("server", "x" * 80 + "1"), tool_name("server", "x" * 80 + "2")
    assert len(one) == len(two) == LONGEST
    assert one != two
    assert one == tool_name("server", "x" * 80 + "1")


@given(st.text(), st.text())
def test_every_name_is_one_that_agents_and_providers_take(server, tool):
    name = tool_name(server, tool)
    assert is_name(name)
    assert len(name) <= LONGEST
