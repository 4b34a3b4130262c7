"""The program that embeds us is wrong, the server cannot take more, or a store or actor refused."""

import pykka

from flue_actors.errors.root import FlueError


class DeveloperError(FlueError):
    """The program that defines agents or embeds the runtime is wrong."""

    fault = "developer"
    default_details = "Correct it and try again."


class ConfigError(DeveloperError):
    """A definition, a setting or a project file is wrong; the message names it."""

    type = "config_error"


class NoRuntimeError(DeveloperError):
    """A module-level short form was called where no runtime is in reach."""

    type = "no_runtime"


class ToolError(FlueError):
    """Raise it in a tool to tell the model what went wrong; whoever watches the turn sees the text too.

    Of any other exception the model sees the class's name only: its text may hold a path or a key. The log has all of it.
    """

    type = "tool_error"


class ToolArgumentsError(ToolError):
    """The model's arguments do not fit the tool's schema; the message names field and value, for the model."""


class SandboxError(ToolError):
    """A sandbox did not do what was asked of it. The message is for the model: no path of the host is in it."""

    type = "sandbox_error"


class SandboxFileError(SandboxError):
    """A path that is not there, not what it has to be, or outside of the sandbox."""

    type = "sandbox_file_error"


class UnavailableError(FlueError):
    """Nothing is wrong with the request; the server cannot take it now."""

    type = "overloaded"
    default_message = "The server cannot take this now."
    default_details = "Try again later."


class NotStartedError(UnavailableError):
    """The runtime behind this application has not been started."""

    type = "not_started"
    default_message = "The server has not started yet."


class DrainingError(UnavailableError):
    """The runtime is stopping and takes no new work."""

    type = "draining"
    default_message = "The server is shutting down."


class OverloadedError(UnavailableError):
    """The runtime holds as much work as it may."""

    default_message = "The server is overloaded."


class StoreError(FlueError):
    """The store refused, or cannot be used."""

    type = "store_unavailable"
    default_message = "The conversation store cannot be used."


class StoreUnavailableError(StoreError):
    """The disk is full, an I/O error, or a lock that did not clear. Nothing of the refused write was kept."""


class StoreOwnedError(StoreError):
    """Another process owns this store."""

    type = "store_owned"
    fault = "developer"


class StoreFormatError(StoreError):
    """The file is not ours, is damaged, or was written by a newer version."""

    type = "store_format"
    fault = "developer"


class FencedError(StoreError):
    """A write of an owner or an attempt that has been replaced; nothing of it was kept."""

    type = "fenced"
    default_message = "The write was refused: its owner or attempt has been replaced."


class ActorError(FlueError):
    """The actor layer refused."""


class MailboxFullError(ActorError):
    """The mailbox holds as many messages as it may."""

    type = "queue_full"


class ActorUnavailableError(ActorError):
    """The actor is backing off after failures, or its system is stopping."""

    type = "overloaded"


class ActorStoppedError(ActorError, pykka.ActorDeadError):
    """The actor, or its system, stopped before it handled the message."""

    type = "overloaded"
    default_message = "The actor has stopped."


class CallCycleError(ActorError):
    """The ask would, through the asks already waiting, wait for itself."""

    type = "call_cycle"
    fault = "developer"


class DepthLimitError(ActorError):
    """Child actors nest deeper than allowed."""

    type = "depth_limit"
    fault = "developer"
