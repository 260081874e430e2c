"""Every open, write, truncation, sync, rename and thread start of this process passes a hook."""

from __future__ import annotations

import builtins
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KINDS = ("open", "write", "truncate", "sync", "rename", "thread")
Hook = Callable[[str, str], int | None]
"""Called with kind and file before each operation. It may raise, or wait; for a write it may
return the number of bytes that are written at most."""

_real_open, _real_os_open, _real_write = io.open, os.open, os.write
_real_fsync, _real_fdatasync = os.fsync, getattr(os, "fdatasync", os.fsync)
_real_replace, _real_start = os.replace, threading.Thread.start
_hook: list[Hook] = []


class HookedFile(io.FileIO):
    """Unbuffered file whose writes and truncations pass the hook."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        limit = _pass("write", str(self.name))
        written = super().write(view if limit is None else view[: max(1, limit)])
        assert written is not None
        return written

    def truncate(self, size: int | None = None, /) -> int:
        _pass("truncate", str(self.name))
        return super().truncate(size)


@contextmanager
def hooked(hook: Hook) -> Iterator[None]:
    """Pass every operation through `hook` meanwhile."""
    _hook.append(hook)
    _install()
    try:
        yield
    finally:
        _hook.pop()
        if not _hook:
            _uninstall()


def _pass(kind: str, name: str) -> int | None:
    return _hook[-1](kind, name) if _hook else None


def _open(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    if not isinstance(file, (str, os.PathLike)):
        return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    _pass("open", str(file))
    if not set(mode) & set("wax+"):
        return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = HookedFile(os.fspath(file), mode.replace("b", "").replace("t", ""), closefd, opener)
    if buffering == 0:
        return raw
    buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)


def _os_open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    _pass("open", str(path))
    return _real_os_open(path, flags, mode, dir_fd=dir_fd)


def _os_write(descriptor: int, data: Any) -> int:
    limit = _pass("write", _name(descriptor))
    return _real_write(descriptor, data if limit is None else memoryview(data)[: max(1, limit)])


def _fsync(descriptor: int) -> None:
    _pass("sync", _name(descriptor))
    _real_fsync(descriptor)


def _fdatasync(descriptor: int) -> None:
    _pass("sync", _name(descriptor))
    _real_fdatasync(descriptor)


def _replace(source: Any, target: Any, **options: Any) -> None:
    _pass("rename", str(target))
    _real_replace(source, target, **options)


def _start(thread: threading.Thread) -> None:
    _pass("thread", thread.name)
    _real_start(thread)


def _name(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _install() -> None:
    io.open = builtins.open = _open  # type: ignore[assignment]
    os.open, os.write, os.fsync, os.replace = _os_open, _os_write, _fsync, _replace
    os.fdatasync = _fdatasync
    threading.Thread.start = _start  # type: ignore[method-assign]
    _swap(_real_fdatasync, _fdatasync)
    _swap(io.FileIO, HookedFile)


def _uninstall() -> None:
    io.open = builtins.open = _real_open
    os.open, os.write, os.fsync, os.replace = _real_os_open, _real_write, _real_fsync, _real_replace
    os.fdatasync = _real_fdatasync
    threading.Thread.start = _real_start  # type: ignore[method-assign]
    _swap(_fdatasync, _real_fdatasync)
    _swap(HookedFile, io.FileIO)


def _swap(before: Any, after: Any) -> None:
    """Replace an object that our modules have imported by name."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("controller", "processing"):
            for attribute, value in list(vars(module).items()):
                if value is before:
                    setattr(module, attribute, after)
