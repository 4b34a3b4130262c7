"""What is shown of a long text, for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.toolset.truncation import BYTES, LINES, clipped, head, tail

TEXTS = st.text(alphabet=st.sampled_from("aé€😀\n\r "), max_size=200)
LIMITS = st.integers(1, 12), st.integers(4, 60)


@given(TEXTS, *LIMITS)
def test_a_head_is_a_beginning_within_the_limits(text: str, lines: int, size: int) -> None:
    shown = head(text, lines=lines, size=size)
    assert text.startswith(shown.text)
    assert shown.lines <= lines
    assert len(shown.text.encode()) <= size


@given(TEXTS, *LIMITS)
def test_a_tail_is_an_end_within_the_limits(text: str, lines: int, size: int) -> None:
    shown = tail(text, lines=lines, size=size)
    assert text.endswith(shown.text)
    assert shown.lines <= lines
    assert len(shown.text.encode()) <= size


@given(TEXTS, *LIMITS)
@pytest.mark.parametrize("cut", [head, tail])
def test_something_is_left_out_only_when_it_does_not_fit(cut, text: str, lines: int, size: int) -> None:
    shown = cut(text, lines=lines, size=size)
    fits = len(text.encode()) <= size and shown.total_lines <= lines
    assert shown.is_cut != fits
    assert bool(shown.text) == bool(text)


@given(TEXTS, *LIMITS)
def test_a_head_ends_with_a_whole_line_unless_one_line_alone_is_too_long(text: str, lines: int, size: int) -> None:
    shown = head(text, lines=lines, size=size)
    assert not shown.is_cut or shown.text.endswith("\n") or text[len(shown.text)] == "\n" or shown.lines == 1


@given(TEXTS, *LIMITS)
def test_a_tail_begins_with_a_whole_line_unless_one_line_alone_is_too_long(text: str, lines: int, size: int) -> None:
    shown = tail(text, lines=lines, size=size)
    assert not shown.is_cut or text[: -len(shown.text)].endswith("\n") or shown.lines == 1


@given(TEXTS, st.integers(1, 40))
def test_a_clipped_line_is_its_beginning_in_bytes(text: str, size: int) -> None:
    found = clipped(text, size)
    assert found == text or (found.endswith("...") and text.startswith(found[:-3]) and len(found.encode()) <= size + 3)


def test_the_limits_are_two_thousand_lines_and_fifty_kilobytes() -> None:
    assert head("x\n" * 3_000).lines == LINES
    assert len(tail("x" * 99_999).text) == BYTES
