"""What the command's exit status means, for scripts and for people."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of every `dualtilt` verb."""

    OK = 0
    """Done, and done well."""
    INTERNAL_ERROR = 1
    """A fault of dualtilt itself; --debug shows where."""
    USAGE = 2
    """Wrong arguments, protocol or input file; nothing was touched."""
    BRIDGE = 3
    """The bridge to the microscope is not there, or was lost for good; or the session itself."""
    SAFETY = 4
    """Stopped by a safety check: limits, dose, a flip or a merge that was refused."""
    PROCESSING_FAILED = 5
    """The raw data are complete on disk, but processing failed."""
    ACCURACY_MISSED = 6
    """Done, but an accuracy check on simulated data was missed."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or SIGTERM; the column is safe and the session can be resumed."""
