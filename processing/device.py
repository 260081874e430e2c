"""Processor that a computation runs on: the cores of this machine, or a GPU.

CuPy has the interfaces of NumPy and of SciPy, so the same code runs on both. A computation takes
its namespaces from a `Device`, moves its input there and its result back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import Lock, Thread
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import fft, sparse
from scipy.sparse import csr_matrix

from processing.errors import DeviceError
from processing.parallel import (
    Result,
    blocks,
    map_in_threads,
    over_blocks,
    slabs,
    worker_threads,
)
from processing.scratch import Allocate

DeviceName = Literal["auto", "cpu", "cuda"]
"""Device as a user names it; `auto` is a GPU where there is one."""
USED_SHARE = 0.4
"""Fraction of a GPU's free memory that one computation may take: two processes may share it."""
IDLE_SHARE = 0.05
"""Fraction of a GPU's memory that a process keeps for its next arrays. To get it again takes time,
but another process may need it."""
INSTALL = "pip install -e '.[gpu]' in dualtilt's source folder"

Array = Any
"""Array of the device: NumPy's or CuPy's."""


@dataclass(frozen=True)
class Device:
    """Namespaces of the arrays of one processor.

    Attributes
    ----------
    name
        ``cpu`` or ``cuda``.
    xp
        Array namespace, of the Python array API standard.
    fft, sparse
        Modules with the interface of SciPy's.
    """

    name: Literal["cpu", "cuda"]
    xp: ModuleType
    fft: ModuleType
    sparse: ModuleType

    @property
    def is_gpu(self) -> bool:
        """True if arrays are in the memory of a GPU."""
        return self.name == "cuda"

    def to_device(self, array: ArrayLike, dtype: DTypeLike | None = None) -> Array:
        """Return an array as one of the device; the same array where nothing changes."""
        return self.xp.asarray(array, dtype=dtype)

    def to_host(self, array: Array) -> NDArray[Any]:
        """Return an array of the device as one of NumPy."""
        on_host: NDArray[Any] = array.get() if self.is_gpu else array
        return on_host

    def csr(self, matrix: csr_matrix) -> Array:
        """Return a sparse matrix of SciPy as one of the device."""
        if not self.is_gpu:
            return matrix
        moved = self.sparse.csr_matrix(matrix)
        moved.has_canonical_format = True  # entries occur once; checking it would take as long
        return moved

    def free_bytes(self) -> float:
        """Return the memory that one computation may take; no limit on the CPU."""
        if not self.is_gpu:
            return np.inf
        cupy = import_module("cupy")
        idle = cupy.get_default_memory_pool()
        free, whole = cupy.cuda.Device().mem_info
        if idle.free_bytes() > IDLE_SHARE * whole:
            idle.free_all_blocks()
            free, whole = cupy.cuda.Device().mem_info
        return USED_SHARE * float(free + idle.free_bytes())

    def holds(self, needed_bytes: float) -> bool:
        """Return true if a computation that needs this memory fits the device."""
        return needed_bytes <= self.free_bytes()

    def allocator(self, host: Allocate) -> Allocate:
        """Return the function that creates arrays of the device; on the CPU it is `host`."""
        return (lambda shape, dtype: self.xp.empty(shape, dtype=dtype)) if self.is_gpu else host

    def threads(self) -> int:
        """Return the number of threads that compute side by side: a GPU needs only one."""
        return 1 if self.is_gpu else worker_threads()

    def executor(self) -> Executor:
        """Return the threads that compute side by side, to be used as a context."""
        threads = self.threads()
        return _ThisThread() if threads == 1 else ThreadPoolExecutor(threads)

    def blocks(self, slices: int, bytes_per_slice: float) -> list[slice]:
        """Divide `slices` into blocks: one for each thread, or as large as a GPU holds."""
        if not self.is_gpu:
            return blocks(slices)
        return list(slabs(slices, max(1, int(self.free_bytes() / bytes_per_slice))))

    def map(self, work: Callable[..., Result], *items: Iterable[Any]) -> Iterator[Result]:
        """Yield the result of `work` for each item in order: in threads, or one by one on a GPU."""
        return map(work, *items) if self.is_gpu else map_in_threads(work, *items)

    def blocks_of_one(self, items: int, item_bytes: float) -> list[slice]:
        """Divide `items` of equal size: one by one for threads, or as many as a GPU holds."""
        return self.blocks(items, item_bytes) if self.is_gpu else list(slabs(items, 1))

    def over_blocks(self, work: Callable[[slice], None], slices: int, width: int) -> None:
        """Run `work` on blocks of at most `width` slices in threads; on a GPU on all at once."""
        if self.is_gpu:
            work(slice(0, slices))
        else:
            over_blocks(work, slices, width)


class _ThisThread(Executor):
    """Executor without threads: a single one would be no faster, and CUDA sets up each one anew.

    Its `map` alone is used, and gives each result when it is asked for.
    """

    def map(
        self, fn: Callable[..., Result], *iterables: Iterable[Any], **_: Any
    ) -> Iterator[Result]:
        """Call `fn` in the caller's thread."""
        return map(fn, *iterables)


CPU = Device("cpu", np, fft, sparse)


def device(name: DeviceName) -> Device:
    """Return the device of this name.

    Raises
    ------
    DeviceError
        There is no GPU, or what is needed to use it is missing.
    """
    if name == "cpu":
        return CPU
    try:
        with _loading:
            return _gpu()
    except DeviceError:
        if name == "cuda":
            raise
        return CPU


def load_in_background(name: DeviceName) -> None:
    """Begin to load what a GPU needs, in a thread; `device` waits for it, and reports errors."""

    def load() -> None:
        with suppress(DeviceError):
            device(name)

    Thread(target=load, daemon=True).start()


_loading = Lock()


@cache
def _gpu() -> Device:
    """Return the GPU. The first call takes a second or two."""
    try:
        cupy = import_module("cupy")
    except ImportError as error:
        raise DeviceError(
            f"device cuda: CuPy is not installed ({error}); install it ({INSTALL}), "
            "or choose --device cpu"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"device cuda: no GPU can be used ({error}); check that nvidia-smi lists one and that "
            "its driver fits CuPy's CUDA version, or choose --device cpu"
        ) from error
    if count == 0 or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        raise DeviceError("device cuda: this machine shows no GPU; choose --device cpu")
    xp = import_module("array_api_compat").array_namespace(cupy.empty(0))
    gpu = Device("cuda", xp, import_module("cupyx.scipy.fft"), import_module("cupyx.scipy.sparse"))
    # loading CUDA's libraries takes a second, while the files are read
    Thread(target=_load_libraries, args=(gpu,), daemon=True).start()
    return gpu


def _load_libraries(gpu: Device) -> None:
    """Use each of CUDA's libraries once."""
    ones = gpu.xp.ones((4, 4), dtype=np.float32)
    spectrum = gpu.fft.rfft2(ones @ ones)
    gpu.to_host(gpu.sparse.csr_matrix(ones) @ gpu.fft.irfft2(spectrum))
