"""The tools that an agent with a sandbox gets, unless its sandbox brings its own."""

from typing import Final

from flue_actors.definition.tools import Tool
from flue_actors.toolset.reading import read
from flue_actors.toolset.searching import glob, grep
from flue_actors.toolset.shell import bash
from flue_actors.toolset.writing import edit, write

SANDBOX_TOOLS: Final[tuple[Tool, ...]] = (bash, edit, glob, grep, read, write)
"""Sorted by name. The same objects for every instance: they find the sandbox in their `ToolContext`."""
