"""What can be wrong with a session's folder."""

from __future__ import annotations

from controller.common.errors import UsageError


class SessionInUseError(UsageError):
    """Another run holds the folder."""


class JournalDamagedError(UsageError):
    """A line in the middle of the journal is not what was written."""


class JournalFormatError(UsageError):
    """The journal was written by another version of dualtilt."""


class ProtocolChangedError(UsageError):
    """The protocol is not the one the session was started with."""
