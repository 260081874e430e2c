"""Connection to TEM Scripting: COM on each thread that uses it, and its errors in words."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from controller.common.errors import BridgeError
from controller.hardware.interface import MicroscopeError

COINIT_APARTMENTTHREADED = 2

MEANINGS = {
    0x8004FFFF: "not OK",
    0x8004FFFE: "value clipped",
    0x8004FFFD: "out of range",
    0x8004FFFC: "not implemented",
    0x8000FFFF: "unexpected",
    0x80004001: "not implemented",
    0x80070057: "invalid argument",
    0x80004004: "aborted",
    0x80004005: "failed",
    0x80070005: "access denied",
    0x800706BA: "the TEM server does not answer",
}
"""Meaning of the HRESULTs in the TEM Scripting manual, and of a server that is gone."""


def open_instrument() -> Any:
    """Open temscript's Instrument for use on the calling thread only.

    Raises
    ------
    ImportError
        If temscript is missing.
    BridgeError
        If TEM Scripting does not answer.
    """
    temscript = import_module("temscript")
    _initialize_com()
    try:
        return temscript.GetInstrument()
    except (OSError, RuntimeError) as error:
        raise BridgeError(
            f"TEM Scripting does not answer ({_meaning(error)}): run this on the microscope's own "
            "PC, start its TEM server and check the scripting licence"
        ) from error


@contextmanager
def translate_errors(
    action: str, error_type: type[MicroscopeError] = MicroscopeError
) -> Iterator[None]:
    """Raise an error of COM as `error_type`, with the message "`action`: reason"."""
    try:
        yield
    except OSError as error:
        raise error_type(f"{action}: {_meaning(error)}") from error


def _meaning(error: Exception) -> str:
    code = getattr(error, "winerror", None)
    if code is None:
        return str(error)
    return f"{MEANINGS.get(code & 0xFFFFFFFF, 'COM error')} (0x{code & 0xFFFFFFFF:08X})"


def _initialize_com() -> None:
    """Enter a single-threaded apartment, as temscript does on the thread that imports it.

    In a multi-threaded apartment both instrument objects could share one apartment and wait for
    each other.
    """
    if sys.platform == "win32":
        ctypes.oledll.ole32.CoInitializeEx(None, COINIT_APARTMENTTHREADED)
