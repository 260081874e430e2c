"""Work on blocks of slices in several threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")

BLOCK_SLICES = 96
"""Maximum number of slices in a block: wide enough to amortise reading the system matrix."""

USUAL_CACHE_BYTES = 2**20
"""Second-level cache of a core of an older processor."""


THREADS_VARIABLE = "DUALTILT_THREADS"
"""Environment variable that limits the threads of a process and of its child processes."""


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def worker_threads() -> int:
    """Return the number of threads to use: the usable cores, or fewer if they are limited."""
    limit = os.environ.get(THREADS_VARIABLE, "")
    return min(int(limit), usable_cores()) if limit.isdecimal() and int(limit) else usable_cores()


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit the threads of this process, and of the child processes started meanwhile."""
    before = os.environ.get(THREADS_VARIABLE)
    os.environ[THREADS_VARIABLE] = str(threads)
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS_VARIABLE]
        else:
            os.environ[THREADS_VARIABLE] = before


@contextmanager
def threads_for_two_processes() -> Iterator[None]:
    """Give this process and one child half of its threads each, if these are limited."""
    if THREADS_VARIABLE not in os.environ:
        yield
        return
    with limited_threads(max(1, worker_threads() // 2)):
        yield


@cache
def cache_bytes() -> int:
    """Return the size of the second-level cache of a core; 1 MiB where Linux does not tell it."""
    index = Path("/sys/devices/system/cpu/cpu0/cache/index2")
    try:
        kind, size = ((index / name).read_text().strip() for name in ("type", "size"))
        return int(size.removesuffix("K")) * 1024 if kind != "Instruction" else USUAL_CACHE_BYTES
    except (OSError, ValueError):
        return USUAL_CACHE_BYTES


def slabs(slices: int, width: int = BLOCK_SLICES) -> Iterator[slice]:
    """Divide `slices` evenly into runs of at most `width`."""
    count = max(1, -(-slices // width))
    edges = np.linspace(0, slices, count + 1).round().astype(int)
    return (slice(int(a), int(b)) for a, b in pairwise(edges))


def blocks(slices: int) -> list[slice]:
    """Divide `slices` into blocks, the same number for each thread.

    All threads then finish at about the same time.
    """
    threads = worker_threads()
    rounds = max(1, -(-slices // (threads * BLOCK_SLICES)))
    return list(slabs(slices, max(1, -(-slices // (threads * rounds)))))


class _Here(threading.local):
    """Mark of the threads that share the cores already."""

    shares_cores = False


_here = _Here()


def each_in_threads(
    work: Callable[..., Result], *items: Iterable[Any], at_most: int | None = None
) -> list[Result]:
    """Return the result of `work` for each item, or for the items of several sequences together."""
    return list(map_in_threads(work, *items, at_most=at_most))


def map_in_threads(
    work: Callable[..., Result], *items: Iterable[Any], at_most: int | None = None
) -> Iterator[Result]:
    """Yield the result of `work` for each item in order, as soon as it is there.

    All callers share the threads: starting new ones for each call takes longer than a small block
    of work where other programs keep the cores busy. Work that itself runs in one of these threads
    does its parts one after another, and must start no threads that would wait for these.

    Parameters
    ----------
    at_most
        Largest number of threads; default all.

    Raises
    ------
    Exception
        The error of the first item that fails, once nothing runs any more.
    """
    tasks = list(zip(*items, strict=True))
    threads = min(worker_threads(), at_most or worker_threads())
    if _here.shares_cores or threads == 1 or len(tasks) < 2:
        for task in tasks:
            yield work(*task)
        return
    pool = _shared_pool(threads)
    futures = [pool.submit(work, *task) for task in tasks]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
        wait(futures)


def over_blocks(work: Callable[[slice], None], slices: int, width: int | None = None) -> None:
    """Run `work` on every block in threads.

    Blocks have `width` slices at most; without `width`, `blocks` chooses.
    """
    each_in_threads(work, blocks(slices) if width is None else slabs(slices, width))


@cache
def _shared_pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "shared", initializer=_share_cores)


def _share_cores() -> None:
    _here.shares_cores = True


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_shared_pool.cache_clear)
