"""Device without a GPU whose arrays behave as CuPy's: they never meet an array of NumPy unnoticed.

Code that mixes the arrays of host and device works with NumPy alone, and fails on a GPU. With these
arrays it fails everywhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

import numpy as np
from scipy import fft, sparse

from processing.device import Device

BINARY = "add sub mul truediv floordiv mod pow matmul lt le gt ge eq ne and or xor"
UNARY = "neg abs invert"
METHODS = "all any argmax astype conj copy max mean min ravel reshape squeeze std sum swapaxes"
"""Operators and methods by their names."""


class StrictArray:
    """Array of the device; the host gets it by `get` alone."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.asarray(values)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("an array of the device is used as one of NumPy; move it to the host")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return wrapped(getattr(ufunc, method))(*inputs, **options)

    def __array_function__(self, function: Any, _: object, inputs: Any, options: Any) -> Any:
        return wrapped(function)(*inputs, **options)

    def __getitem__(self, key: Any) -> StrictArray:
        return StrictArray(self.values[_inner(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.values[_inner(key)] = _own(value)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[StrictArray]:
        return map(StrictArray, self.values)

    def __float__(self) -> float:
        return float(self.values)

    def __int__(self) -> int:
        return int(self.values)

    def __bool__(self) -> bool:
        return bool(self.values)

    def __getattr__(self, name: str) -> Any:
        if name not in ("shape", "size", "ndim", "dtype", "nbytes", "T", "real", "imag", "view"):
            raise AttributeError(name)
        found = getattr(self.values, name)
        return wrapped(found) if callable(found) and name == "view" else _outer(found)

    def get(self) -> np.ndarray:
        """Return a copy in the host's memory."""
        return self.values.copy()


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of NumPy or SciPy as one of the device."""

    def on_device(*inputs: Any, **options: Any) -> Any:
        inputs = tuple(_own(each) for each in inputs)
        return _outer(function(*inputs, **{name: _own(each) for name, each in options.items()}))

    return on_device


def _own(value: Any) -> Any:
    """Return the values of an array of the device; refuse one of the host."""
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("an array of NumPy meets the device; move it there first")
    if isinstance(value, list | tuple):
        return type(value)(_own(each) for each in value)
    return value.values if isinstance(value, StrictArray) else value


def _inner(key: Any) -> Any:
    """Return an index, which may be an array of the host: CuPy moves it."""
    if isinstance(key, tuple):
        return tuple(_inner(each) for each in key)
    return key.values if isinstance(key, StrictArray) else key


def _outer(found: Any) -> Any:
    if isinstance(found, list | tuple) and any(isinstance(each, np.ndarray) for each in found):
        return type(found)(_outer(each) for each in found)
    return StrictArray(found) if isinstance(found, np.ndarray | np.generic) else found


def _binary(name: str) -> None:
    function = getattr(operator, f"__{name}__")

    def forward(self: StrictArray, other: Any) -> Any:
        if isinstance(other, StrictMatrix):
            return NotImplemented
        return wrapped(function)(self, other)

    def backward(self: StrictArray, other: Any) -> Any:
        return wrapped(function)(other, self)

    def in_place(self: StrictArray, other: Any) -> StrictArray:
        self.values[...] = function(self.values, _own(other))
        return self

    setattr(StrictArray, f"__{name}__", forward)
    setattr(StrictArray, f"__r{name}__", backward)
    setattr(StrictArray, f"__i{name}__", in_place)


def _method(name: str) -> None:
    def method(self: StrictArray, *inputs: Any, **options: Any) -> Any:
        return wrapped(getattr(self.values, name))(*inputs, **options)

    setattr(StrictArray, name, method)


for _name in BINARY.split():
    _binary(_name)
for _name in UNARY.split():
    _function = getattr(operator, f"__{_name}__")
    setattr(StrictArray, f"__{_name}__", lambda self, f=_function: StrictArray(f(self.values)))
for _name in METHODS.split():
    _method(_name)


class StrictMatrix:
    """Sparse matrix of the device."""

    def __init__(self, content: Any, shape: tuple[int, ...] | None = None) -> None:
        if sparse.issparse(content):
            self.matrix = content.copy()
        else:
            self.matrix = sparse.csr_matrix(_own(content), shape=shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return cast(tuple[int, ...], self.matrix.shape)

    @property
    def T(self) -> StrictMatrix:
        """Transpose."""
        return StrictMatrix(self.matrix.T)

    def tocsr(self) -> StrictMatrix:
        """Return the matrix stored by rows."""
        return StrictMatrix(self.matrix.tocsr())

    def sum(self, axis: int) -> StrictArray:
        """Return the sums along an axis."""
        return StrictArray(np.asarray(self.matrix.sum(axis=axis)))

    def __matmul__(self, other: StrictArray) -> StrictArray:
        return StrictArray(self.matrix @ _own(other))


class _Namespace:
    """Functions of a module for arrays of the device."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return wrapped(found) if callable(found) and not isinstance(found, type) else found


class _Arrays(_Namespace):
    @staticmethod
    def asarray(values: Any, dtype: Any = None) -> StrictArray:
        """Move an array to the device."""
        if isinstance(values, StrictArray):
            same = dtype is None or values.dtype == dtype
            return values if same else StrictArray(values.values.astype(dtype))
        return StrictArray(np.array(values, dtype=dtype))


class _Sparse:
    csr_matrix = StrictMatrix


@dataclass(frozen=True)
class StrictDevice(Device):
    """Device that is used as a GPU: whole slices, whole volumes, all views at once."""

    @property
    def is_gpu(self) -> bool:
        """True: its arrays are not NumPy's."""
        return True

    def free_bytes(self) -> float:
        """Return the memory of a small card."""
        return 1e9


def strict_device() -> Device:
    """Return the device."""
    namespaces = (_Arrays(np), _Namespace(fft), _Sparse())
    return StrictDevice("cpu", *cast(tuple[ModuleType, ...], namespaces))
