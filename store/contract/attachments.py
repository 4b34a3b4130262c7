"""Bytes that an instance keeps under their content's name."""

from hashlib import sha256

from flue_actors.ids import AgentKey
from flue_actors.storage import Attachment, Committed, Erase, PutAttachment, Rename
from flue_actors.store.contract.records import KEY, OTHER, Make, append, claim, keyed, opened, refused, same

PICTURE = b"\x89PNG\r\n\x1a\n\x00"
ID = sha256(PICTURE).hexdigest()


def put(body: bytes = PICTURE, key: AgentKey = KEY, mime_type: str = "image/png") -> PutAttachment:
    """Bytes to keep."""
    return PutAttachment(key=key, id=sha256(body).hexdigest(), mime_type=mime_type, body=body)


def kept(body: bytes = PICTURE, mime_type: str = "image/png") -> Attachment:
    """What `put` keeps."""
    return Attachment(id=sha256(body).hexdigest(), mime_type=mime_type, body=body)


async def check_an_attachment_comes_back_exact(make: Make) -> None:
    bodies = [PICTURE, b"", bytes(range(256)) * 4_096, b"x" * 10 * 1024 * 1024]
    async with opened(make) as (store, fence):
        same(await store.attachment(KEY, ID), None)
        for body in bodies:
            same(await store.commit(fence, put(body)), Committed())
    async with opened(make) as (store, fence):
        for body in bodies:
            assert await store.attachment(KEY, kept(body).id) == kept(body), f"{len(body)} bytes"
        same(await store.attachment(KEY, "another"), None)
        same(await store.sessions(KEY), [])


async def check_the_same_content_is_kept_once_and_as_it_was(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, put())
        await store.commit(fence, put(mime_type="image/gif"), put(mime_type="image/webp"))
        same(await store.attachment(KEY, ID), kept())


async def check_an_instance_has_its_own_attachments(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, put())
        same(await store.attachment(OTHER, ID), None)
        await store.commit(fence, put(key=OTHER, mime_type="image/gif"))
        same(await store.attachment(KEY, ID), kept())
        same(await store.attachment(OTHER, ID), kept(mime_type="image/gif"))


async def check_a_refused_commit_keeps_no_attachment(make: Make) -> None:
    async with opened(make) as (store, fence):
        await refused(store, fence, put(), claim("nobody"))
        same(await store.attachment(KEY, ID), None)
        await store.commit(fence, put())
        await refused(store, fence, put(mime_type="image/gif"), claim("nobody"))
        same(await store.attachment(KEY, ID), kept())


async def check_an_input_that_is_known_brings_no_attachment(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, keyed("sub_1", "k"))
        same((await store.commit(fence, keyed("sub_2", "k"), put())).known, "sub_1")
        same(await store.attachment(KEY, ID), None)


async def check_attachments_go_with_the_instance_and_not_with_a_session(make: Make) -> None:
    async with opened(make) as (store, fence):
        for key in (OTHER, KEY):
            await store.commit(fence, append(1, key=key), put(key=key))
        await store.commit(fence, Erase(key=KEY, session="default"))
        same(await store.attachment(KEY, ID), kept())
        await refused(store, fence, Erase(key=KEY), claim("nobody"))
        same(await store.attachment(KEY, ID), kept())
        await store.commit(fence, Erase(key=KEY))
        same(await store.attachment(KEY, ID), None)
        same(await store.attachment(OTHER, ID), kept())
        await store.commit(fence, append(1))
        same(await store.attachment(KEY, ID), None)


async def check_a_renamed_agent_keeps_its_attachments(make: Make) -> None:
    async with opened(make) as (store, fence):
        await store.commit(fence, put())
        await store.commit(fence, Rename(old=KEY.agent, new="comedian"))
        same(await store.attachment(AgentKey("comedian", KEY.id), ID), kept())
        same(await store.attachment(KEY, ID), None)
