"""What a session's system prompt is told of a workspace."""

from pathlib import Path

import pytest

from flue_actors.ids import AgentKey
from flue_actors.sandboxes import confined
from flue_actors.sandboxes.local import local
from flue_actors.sandboxes.protocol import SandboxContext
from flue_actors.sandboxes.workspace import Workspace
from flue_actors.turns.surveying import survey


async def test_a_workspace_with_too_many_names_to_list_can_still_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined, "LONGEST_LIST", 3)
    for name in "abcd":
        (tmp_path / name).touch()
    (tmp_path / "AGENTS.md").write_text("Be brief.")
    key = AgentKey("coder", "1")
    workspace = Workspace(lambda: local(tmp_path).open(SandboxContext(key=key)))
    facts = await survey(key, workspace, [])
    assert (facts.agents_md, facts.listing) == ("Be brief.", ())
    await workspace.close()
