"""The tools ``write`` and ``edit``."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import ToolError
from flue_actors.toolset.writing import edit, replaced, write
from tests.toolset.sandboxes import desk


async def test_write_says_how_many_bytes_it_wrote() -> None:
    at = desk()
    answer = await at.call(write, path="a/b.txt", content="é\n")
    assert at.sandbox.files["/work/a/b.txt"] == b"\xc3\xa9\n"
    assert answer.text == "Wrote 3 bytes to a/b.txt."
    assert answer.details == {"path": "a/b.txt", "size": 3}


async def test_edit_replaces_the_only_place() -> None:
    at = desk(a_txt="one two three")
    answer = await at.call(edit, path="a.txt", oldText="two", newText="2")
    assert at.sandbox.files["/work/a.txt"] == b"one 2 three"
    assert answer.text == "Edited a.txt: 1 replacement."


async def test_edits_of_one_file_wait_for_each_other() -> None:
    at = desk(a_txt=" ".join(f"<{n}>" for n in range(20)))
    await asyncio.gather(*(at.call(edit, path="a.txt", oldText=f"<{n}>", newText=str(n)) for n in range(20)))
    assert at.sandbox.files["/work/a.txt"].decode() == " ".join(str(n) for n in range(20))


async def test_a_file_that_is_no_text_is_not_edited() -> None:
    with pytest.raises(ToolError, match="not UTF-8"):
        await desk(a_bin=b"\xff\xfe").call(edit, path="a.bin", oldText="a", newText="b")


@pytest.mark.parametrize("new", ["$&", "$1", r"\1", r"\g<0>", "$$", "$`"])
def test_what_means_something_to_regular_expressions_is_just_text(new: str) -> None:
    assert replaced("a.b", ".", new) == (f"a{new}b", 1)


def test_a_piece_that_is_not_there_or_not_alone_is_refused() -> None:
    with pytest.raises(ToolError, match="not found"):
        replaced("abc", "x", "y")
    with pytest.raises(ToolError, match="occurs 2 times"):
        replaced("aa", "a", "b")
    assert replaced("aa", "a", "b", every=True) == ("bb", 2)


def test_an_edit_that_changes_nothing_is_refused() -> None:
    with pytest.raises(ToolError, match="the same"):
        replaced("a", "a", "a", every=True)
    with pytest.raises(ToolError, match="empty"):
        replaced("a", "", "b")


def test_line_ends_stay_as_the_file_has_them() -> None:
    assert replaced("a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz") == ("x\r\ny\r\nz\r\nc\r\n", 1)
    assert replaced("a\r\nb\r\n", "b", "x\ny") == ("a\r\nx\r\ny\r\n", 1)
    assert replaced("a\nb\r\nc", "a", "x\ny") == ("x\ny\nb\r\nc", 1)


def test_a_byte_order_mark_stays() -> None:
    assert replaced("\ufeffab", "a", "x") == ("\ufeffxb", 1)


@given(st.text("ab\r\n$\\", max_size=30), st.text("ab$\\", min_size=1, max_size=3), st.text("ab$\\", max_size=4))
def test_a_replacement_is_that_of_plain_strings(text: str, old: str, new: str) -> None:
    if old in text and old != new:
        assert replaced(text, old, new, every=True) == (text.replace(old, new), text.count(old))


def test_an_edit_makes_no_file_that_is_too_large() -> None:
    with pytest.raises(ToolError, match="larger than 32 MiB"):
        replaced("a" * 70_000, "a", "b" * 500, every=True)
    assert len(replaced("a" * 60_000, "a", "b" * 500, every=True)[0]) == 30_000_000


async def test_a_large_file_is_edited_beside_the_loop() -> None:
    at, started = desk(a_txt="x y\n" * 2_000_000), []

    async def count() -> None:
        while True:
            started.append(time.perf_counter())
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await at.call(edit, path="a.txt", oldText="x y\n", newText="z y\n", replaceAll=True)
    counting.cancel()
    assert len(started) > 100
    assert at.sandbox.files["/work/a.txt"].startswith(b"z y\n")
