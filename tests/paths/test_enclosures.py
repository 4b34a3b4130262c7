"""Pictures and files that go along with a message, and what the model gets to see of them."""

import asyncio
from pathlib import Path

from flue_actors.definition.attaching import content_id
from flue_actors.messages import FileContent, ImageContent, UserMessage
from tests.helpers.http import exchange, request
from tests.paths.pictures import PDF, PICTURE, PNG, REPORT, TABLE, blocks, text64
from tests.paths.stage import staged


async def test_what_goes_along_is_kept_and_shown_to_the_model(model: str, carrying: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path) as stage, stage.open(carrying) as person:
        outcome = await person.say("answer a picture and two files", images=[PICTURE], files=[REPORT, TABLE])
        message = (await stage.messages())[0]
        served = await exchange(stage.address, request("GET", f"/agents/actor/me/attachments/{content_id(PNG)}"))
        if stage.api is not None:
            body = stage.api.requests[-1].body
            (image,), (report, table) = blocks(body, "image"), blocks(body, "document")
            assert image["source"] == {"type": "base64", "media_type": "image/png", "data": text64(PNG)}
            assert report["source"] == {"type": "base64", "media_type": "application/pdf", "data": text64(PDF)}
            assert table["source"]["data"] == "städte\n3\n"
    assert outcome.text == "a picture and two files"
    assert isinstance(message, UserMessage)
    kept = [part.attachment for part in message.content if isinstance(part, ImageContent | FileContent)]
    assert kept == [content_id(PNG), content_id(PDF), content_id(TABLE.data)]
    assert served.body == PNG


async def test_the_model_still_sees_it_after_idle_times_and_a_restart(
    model: str, carrying: str, tmp_path: Path
) -> None:
    async with staged(model, tmp_path) as stage:
        async with stage.open(carrying) as person:
            await person.say("answer seen", images=[PICTURE])
            await stage.evict()
            await person.say("answer still there")
        await stage.restart()
        async with stage.open(carrying) as person:
            await person.say("answer and there")
        if stage.api is not None:
            shown = [[each["source"]["data"] for each in blocks(asked.body, "image")] for asked in stage.api.requests]
            assert shown == [[text64(PNG)]] * 3
        assert (await stage.ref.attachment(content_id(PNG))).body == PNG


async def test_who_sends_the_same_at_once_is_shown_it_each_time(model: str, carrying: str, tmp_path: Path) -> None:
    async with staged(model, tmp_path) as stage, stage.open(carrying) as person:
        said = [person.say(f"answer {each}", images=[PICTURE]) for each in "abc"]
        outcomes = await asyncio.gather(*said)
        messages = [each for each in await stage.messages() if isinstance(each, UserMessage)]
    assert [each.text for each in outcomes] == ["a", "b", "c"]
    images = [part.attachment for each in messages for part in each.content if isinstance(part, ImageContent)]
    assert images == [content_id(PNG)] * 3
