"""Read stacks and images that are no MRC files, with rosettasciio; those of Velox directly.

Rows stay in the order of the file; the first row is the lowest y.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.compressed import CHUNK_BYTES, is_compressed, open_plain, plain_name
from processing.files.mrc_header import unequal_sides
from processing.files.velox import is_velox, read_velox

READERS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".hspy": "hspy",
    ".zspy": "zspy",
    ".ser": "tia",
    ".emi": "tia",
    ".tif": "tiff",
    ".tiff": "tiff",
}
"""Module of rosettasciio that reads the files of a suffix."""
LARGEST_UNPACKED_BYTES = 32_000_000_000
"""Largest compressed file that is unpacked to a temporary file."""
LARGEST_NM = 1e6
"""Largest pixel size that can be a length; reciprocal units of diffraction images exceed it."""
NM_PER_UNIT = {
    **dict.fromkeys(("nm", "n_m", "[n_m]", "nanometer", "nanometers", "nanometre"), 1.0),
    **dict.fromkeys(("å", "a", "angstrom", "angstroms", "ångström"), 0.1),
    **dict.fromkeys(("um", "µm", "μm", "\\u00b5m", "micron", "microns", "micrometer"), 1e3),
    **dict.fromkeys(("pm", "picometer"), 1e-3),
    **dict.fromkeys(("mm",), 1e6),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
}
DEGREES_PER_UNIT = {
    **dict.fromkeys(("deg", "degree", "degrees", "°", "[deg]"), 1.0),
    **dict.fromkeys(("rad", "radian", "radians", "[rad]"), 180 / np.pi),
}
DM_STAGE_TILT = "Stage Alpha"
"""Tag of Digital Micrograph; one value for a whole stack, so it helps for single images."""
TILT_NAMES = ("tilt", "angle", "projection")


@dataclass(frozen=True)
class ForeignStack:
    """Images [image, y, x] with pixel size and tilt angles, None where the file has none."""

    images: NDArray[Any]
    pixel_nm: float | None
    angles_deg: NDArray[np.float64] | None
    notes: tuple[str, ...] = ()


def is_foreign(path: Path) -> bool:
    """Recognise a file of rosettasciio by its suffix, compressed or not."""
    return plain_name(path).suffix.lower() in READERS


def format_name(path: Path) -> str:
    """Return the name of a file's format, e.g. ``DM4``."""
    return plain_name(path).suffix[1:].upper()


def read_foreign(path: Path) -> ForeignStack:
    """Read the largest stack of images in a file.

    Raises
    ------
    InputFileError
        The file is missing or damaged, or holds no images.
    """
    if not path.exists():
        raise InputFileError(f"{path}: no such file")
    if path.is_dir() or not is_compressed(path):
        signals = _signals(path, path)
    else:
        with tempfile.TemporaryDirectory(prefix="dualtilt-") as folder:
            plain = Path(folder) / plain_name(path).name
            _unpack(path, plain)
            signals = _signals(plain, path)
    stacks = [signal for signal in signals if np.ndim(signal["data"]) in (2, 3)]
    stacks = [signal for signal in stacks if _holds_greys(signal["data"])]
    if not stacks:
        raise InputFileError(f"{path}: holds no image and no stack of images; give a tilt series")
    chosen = max(stacks, key=_preference)
    return _stack(chosen, _choice_notes(chosen, stacks))


def _unpack(path: Path, target: Path) -> None:
    """Decompress a file, but not without end."""
    size = 0
    with open_plain(path) as packed, target.open("wb") as unpacked:
        while chunk := packed.read(CHUNK_BYTES):
            size += len(chunk)
            if size > LARGEST_UNPACKED_BYTES:
                raise InputFileError(
                    f"{path}: holds more than {LARGEST_UNPACKED_BYTES / 1e9:g} GB; unpack it first"
                )
            unpacked.write(chunk)


def _holds_greys(data: Any) -> bool:
    """Return true for real numbers or colours, at least one; diffraction may be complex."""
    return np.size(data) > 0 and (data.dtype.kind in "iufb" or bool(data.dtype.names))


def _preference(signal: Mapping[str, Any]) -> tuple[int, int, bool]:
    """Return a key that is largest for the largest stack, and for HAADF among equals."""
    data = signal["data"]
    return np.ndim(data), np.size(data), "HAADF" in _title(signal)


