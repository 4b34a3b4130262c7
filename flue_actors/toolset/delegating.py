"""The tool that gives a task to a subagent."""

from collections.abc import Sequence
from math import inf

import msgspec

from flue_actors.conversation.resumption import TASK
from flue_actors.definition.profile import AgentProfile
from flue_actors.definition.tools import Delegated, Tool, ToolAnswer, ToolContext, define_tool
from flue_actors.errors import ToolError


def task_tool(subagents: Sequence[AgentProfile]) -> Tool:
    """The tool for these subagents, of which there is one at least. How long it may take is the work's own limit."""
    names = sorted(str(each.name) for each in subagents)
    described = {each.name: each.description for each in subagents}

    async def execute(arguments: dict[str, str | bool], context: ToolContext) -> ToolAnswer:
        prompt = str(arguments["prompt"])
        if not prompt.strip():
            raise ToolError("The prompt is blank: the subagent knows nothing but what it says.")
        cwd = arguments.get("cwd")
        task = Delegated(
            prompt=prompt,
            agent=str(arguments["agent"]),
            cwd=None if cwd is None else str(cwd),
            detached=arguments.get("detached") is True,
        )
        return await context.delegate(task)

    roster = "\n".join([f"- {name}: {described[name]}" for name in names])
    tool = define_tool(
        name=TASK,
        description=(
            "Delegate a piece of work to a subagent and get its answer. It does not see this conversation: put everything "
            f"it needs into the prompt. Independent tasks may be given side by side. Subagents:\n{roster}"
        ),
        parameters={
            "type": "object",
            "properties": {
                "agent": {"type": "string", "enum": names, "description": "Who does it."},
                "prompt": {"type": "string", "description": "The whole task."},
                "description": {"type": "string", "description": "The task in a few words, for people who watch."},
                "cwd": {"type": "string", "description": "The folder to work in, if not the present one."},
                "detached": {
                    "type": "boolean",
                    "description": "True: do not wait for it. Its answer comes later, as a message of its own.",
                },
            },
            "required": ["agent", "prompt"],
        },
        execute=execute,
        idempotent=True,  # it goes on from its own transcript
    )
    return msgspec.structs.replace(tool, timeout=inf)
