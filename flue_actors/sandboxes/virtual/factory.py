"""What a definition says about its virtual sandboxes."""

import posixpath
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import ClassVar

import msgspec

from flue_actors.errors import ConfigError
from flue_actors.sandboxes.protocol import SandboxContext
from flue_actors.sandboxes.virtual import wire
from flue_actors.sandboxes.virtual.limits import HOME, VirtualLimits
from flue_actors.sandboxes.virtual.sandbox import VirtualSandbox


class VirtualSandboxes(msgspec.Struct, frozen=True, kw_only=True):
    """What `virtual` makes. Equal by value."""

    stored: ClassVar[bool] = True
    files: Mapping[str, bytes]
    network: tuple[str, ...] | None
    limits: VirtualLimits
    cwd: str

    def __repr__(self) -> str:
        return f"virtual(<{len(self.files)} files>, network={self.network}, cwd={self.cwd!r})"

    async def open(self, context: SandboxContext) -> VirtualSandbox:
        """See `SandboxFactory.open`. With a snapshot, its files are there and no others."""
        opened = wire.Open(
            cwd=self.cwd,
            files={} if context.snapshot is not None else self.files,
            network=self.network,
            snapshot=context.snapshot,
            memory=self.limits.memory,
            commands=self.limits.commands,
            output=self.limits.output,
        )
        return await VirtualSandbox.begin(opened, seconds=self.limits.seconds, stored=self.limits.stored)


def virtual(
    files: Mapping[str, str | bytes] | None = None,
    *,
    network: Sequence[str] | None = None,
    limits: VirtualLimits | None = None,
    cwd: str = HOME,
) -> VirtualSandboxes:
    """A bash and files of its own for every instance: nothing of this machine is in it.

    It is made when something first uses it; its files are stored with the instance, so they survive messages, idle times
    and restarts. Commands see neither our files nor our environment, and run in a process of their own.

    Args:
        files: What is there from the start, by path (relative ones below ``cwd``). Text is stored as UTF-8.
        network: What ``curl`` may reach: the beginnings of URLs. Default: nothing. Private addresses never.
        limits: Default: `VirtualLimits()`.
        cwd: Where commands start and relative paths are meant from.

    Raises:
        ConfigError: bashkit is not installed, or something is not as said above.
    """
    if find_spec("bashkit") is None:
        raise ConfigError("virtual() needs bashkit.", details='Install it: pip install "flue-actors[virtual]".')
    if not cwd.startswith("/"):
        raise ConfigError("virtual(): cwd is an absolute path.")
    if isinstance(network, str) or any(not url.startswith(("http://", "https://")) for url in network or ()):
        raise ConfigError("virtual(): network is a list of URLs, as https://api.example.com/v1.")
    return VirtualSandboxes(
        files={_planted(cwd, path): _content(path, content) for path, content in (files or {}).items()},
        network=None if network is None else tuple(network),
        limits=limits or VirtualLimits(),
        cwd=posixpath.normpath(cwd),
    )


def _planted(cwd: str, path: str) -> str:
    where = "/" + posixpath.normpath(posixpath.join(cwd, path)).lstrip("/")
    if not path or path.endswith("/") or "\0" in path:
        raise ConfigError(f"virtual(): {path!r} is no path of a file.")
    return where


def _content(path: str, content: object) -> bytes:
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytes):
        return content
    raise ConfigError(f"virtual(): the file {path!r} is neither text nor bytes.")
