"""Which shell runs commands, and that it reads none of the user's startup files."""

import shutil

from flue_actors.errors import SandboxError


def bash() -> tuple[str, ...]:
    """The words before a command that bash shall run.

    Raises:
        SandboxError: There is no bash.
    """
    found = shutil.which("bash")
    if found is None:
        raise SandboxError("The sandbox needs bash.", details="Install the package bash.")
    return (found, "--noprofile", "--norc", "-c")


def any_shell() -> tuple[str, ...]:
    """Bash, or else the system's own ``sh``."""
    return bash() if shutil.which("bash") is not None else ("/bin/sh", "-c")
