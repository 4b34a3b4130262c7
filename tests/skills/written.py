"""Skills as somebody would write them."""

from pathlib import Path


def skill_md(
    name: str = "review", description: str = "Reviews code.", body: str = "Read it twice.", **more: str
) -> str:
    """A ``SKILL.md``; an underscore in a field's name stands for a hyphen."""
    fields = {"name": name, "description": description, **{key.replace("_", "-"): text for key, text in more.items()}}
    lines = [f"{key}: {text}" for key, text in fields.items()]
    return "\n".join(["---", *lines, "---", "", body, ""])


def write_skill(folder: Path, name: str = "review", files: dict[str, str | bytes] | None = None, **fields: str) -> Path:
    """Write a skill's directory below this folder."""
    made = folder / name
    for path, content in {"SKILL.md": skill_md(name, **fields), **(files or {})}.items():
        file = made / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return made
