"""What models read of a result."""

import base64

import mcp_types as types
import pytest

from flue_actors.definition.attaching import MOST
from flue_actors.errors import ToolError
from flue_actors.mcp.content import answer_of

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()


def answer(*content, structured=None):
    return answer_of(types.CallToolResult(content=list(content), structured_content=structured))


def text(words):
    return types.TextContent(text=words)


def image(data=PNG, kind="image/png"):
    return types.ImageContent(data=data, mime_type=kind)


def test_structured_content_comes_first():
    assert answer(text("done"), structured={"ä": [1]}).text == '{\n  "ä": [\n    1\n  ]\n}\n\ndone'


def test_text_that_repeats_the_structured_content_is_left_out():
    assert answer(text('{"a":1}'), structured={"a": 1}).text == '{\n  "a": 1\n}'


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        (types.AudioContent(data="QUJD", mime_type="audio/wav"), "[Audio: audio/wav, 4 base64 chars]"),
        (image("QUJD", "image/tiff"), "[Image: image/tiff, 4 base64 chars]"),
        (image("!", "image/png"), "[Image: image/png, 1 base64 chars]"),
        (image("QUJD", "image/png"), "[Image: image/png, 4 base64 chars]"),
        (types.ResourceLink(name="n", uri="file:///a"), "[Resource link: n, file:///a]"),
        (
            types.ResourceLink(name="n", title="T", uri="file:///a", mime_type="text/plain", description="About."),
            "[Resource link: T, file:///a, text/plain]\nAbout.",
        ),
        (
            types.EmbeddedResource(resource=types.TextResourceContents(uri="r://1", mime_type="text/x", text="body")),
            "[Resource: r://1, text/x]\nbody",
        ),
        (
            types.EmbeddedResource(resource=types.BlobResourceContents(uri="r://1", blob="QUJD")),
            "[Resource: r://1, 4 base64 chars]",
        ),
    ],
)
def test_what_is_no_text_is_described(block, shown):
    assert answer(block).text == shown


def test_a_picture_alone_needs_no_words():
    alone = answer(image())
    assert (alone.text, len(alone.images)) == ("", 1)


def test_only_as_many_pictures_are_shown_as_a_message_may_bring():
    many = answer(*[image()] * (MOST + 2))
    assert len(many.images) == MOST
    assert many.text.count("[Image: image/png") == 2


def test_nothing_at_all_is_said_to_be_nothing():
    assert answer(text("")).text == "(The tool answered nothing.)"


def test_an_error_without_words_is_an_error():
    with pytest.raises(ToolError, match="failed and does not say why"):
        answer_of(types.CallToolResult(content=[], is_error=True))


def test_an_error_describes_its_pictures():
    with pytest.raises(ToolError, match=r"^broken\n\n\[Image: image/png, 24 base64 chars\]$"):
        answer_of(types.CallToolResult(content=[text("broken"), image()], is_error=True))
