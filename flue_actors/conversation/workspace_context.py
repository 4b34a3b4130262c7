"""What a session's system prompt says of the instance: where it works, by which rules, with which skills. Pure.

What all instances of an agent have in common comes first, so that they share it in the provider's cache.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec

from flue_actors.conversation import prompts
from flue_actors.ids import AgentKey

LONGEST_FILE: Final = 64 * 1024
"""Bytes of ``AGENTS.md`` and of ``CLAUDE.md`` that are shown."""

NAMES_SHOWN: Final = 200


class FoundSkill(msgspec.Struct, frozen=True, array_like=True):
    """A skill of the workspace: what the model is told of it before it activates it."""

    name: str
    description: str
    folder: str


class Described(Protocol):
    """A skill, wherever it is from."""

    @property
    def name(self) -> str:
        """What the model calls it."""
        ...

    @property
    def description(self) -> str:
        """When to use it."""
        ...


class WorkspaceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a workspace.

    Attributes:
        cwd: The working directory.
        agents_md, claude_md: What ``AGENTS.md`` and ``CLAUDE.md`` in it say; blank where there is none.
        listing: Names in it, of a directory with a slash behind.
        skills: Those in it.
    """

    cwd: str
    agents_md: str = ""
    claude_md: str = ""
    listing: tuple[str, ...] = ()
    skills: tuple[FoundSkill, ...] = ()


def instance_text(key: AgentKey, at_ms: int, facts: WorkspaceFacts | None, skills: Sequence[Described]) -> str:
    """The per-instance part of the system prompt. Equal arguments give equal bytes, on every host.

    Args:
        facts: None: there is no workspace.
        skills: All that the agent has, those of its workspace included.
    """
    return "\n\n".join(_parts(key, at_ms, facts, skills))


def _parts(key: AgentKey, at_ms: int, facts: WorkspaceFacts | None, skills: Sequence[Described]) -> Iterator[str]:
    if facts is not None:
        rules = [_cut("AGENTS.md", facts.agents_md), _cut("CLAUDE.md", facts.claude_md)]
        yield from dict.fromkeys(filter(None, rules))  # one is often a link to the other
    if skills:
        yield _available(skills)
    instance = prompts.instance_text(key, at_ms)
    if facts is None:
        yield instance
        return
    yield f"{instance}\nWorking directory: {_quoted(facts.cwd)}"
    if facts.listing:
        yield _listing(facts.listing)


def _cut(name: str, text: str) -> str:
    text = text.strip()
    data = text.encode(errors="replace")
    if len(data) <= LONGEST_FILE:
        return data.decode()
    return f"{data[:LONGEST_FILE].decode(errors='ignore')}\n[{name} goes on: {len(data)} bytes in all]"


def _available(skills: Sequence[Described]) -> str:
    ordered = sorted(skills, key=lambda each: each.name)
    lines = [f"- {each.name} — {' '.join(each.description.split())}" for each in ordered]
    return "\n".join(
        ["Available skills. Before a task that one of them is for, call activate_skill and follow it:", *lines]
    )


def _listing(names: Sequence[str]) -> str:
    lines = [_quoted(name) for name in names[:NAMES_SHOWN]]
    if len(names) > NAMES_SHOWN:
        lines.append(f"[{len(names) - NAMES_SHOWN} more]")
    return "\n".join(["In it are:", *lines])


def _quoted(name: str) -> str:
    """The name, which cannot begin a line of its own; what no text can hold is written with escapes."""
    return name if name.isprintable() else json.dumps(name)
