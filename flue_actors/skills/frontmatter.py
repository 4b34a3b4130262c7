"""Reads a ``SKILL.md``: what its frontmatter says of the skill, and its body. Pure.

Of YAML only mappings and plain text are read, and nothing is constructed: an anchor can multiply a small file into a large
one, and a tag can ask for an object.
"""

import re
from typing import Any, Final, cast

import yaml

from flue_actors.errors import ConfigError
from flue_actors.skills.skill import Skill

LARGEST: Final = 256 * 1024
"""Bytes of a whole ``SKILL.md``."""

_LARGEST_FRONTMATTER: Final = 16 * 1024
_DEEPEST: Final = 8
"""Levels of the frontmatter, unknown fields included: to find out that 16,000 brackets are too many took 0.6 s."""

_LONGEST_NAME: Final = 64
_LONGEST_DESCRIPTION: Final = 1024
_LONGEST_COMPATIBILITY: Final = 500
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FENCE: Final = re.compile(r"^---[ \t]*$", re.MULTILINE)
_TEXT: Final = "tag:yaml.org,2002:str"

Fields = dict[str, yaml.Node]


def parse_skill(data: bytes, directory: str) -> Skill:
    """The skill of a ``SKILL.md``; without folder and resources.

    Args:
        data: The file.
        directory: Name of the directory it stands in.

    Raises:
        ConfigError: It breaks a rule; the message says which.
    """
    try:
        frontmatter, body = _parts(data)
        fields = _fields(frontmatter)
        return Skill(
            name=_name(fields, directory),
            description=_required(fields, "description", _LONGEST_DESCRIPTION),
            instructions=body,
            license=_text(fields, "license"),
            compatibility=_text(fields, "compatibility", _LONGEST_COMPATIBILITY),
            metadata=_metadata(fields),
            allowed_tools=tuple((_text(fields, "allowed-tools") or "").split()),
        )
    except ConfigError as error:
        raise ConfigError(f"The skill in {shown(directory)} is refused: {error.message}") from error


def shown(name: str) -> str:
    """A file's name as a message can show it."""
    return ascii(name if len(name) <= 2 * _LONGEST_NAME else name[: 2 * _LONGEST_NAME] + "...")


def _parts(data: bytes) -> tuple[str, str]:
    """Frontmatter and body."""
    if len(data) > LARGEST:
        raise ConfigError(f"SKILL.md is larger than {LARGEST // 1024} KiB.")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError("SKILL.md is not UTF-8.") from error
    opening = _FENCE.match(text)
    if opening is None:
        raise ConfigError('SKILL.md does not begin with a line "---".')
    closing = _FENCE.search(text, opening.end() + 1)
    if closing is None:
        raise ConfigError('The frontmatter has no end: a second line "---".')
    frontmatter = text[opening.end() : closing.start()]
    if len(frontmatter) > _LARGEST_FRONTMATTER:
        raise ConfigError(f"The frontmatter is longer than {_LARGEST_FRONTMATTER // 1024} KiB.")
    return frontmatter, text[closing.end() :].strip()


class _Loader(yaml.BaseLoader):
    """Takes every scalar for text, and refuses what refers to something else and what nests deep."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        event = cast("Any", self).peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ConfigError("The frontmatter has an anchor or alias.")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag not in (None, "!"):
            raise ConfigError("The frontmatter has a tag.")
        if self.depth > _DEEPEST:
            raise ConfigError("The frontmatter nests too deep.")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _fields(frontmatter: str) -> Fields:
    try:
        node: Any = yaml.compose(frontmatter, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise ConfigError(f"The frontmatter is no YAML: {error.problem or 'it breaks off'} (line {line}).") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # Beside its own errors the reader raises those of `int` and `chr`, for what no number or character is.
        raise ConfigError(f"The frontmatter is no YAML ({type(error).__name__}).") from error
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError("The frontmatter is no mapping of names to values.")
    return _mapping(node, "The frontmatter")


def _mapping(node: yaml.MappingNode, what: str) -> Fields:
    found: Fields = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{what} has a key that is no text.")
        name = _valid(key.value)
        if name in found:
            raise ConfigError(f"{what} has {shown(name)} twice.")
        found[name] = value
    return found


def _text(fields: Fields, name: str, longest: int = _LARGEST_FRONTMATTER) -> str | None:
    """The field's text; None when it is missing or blank."""
    node = fields.get(name)
    if node is None:
        return None
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f'"{name}" is no text.')
    text = _valid(node.value).strip()
    if len(text) > longest:
        raise ConfigError(f'"{name}" has {len(text)} characters; {longest} are allowed.')
    return text or None


def _required(fields: Fields, name: str, longest: int) -> str:
    text = _text(fields, name, longest)
    if text is None:
        raise ConfigError(f'"{name}" is missing.')
    return text


def _name(fields: Fields, directory: str) -> str:
    name = _required(fields, "name", _LONGEST_NAME)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f'The name {shown(name)} is none: lower-case letters and digits, with single "-" between them.'
        )
    if name != directory:
        raise ConfigError(f'Its name is "{name}", and that of its directory is not.')
    return name


def _metadata(fields: Fields) -> dict[str, str]:
    node = fields.get("metadata")
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError('"metadata" is no mapping.')
    found = _mapping(node, '"metadata"')
    return {name: _text(found, name) or "" for name in found}


def _valid(text: str) -> str:
    """The text, which may have been written with escapes that no text can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("The frontmatter has a character that is none.") from error
    return text
