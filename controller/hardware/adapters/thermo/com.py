"""Reaching TEM Scripting: COM on each thread that uses it, and its errors in plain words."""

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
"""HRESULTs of the TEM Scripting manual, and the one of a server that is gone."""


def open_instrument() -> Any:
    """Make temscript's Instrument for the calling thread, and for no other.

    Raises
    ------
    ImportError
        Without temscript.
    BridgeError
        If TEM Scripting does not answer.
    """
    temscript = import_module("temscript")
    _initialize_com()
    try:
        return temscript.GetInstrument()
    except (OSError, RuntimeError) as error:
        raise BridgeError(
            f"TEM Scripting does not answer ({_meaning(error)}): this must be the microscope's own "
            "PC, its TEM server running and scripting licensed"
        ) from error


@contextmanager
def asking(doing: str, kind: type[MicroscopeError] = MicroscopeError) -> Iterator[None]:
    """Raise what COM refuses, or fails at, as `kind`: "`doing`: why"."""
    try:
        yield
    except OSError as error:
        raise kind(f"{doing}: {_meaning(error)}") from error


def _meaning(error: Exception) -> str:
    code = getattr(error, "winerror", None)
    if code is None:
        return str(error)
    return f"{MEANINGS.get(code & 0xFFFFFFFF, 'COM error')} (0x{code & 0xFFFFFFFF:08X})"


def _initialize_com() -> None:
    """Enter a single-threaded apartment, as temscript itself does on the thread that imports it.

    In a multi-threaded one both instruments could end up behind each other in one apartment.
    """
    if sys.platform == "win32":
        ctypes.oledll.ole32.CoInitializeEx(None, COINIT_APARTMENTTHREADED)
