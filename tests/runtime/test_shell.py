"""``session.shell``: a command past the model, which the conversation remembers."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from flue_actors import create_agent
from flue_actors.errors import InterruptedTurnError, InvalidRequestError, SandboxMissingError, ToolFailedError
from flue_actors.messages import ToolResultMessage, text_of
from flue_actors.sandboxes.local import local
from flue_actors.testing import FunctionModel
from tests.runtime.machine import machine
from tests.runtime.models import by_message
from tests.runtime.support import running, virtual_time


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def agent(model: FunctionModel, folder: Path) -> Any:
    return create_agent(model=model, instructions="", sandbox=local(cwd=str(folder)))


async def test_a_command_answers_what_it_wrote_and_how_it_ended(tmp_path: Path) -> None:
    model = FunctionModel(by_message())
    async with running(agent(model, tmp_path)) as runtime:
        ref = runtime.ref("agent", "u1")
        done = await ref.shell("echo out; echo err >&2; exit 3")
        assert (done.stdout, done.stderr, done.exit_code) == ("out\n", "err\n", 3)
        assert model.requests == []
        await ref.prompt("next")
        (told,) = [each for each in model.requests[0].messages if isinstance(each, ToolResultMessage)]
        assert "out" in text_of(told)


async def test_a_command_runs_where_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    async with running(agent(FunctionModel(by_message()), tmp_path)) as runtime:
        done = await runtime.ref("agent", "u1").shell("pwd", cwd="sub")
    assert done.stdout.strip().endswith("/sub")


@virtual_time
async def test_without_a_sandbox_there_is_no_shell_and_a_blank_command_is_none() -> None:
    async with running(create_agent(model=FunctionModel(by_message()), instructions="")) as runtime:
        ref = runtime.ref("agent", "u1")
        with pytest.raises(SandboxMissingError):
            await ref.shell("ls")
        with pytest.raises(InvalidRequestError):
            await ref.shell(" ")
        assert (await ref.prompt("hi")).text == "hi"


async def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with running(agent(FunctionModel(by_message()), tmp_path)) as runtime:
        ref = runtime.ref("agent", "u1")
        async with asyncio.timeout(20):
            try:
                done = await ref.shell("sleep 100", timeout=0.2)
            except ToolFailedError:
                return
        assert done.exit_code != 0


async def test_a_command_that_was_cut_off_does_not_run_again(tmp_path: Path) -> None:
    async with machine(agent(FunctionModel(by_message()), tmp_path)) as one:
        ref = (await one.start()).ref("agent", "u1")
        asking = asyncio.ensure_future(ref.shell("echo x >> ran; sleep 100"))
        while not (tmp_path / "ran").exists():
            await asyncio.sleep(0.01)
        (under_way,) = await one.store.unsettled()
        await one.crash()
        await asyncio.wait([asking])
        ref = (await one.start()).ref("agent", "u1")
        with pytest.raises(InterruptedTurnError):
            await ref.wait(under_way.id)
        assert (tmp_path / "ran").read_text() == "x\n"
        assert (await ref.prompt("hi")).text == "hi"
