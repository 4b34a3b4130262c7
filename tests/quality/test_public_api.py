"""What `import flue_actors` promises: these names and no others, and that it costs next to nothing."""

import inspect
import subprocess
import sys

import flue_actors

PUBLIC = {
    "load_skill",
    "virtual",
    "local",
    "isolated",
    "connect_mcp_server",
    "ToolAnswer",
    "Limits",
    "McpServer",
    "Compaction",
    "Image",
    "File",
    "AgentConfig",
    "AgentContext",
    "AgentDefinition",
    "AgentProfile",
    "AgentRef",
    "CallNext",
    "Denied",
    "DispatchReceipt",
    "Durability",
    "FlueError",
    "GuardRequest",
    "GuardResponse",
    "Principal",
    "PromptResult",
    "Retention",
    "Runtime",
    "Settings",
    "Tool",
    "ToolContext",
    "ToolError",
    "bearer",
    "configure_provider",
    "create_agent",
    "create_app",
    "define_agent_profile",
    "define_tool",
    "dispatch",
    "memory_store",
    "mount",
    "observe",
    "public",
    "register_provider",
    "serve",
    "sqlite",
    "tool",
}
HEAVY = {"anthropic", "aiosqlite", "falcon", "uvicorn", "websockets"}


def loaded_after(statement: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after the statement."""
    program = f"{statement}\nimport sys; print(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_public_names_are_pinned() -> None:
    assert set(flue_actors.__all__) == PUBLIC


def test_there_are_at_most_forty_eight() -> None:
    assert len(flue_actors.__all__) <= 48


def test_every_public_class_and_function_says_what_it_is() -> None:
    public = {name: getattr(flue_actors, name) for name in flue_actors.__all__}
    defined = {name: value for name, value in public.items() if inspect.isclass(value) or inspect.isfunction(value)}
    assert public.keys() - defined.keys() == {"CallNext"}
    assert [name for name, value in defined.items() if not value.__doc__] == []


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    assert not hasattr(flue_actors, "no_such_name")


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import flue_actors") == set()


def test_defining_an_agent_loads_nothing_heavy() -> None:
    names = "create_agent, define_agent_profile, define_tool, tool, AgentConfig, public, bearer, Runtime"
    assert loaded_after(f"from flue_actors import {names}") == set()
