import asyncio
import socket

from flue_actors.testing.virtual_time import VirtualTimeLoop, run_virtual


def test_an_hour_passes_at_once_and_timers_keep_their_order():
    async def main():
        ended = []
        await asyncio.gather(*(_note(ended, seconds) for seconds in (3600, 1, 60)))
        return ended, asyncio.get_running_loop().time()

    assert run_virtual(main) == ([1, 60, 3600], 3600)


async def _note(ended, seconds):
    await asyncio.sleep(seconds)
    ended.append(seconds)


def test_time_stands_still_while_there_is_something_to_run():
    async def main():
        for _ in range(1_000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == 0


def test_timeouts_fire_in_virtual_time():
    async def main():
        try:
            async with asyncio.timeout(30):
                await asyncio.sleep(100)
        except TimeoutError:
            return asyncio.get_running_loop().time()

    assert run_virtual(main) == 30


def test_sockets_and_threads_are_waited_for_with_patience():
    async def main():
        left, right = socket.socketpair()
        left.setblocking(False)
        loop = asyncio.get_running_loop()
        with left, right:
            received = asyncio.ensure_future(loop.sock_recv(left, 10))
            async with asyncio.timeout(1_000):
                await asyncio.to_thread(right.send, b"hello")
                return await received

    assert run_virtual(main, patience=1.0) == b"hello"


def test_the_clock_can_be_moved_by_hand():
    loop = VirtualTimeLoop()
    try:
        loop.advance(5)
        assert loop.time() == 5
    finally:
        loop.close()
