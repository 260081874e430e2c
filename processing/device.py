"""Processor that a computation runs on: the cores of this machine, or a GPU.

CuPy has the interfaces of NumPy and of SciPy, so the same code runs on both. A computation takes
its namespaces from a `Device`, moves its input there and its result back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import Thread
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import fft, sparse
from scipy.sparse import csr_matrix

from processing.errors import DeviceError
from processing.parallel import blocks, over_blocks, slabs, worker_threads
from processing.scratch import Allocate

DeviceName = Literal["auto", "cpu", "cuda"]
"""Device as a user names it; `auto` is a GPU where there is one."""
USED_SHARE = 0.4
"""Fraction of a GPU's free memory that one computation may take: two processes may share it."""
INSTALL = "pip install 'dualtilt[gpu]'"

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
        cupy.get_default_memory_pool().free_all_blocks()
        return USED_SHARE * float(cupy.cuda.Device().mem_info[0])

    def holds(self, needed_bytes: float) -> bool:
        """Return true if a computation that needs this memory fits the device."""
        return needed_bytes <= self.free_bytes()

    def allocator(self, host: Allocate) -> Allocate:
        """Return the function that creates arrays of the device; on the CPU it is `host`."""
        return (lambda shape, dtype: self.xp.empty(shape, dtype=dtype)) if self.is_gpu else host

    def threads(self) -> int:
        """Return the number of threads that compute side by side: a GPU needs only one."""
        return 1 if self.is_gpu else worker_threads()

    def blocks(self, slices: int, bytes_per_slice: float) -> list[slice]:
        """Divide `slices` into blocks: one for each thread, or as large as a GPU holds."""
        if not self.is_gpu:
            return blocks(slices)
        return list(slabs(slices, max(1, int(self.free_bytes() / bytes_per_slice))))

    def over_blocks(self, work: Callable[[slice], None], slices: int, width: int) -> None:
        """Run `work` on blocks of at most `width` slices in threads; on a GPU on all at once."""
        if self.is_gpu:
            work(slice(0, slices))
        else:
            over_blocks(work, slices, width)


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
        return _gpu()
    except DeviceError:
        if name == "cuda":
            raise
        return CPU


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
