"""Points of a part of `make soak`, worked off on all cores with progress on the screen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Place of the sessions' folders; a disk would only make them slower."""
SHOW_EVERY_S = 10.0

_work: list[Callable[[int], Any]] = []
"""Work of this part; the processes of the pool inherit it."""


def worked_off(part: str, count: int, work: Callable[[int], T], at_once: int) -> list[T]:
    """Return the results of `work` on 0 to `count` - 1, in their order.

    Parameters
    ----------
    at_once
        Number of processes.
    """
    _work[:] = [work]
    begun_s = shown_s = time.monotonic()
    results: dict[int, T] = {}
    with ProcessPoolExecutor(at_once, get_context("fork")) as pool:
        waiting = {pool.submit(_one, number): number for number in range(count)}
        for future in as_completed(waiting):
            results[waiting[future]] = future.result()
            now_s = time.monotonic()
            if now_s - shown_s >= SHOW_EVERY_S or len(results) == count:
                shown_s = now_s
                spent_s = now_s - begun_s
                left_s = spent_s / len(results) * (count - len(results))
                print(
                    f"{part}: {len(results)} of {count}, {spent_s:.0f} s, "
                    f"about {left_s:.0f} s left",
                    flush=True,
                )
    return [results[number] for number in range(count)]


def _one(number: int) -> Any:
    return _work[0](number)
