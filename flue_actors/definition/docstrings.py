"""What a tool's docstring tells the model: the description, and a line for each parameter."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec


class Described(msgspec.Struct, frozen=True):
    """A docstring, taken apart. ``parameters`` is by name; those without a line are missing."""

    text: str = ""
    parameters: Mapping[str, str] = {}


def described(function: Callable[..., Any]) -> Described:
    """The docstring of ``function``; its ``Args:`` section (Google style) goes to the parameters it describes."""
    text = inspect.getdoc(function) or ""
    if not any(line.strip() in {"Args:", "Arguments:"} for line in text.splitlines()):
        return Described(text)
    from docstring_parser import DocstringStyle, parse  # 23 ms, for docstrings with such a section only

    found = parse(text, style=DocstringStyle.GOOGLE)
    parameters = {each.arg_name: " ".join(each.description.split()) for each in found.params if each.description}
    return Described(found.description or "", parameters)
