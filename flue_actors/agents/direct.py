"""Inputs that no model answers: a shell command, a task for a subagent, a wish to compact.

A command and a task stand in the history as if the model had made the call, so it knows of them the next time, and an
interrupted one is found again as any call is.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from flue_actors.conversation.outcome import ZERO
from flue_actors.conversation.resumption import TASK
from flue_actors.definition.tools import Tool, ToolAnswer, ToolContext, define_tool
from flue_actors.errors import InterruptedTurnError, SandboxMissingError, SubagentNotFoundError, ToolFailedError
from flue_actors.inputs import CompactInput, Input, ShellInput, TaskInput
from flue_actors.messages import AssistantMessage, ToolCall, ToolResultMessage, text_of
from flue_actors.turns.loop import Ending
from flue_actors.turns.work import Work

SHELL = "bash"


def is_direct(given: Input) -> bool:
    """True for what no model answers."""
    return isinstance(given, ShellInput | TaskInput | CompactInput)


def direct_tools(given: Input) -> dict[str, Tool] | None:
    """What its call may reach, whatever the agent's model can; None: the agent's own tools."""
    return {SHELL: _SHELL_TOOL} if isinstance(given, ShellInput) else None


async def run_direct(work: Work, given: Input, again: Sequence[ToolCall]) -> Ending:
    """Do it.

    Args:
        again: Its call, when an earlier attempt has made it and it may run again.

    Raises:
        TurnError: The agent does not have what it needs, or the task failed.
        LeftOpen: It goes on in another attempt.
        StoreError: A write was refused.
    """
    if isinstance(given, CompactInput):
        done = work.past.compacted or await work.history.compact("manual", given.instructions)
        return Ending(last=_reply(work, ()), text="", data={"compacted": done})
    writer = work.place.writer
    if not again:
        if work.past.turns:
            raise InterruptedTurnError  # nobody knows what came of it
        again = [_call(work, given)]
        writer.turn_id = work.place.services.ids.turn()
        await writer.record(_reply(work, tuple(again)), "runtime")
    (result,) = await work.tools.runner.run(again)
    return _ending(work, given, result)


def _call(work: Work, given: Input) -> ToolCall:
    agent = work.agent
    id = work.place.services.ids.tool_call()
    if isinstance(given, ShellInput):
        if agent.sandbox is None:
            raise SandboxMissingError
        return ToolCall(id=id, name=SHELL, arguments=_present(given, "command", "cwd", "timeout"))
    assert isinstance(given, TaskInput)
    names = [each.name for each in agent.subagents]
    chosen = given.agent or (names[0] if len(names) == 1 else None)
    if chosen not in names:
        raise SubagentNotFoundError(meta={"subagents": names})
    return ToolCall(id=id, name=TASK, arguments={**_present(given, "prompt", "cwd"), "agent": chosen})


def _ending(work: Work, given: Input, result: ToolResultMessage) -> Ending:
    text = text_of(result)
    if result.is_error:
        raise ToolFailedError(text)
    data = UNSET
    if isinstance(given, ShellInput):
        data = {name: result.details[name] for name in ("stdout", "stderr", "exitCode")}
    return Ending(last=_reply(work, ()), text=text, data=data)


def _reply(work: Work, calls: tuple[ToolCall, ...]) -> AssistantMessage:
    api, provider, model = work.call.name
    return AssistantMessage(
        content=calls,
        api=api,
        provider=provider,
        model=model,
        usage=ZERO,
        stop_reason="toolUse" if calls else "stop",
        timestamp=work.place.services.clock.now_ms(),
    )


async def _shell(arguments: dict[str, str | float], context: ToolContext) -> ToolAnswer:
    timeout = arguments.get("timeout")
    cwd = arguments.get("cwd")
    done = await context.sandbox.exec(
        str(arguments["command"]),
        cwd=None if cwd is None else str(cwd),
        timeout=None if timeout is None else float(timeout),
    )
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    details = {"command": arguments["command"], "stdout": out, "stderr": err, "exitCode": done.exit_code}
    return ToolAnswer(text="\n".join([part for part in (out, err) if part]), details=details)


_SHELL_TOOL = define_tool(
    name=SHELL,
    description="Run a command.",
    parameters={"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    execute=_shell,
)


def _present(given: msgspec.Struct, *names: str) -> dict[str, str | float]:
    return {name: value for name in names if (value := getattr(given, name)) is not None}
