"""Which bytes of the file mean nothing."""

from pathlib import Path

import pytest

from flue_actors.store.pages import Pages

SIZE = 16_384
LEAF, INDEX, OVERFLOW = 13, 10, 0


def page(kind: int, cells: int, start: int, header: int = 0) -> bytes:
    """A page full of text, whose first cell begins at ``start``."""
    fields = bytes([kind, 0, 0]) + cells.to_bytes(2, "big") + start.to_bytes(2, "big") + b"\0"
    text = bytearray(b"x" * SIZE)
    text[header : header + len(fields)] = fields
    text[16:18] = SIZE.to_bytes(2, "big") if header else b"xx"
    return bytes(text)


FIRST = page(LEAF, 0, SIZE - 1, header=100)


def test_the_gap_of_a_page_is_overwritten_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FIRST + page(LEAF, 3, 5_000) + page(INDEX, 0, 9))
    pages = Pages(tmp_path / "file")
    assert pages.unclean() == [0, 1, 2]
    pages.wipe([1, 2])
    assert pages.unclean() == [0]
    pages.close()
    after = (tmp_path / "file").read_bytes()
    assert after[:SIZE] == FIRST
    before = page(LEAF, 3, 5_000)
    assert after[SIZE : 2 * SIZE] == before[: 8 + 6] + bytes(5_000 - 14) + before[5_000:]
    assert after[2 * SIZE :] == page(INDEX, 0, 9)[:8] + b"\0" + b"x" * (SIZE - 9)


@pytest.mark.parametrize(
    "other",
    [page(OVERFLOW, 3, 5_000), page(1, 3, 5_000), page(255, 3, 5_000), page(LEAF, 3, SIZE + 1), page(LEAF, 3, 13)],
    ids=["overflow", "high_page_number", "unknown", "beyond_its_end", "overlapping"],
)
def test_what_is_no_sound_page_of_a_tree_is_left_as_it_is(other: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FIRST + other)
    pages = Pages(tmp_path / "file")
    assert pages.unclean() == [0]
    pages.wipe([1])
    pages.close()
    assert (tmp_path / "file").read_bytes() == FIRST + other
