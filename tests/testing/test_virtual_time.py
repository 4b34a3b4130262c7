"""Virtual time as users of the kit meet it; the loop itself is tested with the actors."""

import asyncio
import subprocess
import sys
import time
import unittest

import pytest

from flue_actors.testing import VirtualClock, in_virtual_time, run_virtual


def test_a_decorated_test_is_an_ordinary_function_that_takes_no_time() -> None:
    @in_virtual_time
    async def day(hours: int) -> float:
        await asyncio.sleep(hours * 3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert day(24) == 86_400
    assert time.monotonic() - began < 5


def test_a_test_that_waits_for_what_never_comes_fails() -> None:
    @in_virtual_time
    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        stuck()


def test_a_thread_at_work_is_waited_for_in_real_time() -> None:
    async def main() -> str:
        async with asyncio.timeout(60):
            return await asyncio.to_thread(lambda: time.sleep(0.05) or "done")

    assert run_virtual(main) == "done"


def test_a_subprocess_at_work_is_waited_for_in_real_time() -> None:
    async def main() -> bytes:
        async with asyncio.timeout(60):
            program = "import time; time.sleep(0.05); print('done')"
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
            return (await process.communicate())[0]

    assert run_virtual(main) == b"done\n"


def test_a_timeout_of_work_outside_passes_in_real_time() -> None:
    async def main() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.to_thread(time.sleep, 0.2)
        return time.monotonic() - began

    assert 0.04 < run_virtual(main) < 10


def test_the_clock_follows_the_loop_and_can_be_put_forward() -> None:
    async def main() -> tuple[int, int]:
        clock = VirtualClock()
        before = clock.now_ms()
        await asyncio.sleep(1.5)
        after_sleep = clock.now_ms()
        clock.advance(3600)
        return after_sleep - before, clock.now_ms() - after_sleep

    assert run_virtual(main) == (1_500, 3_600_000)


class TestOfTheStandardLibrary(unittest.TestCase):
    @in_virtual_time
    async def test_methods_of_a_test_case_run_in_virtual_time_too(self) -> None:
        await asyncio.sleep(3600)
        self.assertEqual(asyncio.get_running_loop().time(), 3600)
