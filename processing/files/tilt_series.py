"""A tilt series from disk: images, angles and pixel size brought together and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processing.errors import InputFileError
from processing.files.mdoc import read_mdoc
from processing.files.mrc import MrcStack, read_stack
from processing.files.rawtlt import read_rawtlt
from processing.series import Bools, Float64, TiltSeries


def load_tilt_series(
    path: Path,
    *,
    angles: Path | None = None,
    tilt_axis_deg: float = 0.0,
    tilt_sense: int = 1,
    pixel_nm: float | None = None,
    name: str = "A",
) -> TiltSeries:
    """Read a stack and what belongs to it.

    Parameters
    ----------
    path
        ``.mrc`` or ``.mrc.gz``.
    angles
        An ``.mdoc``, ``.rawtlt`` or ``.tlt``; else the one beside the stack (in that order), else
        the extended header.
    tilt_axis_deg
        In-plane angle of the tilt axis from the image's +y towards -x. Quarter turns are taken
        out here, exactly; the rest stays in the series, for alignment to remove in its one
        interpolation.
    tilt_sense
        +1 or -1: the sign of the angles. The wrong one swaps the sides the beam enters and leaves.
    pixel_nm
        Overrides the files'.

    Raises
    ------
    InputFileError
        A file is missing or damaged, the angles do not fit the images, or no pixel size is known.
    """
    stack = read_stack(path)
    source = angles or _beside(path)
    angles_deg, mdoc_pixel_nm, excluded = _angles(path, stack, source)
    if len(angles_deg) != len(stack.data):
        where = source or f"the extended header of {path}"
        raise InputFileError(
            f"{where}: {len(angles_deg)} tilt angles for the {len(stack.data)} images of {path}; "
            "give one angle an image"
        )
    size = pixel_nm or mdoc_pixel_nm or stack.pixel_nm
    if size is None:
        raise InputFileError(f"{path}: no pixel size in the file; give one in nm")
    quarters = round(tilt_axis_deg / 90)
    images = np.rot90(stack.data, quarters, axes=(1, 2)).astype(np.float32)
    return TiltSeries(
        images=np.ascontiguousarray(images),
        angles_deg=tilt_sense * angles_deg,
        pixel_nm=size,
        excluded=excluded,
        name=name,
        tilt_axis_deg=tilt_axis_deg - 90 * quarters,
    )


def _beside(path: Path) -> Path | None:
    """The angle file that goes with a stack by its name."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    candidates = [
        path.with_name(path.name + ".mdoc"),
        plain.with_name(plain.name + ".mdoc"),
        plain.with_suffix(".mdoc"),
        plain.with_suffix(".rawtlt"),
        plain.with_suffix(".tlt"),
    ]
    return next((file for file in candidates if file.exists()), None)


def _angles(
    path: Path, stack: MrcStack, source: Path | None
) -> tuple[Float64, float | None, Bools]:
    """Angles; from an mdoc also the pixel size, if it gives one, and what it marks as excluded."""
    all_usable = np.zeros(len(stack.data), bool)
    if source is None:
        if stack.angles_deg is None:
            raise InputFileError(
                f"{path}: no tilt angles: neither {path.name}.mdoc nor a .rawtlt beside it, and "
                "none in its extended header; name one with --angles FILE"
            )
        return stack.angles_deg, None, all_usable
    if source.suffix != ".mdoc":
        return read_rawtlt(source), None, all_usable
    mdoc = read_mdoc(source)
    in_order = sorted(mdoc.sections, key=lambda section: section.z_value)
    pixel = next((s.pixel_nm for s in in_order if s.pixel_nm), None) or mdoc.header.pixel_nm
    angles_deg = np.array([section.tilt_angle_deg for section in in_order])
    return angles_deg, pixel or None, np.array([section.excluded for section in in_order], bool)
