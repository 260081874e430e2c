"""Output that may end before the command does, as in ``dualtilt inspect A.mrc | head``."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WATCH_MS = 200
"""Longest wait for the reader to close its pipe, before looking whether the command has ended."""


class _Output(io.FileIO):
    """Standard stream that drops what is written after its reader has gone, or its disk is full."""

    failure = ""
    """Reason why output was lost; empty if its reader has gone, who wants no more."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.failure = str(error.strerror or error)
            # the rest, and the output of child processes, goes nowhere; the work goes on
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


def outlive_readers() -> None:
    """Let the command end as usual if the readers of its output and messages close their pipes."""
    sys.stdout, sys.stderr = _outliving(sys.stdout), _outliving(sys.stderr)


def lost_output() -> str:
    """Return why a part of what the command printed was lost, as on a full disk; else nothing."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw.failure if isinstance(raw, _Output) else ""


def _outliving(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    buffered = isinstance(stream.buffer, io.BufferedWriter)
    raw = stream.buffer.raw if isinstance(stream.buffer, io.BufferedWriter) else stream.buffer
    if not isinstance(raw, io.FileIO):
        return stream  # a console of Windows
    stream.flush()
    output = _Output(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(output) if buffered else cast(BinaryIO, output),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


@contextmanager
def interrupt_without_reader(gone: threading.Event) -> Iterator[None]:
    """Interrupt a command that only shows something, as Ctrl-C does, once its reader has gone.

    The command may have nothing to write for hours; the pipe itself is watched. Main thread only.

    Parameters
    ----------
    gone
        Set once the reader has gone.
    """
    over = threading.Event()
    try:
        output = os.dup(sys.stdout.fileno())  # `_Output` may lead the other one to nowhere
    except (OSError, ValueError):  # closed, or no file
        yield
        return
    main = threading.main_thread().ident
    assert main is not None

    def watch() -> None:
        while not over.is_set():
            if _reader_has_gone(output) and not over.is_set():
                gone.set()
                signal.pthread_kill(main, signal.SIGINT)
                return

    thread = threading.Thread(target=watch, name="reader", daemon=True)
    if hasattr(select, "poll"):  # not on Windows, where the command ends with the session
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()
        os.close(output)


def _reader_has_gone(output: int) -> bool:
    """Wait a moment for the reader of a pipe to close it; return true if it has."""
    pipe = select.poll()
    pipe.register(output, 0)  # errors and a closed other end are always reported
    return bool(pipe.poll(WATCH_MS))