def _signals(path: Path, named: Path) -> list[Mapping[str, Any]]:
    """Read everything in a file; `named` is the name for messages."""
    suffix = path.suffix.lower()
    with _quiet():
        try:
            if suffix == ".emd" and is_velox(path):
                return read_velox(path)
            reader = importlib.import_module(f"rsciio.{READERS[suffix]}")
            return list(reader.file_reader(str(path), lazy=False))
        except MemoryError:
            reason = "it does not fit the memory"
        except ImportError as error:
            raise InputFileError(f"{named}: {' '.join(str(error).split())}") from None
        except Exception as error:  # noqa: BLE001 - each format's reader fails in its own ways
            reason = " ".join(str(error).split())[:120] or type(error).__name__
        gc.collect()  # closes the files that a reader leaves open when it fails
    raise InputFileError(
        f"{named}: cannot be read as {format_name(named)} ({reason}); it is cut off, damaged or of "
        "another format"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the readers: what they log and warn of is said in one line."""
    loggers = [logging.getLogger(name) for name in ("rsciio", "tifffile")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _choice_notes(
    chosen: Mapping[str, Any], stacks: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    rivals = [signal for signal in stacks if np.shape(signal["data"]) == np.shape(chosen["data"])]
    if len(rivals) < 2:
        return ()
    names = [_title(signal) or f"number {n}" for n, signal in enumerate(rivals, start=1)]
    used = next(name for name, rival in zip(names, rivals, strict=True) if rival is chosen)
    return (f"{len(rivals)} signals of one size ({', '.join(names)}); {used} is used",)


def _title(signal: Mapping[str, Any]) -> str:
    return str(_entry(signal.get("metadata", {}), "General", "title") or "")


def _stack(signal: Mapping[str, Any], notes: tuple[str, ...]) -> ForeignStack:
    images = np.asarray(signal["data"])
    axes = list(signal["axes"])
    if images.dtype.names:  # colours
        images = np.mean([images[name] for name in images.dtype.names], axis=0)
        notes = (*notes, "a colour image; the mean of its colours is used")
    if images.ndim == 2:
        images, axes = images[None], [{"name": "image", "size": 1}, *axes]
    tilt = _tilt_axis(axes)
    images = np.moveaxis(images, tilt, 0)
    tilt_axis = axes.pop(tilt)
    if [str(axis.get("name")).lower() for axis in axes] == ["x", "y"]:
        images, axes = np.swapaxes(images, 1, 2), axes[::-1]
    angles = _angles(tilt_axis, signal, len(images))
    height_nm, width_nm = (_pixel_nm(axis, signal) for axis in axes)
    if height_nm and width_nm:
        notes = (*notes, *unequal_sides(width_nm, height_nm))
    return ForeignStack(images, width_nm, angles, notes)


def _tilt_axis(axes: Sequence[Mapping[str, Any]]) -> int:
    """Return the axis that counts the images: by its unit, by its name, else the first."""
    for number, axis in enumerate(axes):
        if str(axis.get("units")).lower() in DEGREES_PER_UNIT:
            return number
    for number, axis in enumerate(axes):
        if any(word in str(axis.get("name")).lower() for word in TILT_NAMES):
            return number
    return 0


def _angles(
    axis: Mapping[str, Any], signal: Mapping[str, Any], images: int
) -> NDArray[np.float64] | None:
    """Return angles from the tilt signal of HyperSpy's tomography, the axis or the stage."""
    metadata = signal.get("metadata", {})
    for values in (
        _entry(metadata, "Tomography", "_sig_tilts", "data"),
        _on_axis(axis, images),
        _entry(metadata, "Acquisition_instrument", "TEM", "Stage", "tilt_alpha"),
        _find(signal.get("original_metadata", {}), DM_STAGE_TILT),
    ):
        if values is None:
            continue
        angles = np.ravel(np.asarray(values, np.float64))[:images]
        if len(angles) == images and np.all(np.isfinite(angles)):
            return angles
    return None


def _on_axis(axis: Mapping[str, Any], images: int) -> NDArray[np.float64] | None:
    degrees = DEGREES_PER_UNIT.get(str(axis.get("units")).lower())
    if degrees is None:
        return None
    if axis.get("axis") is not None:
        return degrees * np.asarray(axis["axis"], np.float64)
    steps = np.arange(images, dtype=np.float64)
    return degrees * (float(axis.get("offset", 0)) + float(axis.get("scale", 1)) * steps)


def _pixel_nm(axis: Mapping[str, Any], signal: Mapping[str, Any]) -> float | None:
    unit = axis.get("units") or _unit_of_imagej(signal)
    nm = NM_PER_UNIT.get(str(unit).strip().lower())
    scale = float(axis.get("scale") or 0)
    pixel_nm = abs(scale) * nm if nm is not None else 0.0
    return pixel_nm if 0 < pixel_nm < LARGEST_NM else None


def _unit_of_imagej(signal: Mapping[str, Any]) -> str | None:
    """Return the unit in the description that ImageJ writes into a TIFF file."""
    description = _entry(signal.get("original_metadata", {}), "ImageDescription")
    found = re.search(r"^unit=(.+)$", str(description), re.M)
    return found[1] if found else None


def _entry(tree: Any, *keys: str) -> Any:
    """Return what stands in nested mappings under the keys, or None."""
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return None
        tree = tree[key]
    return tree


def _find(tree: Any, key: str) -> Any:
    """Return the first value of a key at any depth of nested mappings, or None."""
    if not isinstance(tree, Mapping):
        return None
    if key in tree:
        return tree[key]
    branches = (_find(branch, key) for branch in tree.values())
    return next((value for value in branches if value is not None), None)
