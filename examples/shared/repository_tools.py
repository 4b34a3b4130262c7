"""Tools of the repository reviewer. They see the same files as the model's own, through the agent's sandbox."""

from flue_actors import ToolContext, ToolError, tool


@tool(idempotent=True)
async def list_changes(context: ToolContext) -> list[str]:
    """The numbers of the changes that wait for a review."""
    entries = await context.sandbox.list("changes")
    return sorted(entry.name.removesuffix(".diff") for entry in entries)


@tool(idempotent=True)
async def read_change(number: int, context: ToolContext) -> str:
    """The diff of a requested change."""
    path = f"changes/{number}.diff"
    if await context.sandbox.stat(path) is None:
        raise ToolError(f"There is no change {number}.")
    return (await context.sandbox.read(path)).decode()


repository_tools = [list_changes, read_change]
