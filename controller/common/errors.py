"""Errors a person sees: one line that says what is wrong, where, and what to do."""

from __future__ import annotations

from controller.common.exit_codes import ExitCode


class DualtiltError(Exception):
    """Root of the errors that are told in one line; `exit_code` is what the command ends with."""

    exit_code = ExitCode.INTERNAL_ERROR


class UsageError(DualtiltError):
    """Wrong arguments, configuration or input."""

    exit_code = ExitCode.USAGE


class BridgeError(DualtiltError):
    """The bridge cannot be started, reached or trusted."""

    exit_code = ExitCode.BRIDGE


class SafetyStopError(DualtiltError):
    """A safety check ended the session; the column is safe."""

    exit_code = ExitCode.SAFETY


class ProcessingFailedError(DualtiltError):
    """The raw data are complete; processing is not."""

    exit_code = ExitCode.PROCESSING_FAILED
