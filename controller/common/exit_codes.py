"""Exit codes of the commands."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of every `dualtilt` command."""

    OK = 0
    """Done without problems."""
    INTERNAL_ERROR = 1
    """Error in dualtilt itself; `dualtilt --debug VERB ...` shows where."""
    USAGE = 2
    """Wrong arguments, protocol or input file; nothing was changed."""
    BRIDGE = 3
    """The bridge or the session cannot be reached, or was lost for good."""
    SAFETY = 4
    """Stopped safely: by limits, dose, a refused flip or merge, a taken file, or no memory."""
    PROCESSING_FAILED = 5
    """The raw data are complete on disk, but processing failed."""
    ACCURACY_MISSED = 6
    """Done, but an accuracy check on simulated data failed."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or SIGTERM: the column is safe and the session can be resumed. Or its
    terminal was closed: the session continues."""
