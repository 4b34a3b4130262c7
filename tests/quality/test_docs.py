"""The pages are true: links lead somewhere, and every Python block runs (offline, page by page, in order)."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from flue_actors.definition.fields import PROFILE_FIELDS
from flue_actors.definition.settings import Settings
from flue_actors.gateway.errors import STATUS
from tests.quality import markdown
from tests.quality.repository import ROOT

RUNNER = """
import ast, asyncio, inspect, pathlib, sys

names = {"__name__": "page"}
for file in sys.argv[1:]:
    source = pathlib.Path(file).read_text()
    code = compile(source, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, names))
    else:
        exec(code, names)
"""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", markdown.PAGES, ids=name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken: list[str] = []
    for link in markdown.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in link or (target.exists() and (not anchor or anchor in markdown.anchors(target))):
            continue
        broken.append(link)
    assert broken == []


@pytest.mark.parametrize(
    "page", [page for page in markdown.PAGES if any(b.language == "python" for b in markdown.blocks(page))], ids=name
)
def test_the_python_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    files: list[str] = []
    for number, block in enumerate(markdown.blocks(page)):
        if block.language == "python":
            file = tmp_path / f"block_{number}.py"
            file.write_text(block.text)
            files.append(str(file))
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *files], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_wire_page_names_every_error_that_a_caller_can_meet() -> None:
    page = (ROOT / "docs" / "wire.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    missing = [
        f"{error.type} {status}"
        for error, status in STATUS.items()
        if not any(f"`{error.type}`" in row and str(status) in row for row in rows)
    ]
    assert missing == []


def test_the_settings_page_names_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    missing = [field.name for field in msgspec.structs.fields(Settings) if f"| `{field.name}` |" not in page]
    assert missing == []


def test_the_agents_page_names_every_field() -> None:
    page = (ROOT / "docs" / "agents.md").read_text()
    assert [name for name in ("profile", *PROFILE_FIELDS) if f"| `{name}` |" not in page] == []
