import base64

from flue_actors.messages import FileContent, ImageContent
from flue_actors.models.attachments import Attachments, Base64Cache, gone

PICTURE = ImageContent(attachment="p", mime_type="image/png", size=3)
FILE = FileContent(attachment="f", mime_type="text/plain", size=3, name="notes.txt")


def test_bytes_are_encoded_once_and_kept() -> None:
    cache = Base64Cache()
    first = cache.encoded("p", b"abc")
    assert first == base64.b64encode(b"abc").decode()
    assert cache.encoded("p", b"abc") is first


def test_the_least_recently_used_is_forgotten_first() -> None:
    cache = Base64Cache(most=8)
    one, two = cache.encoded("1", b"abc"), cache.encoded("2", b"def")
    cache.encoded("1", b"abc")
    cache.encoded("3", b"ghi")
    assert cache.encoded("1", b"abc") is one
    assert cache.encoded("2", b"def") is not two


def test_what_is_larger_than_the_cache_is_encoded_each_time() -> None:
    cache = Base64Cache(most=2)
    assert cache.encoded("p", b"abc") == cache.encoded("p", b"abc")
    assert cache.encoded("p", b"abc") is not cache.encoded("p", b"abc")


def test_bytes_that_are_gone_are_none_and_have_words_instead() -> None:
    attachments = Attachments({}, Base64Cache())
    assert attachments.base64(PICTURE) is None
    assert attachments.text(FILE) is None
    assert "no longer available" in gone(PICTURE)
    assert "notes.txt" in gone(FILE)


def test_a_text_file_is_read_even_where_it_is_not_utf_8() -> None:
    assert Attachments({"f": b"caf\xe9"}, Base64Cache()).text(FILE) == "caf\ufffd"
