"""The tool ``read``."""

import tracemalloc

import pytest

from flue_actors.errors import SandboxFileError, ToolArgumentsError, ToolError
from flue_actors.toolset.reading import read, shown_file
from tests.toolset.sandboxes import desk

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


async def test_a_short_file_is_shown_whole() -> None:
    answer = await desk(a_txt="one\ntwo\n").call(read, path="a.txt")
    assert answer.text == "one\ntwo"
    assert answer.details == {"path": "a.txt", "lines": 2}


async def test_a_long_file_says_where_to_go_on() -> None:
    at = desk(a_txt="".join(f"{n}\n" for n in range(1, 5_001)))
    answer = await at.call(read, path="a.txt")
    assert answer.text.endswith("\n2000\n[lines 1-2000 of 5000; go on with offset=2001]")
    rest = await at.call(read, path="a.txt", offset=4_001)
    assert rest.text.startswith("4001\n")
    assert rest.text.endswith("5000")


async def test_a_part_is_lines_from_offset() -> None:
    answer = await desk(a_txt="a\nb\nc\nd\n").call(read, path="a.txt", offset=2, limit=2)
    assert answer.text == "b\nc\n[lines 2-3 of 4; go on with offset=4]"


async def test_reading_on_by_the_offsets_that_are_named_shows_every_line() -> None:
    lines = [f"{n:06} {'é' * (n % 90)}" for n in range(3_000)]
    at, seen, offset = desk(a_txt="\n".join(lines)), [], 1
    while offset:
        text = (await at.call(read, path="a.txt", offset=offset)).text
        shown, _, note = text.partition("\n[lines ")
        seen += shown.split("\n")
        offset = int(note.rpartition("=")[2].rstrip("]")) if "offset=" in note else 0
    assert seen == lines


async def test_limits_are_bytes_and_characters_stay_whole() -> None:
    answer = await desk(a_txt="€" * 60_000).call(read, path="a.txt")
    shown, note = answer.text.split("\n")
    assert shown == "€" * (51_200 // 3)
    assert note == "[line 1 of 1 is 180000 bytes long: its first 51198 are shown]"


async def test_an_offset_behind_the_end_is_an_error() -> None:
    with pytest.raises(ToolError, match="has 2 lines; there is no line 3"):
        await desk(a_txt="a\nb\n").call(read, path="a.txt", offset=3)


async def test_an_offset_counts_from_one() -> None:
    with pytest.raises(ToolArgumentsError):
        await desk(a_txt="a").call(read, path="a.txt", offset=0)


async def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SandboxFileError, match="nope"):
        await desk().call(read, path="nope")


async def test_a_directory_is_a_list_of_names() -> None:
    at = desk(a_txt="", b_txt="")
    at.sandbox.files["/work/sub/c"] = b""
    assert (await at.call(read, path=".")).text == "a.txt\nb.txt\nsub/"


async def test_a_picture_is_shown_as_a_picture() -> None:
    answer = await desk(a_png=PNG).call(read, path="a.png")
    assert [(image.mime_type, image.data) for image in answer.images] == [("image/png", PNG)]


@pytest.mark.parametrize("data", [b"\x7fELF\0\1", b"\x1f\x8b\x08\x01\xff\xfe", b"a\0b"])
async def test_a_binary_file_says_so(data: bytes) -> None:
    assert (
        await desk(a_bin=data).call(read, path="a.bin")
    ).text == f"a.bin is no text: a binary file of {len(data)} bytes."


async def test_an_empty_file_says_so_and_a_byte_order_mark_is_not_shown() -> None:
    at = desk(empty="", marked="\ufeffhi")
    assert (await at.call(read, path="empty")).text == "(empty file)"
    assert (await at.call(read, path="marked")).text == "hi"


async def test_the_lines_of_a_part_are_counted_also_where_the_last_is_empty() -> None:
    at = desk(a_txt="a\n\nb\n")
    answer = await at.call(read, path="a.txt", limit=2)
    assert answer.text == "a\n\n[lines 1-2 of 3; go on with offset=3]"
    assert (await at.call(read, path="a.txt")).text == "a\n\nb"


async def test_a_line_far_behind_the_beginning_is_found() -> None:
    at = desk(a_txt="".join(f"{n}\n" for n in range(1, 200_001)))
    answer = await at.call(read, path="a.txt", offset=123_456, limit=1)
    assert answer.text == "123456\n[lines 123456-123456 of 200000; go on with offset=123457]"


def test_a_large_file_takes_little_memory_beside_its_own() -> None:
    data = b"\n" * (8 << 20)
    tracemalloc.start()
    try:
        answer = shown_file("a.txt", data, 8 << 20, None)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.details["lines"] == 1
    assert most < len(data) // 8
