"""Errors of a session's folder."""

from __future__ import annotations

from controller.common.errors import SafetyStopError, UsageError


class SessionInUseError(UsageError):
    """Another run uses the folder."""


class JournalDamagedError(UsageError):
    """The journal or a stack is damaged beyond an automatic resume."""


class JournalFormatError(UsageError):
    """The journal was written by another version of dualtilt."""


class ProtocolChangedError(UsageError):
    """The protocol differs from the one the session was started with."""


class JournalTakenError(SafetyStopError):
    """Another program removed, replaced or changed the journal of the running session."""


class StackTakenError(SafetyStopError):
    """Another program removed, replaced or shortened a stack of the running session."""
