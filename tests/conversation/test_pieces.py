"""What is kept of a reply that a crash cut off."""

from flue_actors.conversation.resumption import resumption
from flue_actors.storage import JournalRow


def row(name: str, body: bytes, after: int = 1) -> JournalRow:
    return JournalRow(kind="text", name=name, body=body, after=after, spent_ms=0, attempt=1)


def kept(*rows: JournalRow) -> str | None:
    partial = resumption((), rows, last_seq=1, spent_ms=0).partial
    return None if partial is None else partial.text


def test_the_pieces_are_kept_in_their_order() -> None:
    assert kept(row("turn_a/1", b"two "), row("turn_a/0", b"one "), row("turn_a/2", b"three")) == "one two three"


def test_what_stands_behind_a_missing_piece_is_not_kept() -> None:
    assert kept(row("turn_a/0", b"one "), row("turn_a/2", b"three")) == "one "
    assert kept(row("turn_a/1", b"two ")) is None


def test_a_piece_that_was_written_twice_counts_once() -> None:
    assert kept(row("turn_a/0", b"one "), row("turn_a/0", b"one ")) == "one "


def test_only_the_last_try_counts() -> None:
    assert kept(row("turn_a/0", b"void"), row("turn_b/0", b"kept")) == "kept"


def test_pieces_of_a_reply_that_stands_elsewhere_are_left_out() -> None:
    assert kept(row("turn_a/0", b"old", after=0)) is None
