"""Errors shown to the operator: one line that says what is wrong, where, and what to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

from controller.common.exit_codes import ExitCode


class DualtiltError(Exception):
    """Base class of errors that are shown in one line; `exit_code` is that of the command."""

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
    """The raw data are complete, but processing failed."""

    exit_code = ExitCode.PROCESSING_FAILED


TEMPORARY_NAME = re.compile(r"\.[0-9a-f]+\.partial$")
"""End of the name of a file that replaces another one."""
NO_MEMORY = (MemoryError, SystemError)
"""Errors without memory: libraries in C report some failed allocations as a SystemError."""


@contextmanager
def library_failure_as_system_error() -> Iterator[None]:
    """Raise a SystemError where pydantic fails by itself, as it does if an allocation fails.

    It panics, or raises an AttributeError about its own objects. Its panic is no `Exception`, and
    has no public type.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ == "PanicException" or _is_pydantics_own(error):
            raise SystemError(str(error)) from error
        raise


def _is_pydantics_own(error: BaseException) -> bool:
    """Return whether an attribute is missing in pydantic itself, not in a model of ours."""
    if not isinstance(error, AttributeError) or error.__traceback__ is None:
        return False
    *_, (frame, _) = walk_tb(error.__traceback__)
    module = str(frame.f_globals.get("__name__", ""))
    return module.startswith("pydantic.") and frame.f_code.co_name != "__getattr__"


def quoted(path: Path | str) -> str:
    """Return a path as one word of a command, so that it can be typed as shown."""
    return shlex.quote(str(path))


def no_memory_text(error: BaseException, folder: Path) -> str:
    """Return the reason why the session in a folder ended by one of `NO_MEMORY`."""
    reason = "no memory left"
    if isinstance(error, SystemError):
        reason = f"a library failed, probably without memory: {error}"
    return f"{reason}; close other programs, then: dualtilt resume {quoted(folder)}"


def os_error_text(error: OSError) -> str:
    """Return what the system refused, after the name of the file that it is about."""
    name = Path(error.filename).name if isinstance(error.filename, str) else ""
    name = TEMPORARY_NAME.sub("", name)
    return f"{name}: {error.strerror or error}" if name else str(error.strerror or error)


def path_error_text(error: Exception, folder: Path) -> str:
    """Return an error of the system as ``path: reason``; other errors as they are.

    A failed write names no file; then the path is that of the `folder` written to.
    """
    if isinstance(error, OSError) and error.strerror:
        named = isinstance(error.filename, str)
        path = TEMPORARY_NAME.sub("", error.filename) if named else str(folder)
        return str(error.strerror) if path == "." else f"{path}: {error.strerror}"
    return str(error)


def one_line(text: str) -> str:
    """Escape line breaks and control characters in somebody else's text, for messages."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
