"""Load a tilt series: images, tilt angles and pixel size, checked against each other."""

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
    """Read a stack with its tilt angles, pixel size and exclusion marks.

    Parameters
    ----------
    path
        ``.mrc`` or ``.mrc.gz``.
    angles
        An ``.mdoc``, ``.rawtlt`` or ``.tlt`` file. By default the one beside the stack (in that
        order), else the extended header.
    tilt_axis_deg
        In-plane angle of the tilt axis from the image's +y towards -x. Quarter turns are removed
        here, exactly; alignment removes the rest in its single interpolation.
    tilt_sense
        +1 or -1, multiplies the angles. The wrong sign exchanges the beam's entrance and exit side.
    pixel_nm
        Pixel size to use instead of the one in the files.

    Raises
    ------
    InputFileError
        A file is missing or damaged, the number of angles differs from the number of images, or
        no pixel size is known.
    """
    stack = read_stack(path)
    source = angles or _angle_file_beside(path)
    angles_deg, mdoc_pixel_nm, excluded = _read_angles(path, stack, source)
    if len(angles_deg) != len(stack.data):
        where = source or f"the extended header of {path}"
        raise InputFileError(
            f"{where}: {len(angles_deg)} tilt angles for the {len(stack.data)} images of {path}; "
            "give one angle for each image"
        )
    known_pixel_nm = pixel_nm or mdoc_pixel_nm or stack.pixel_nm
    if known_pixel_nm is None:
        raise InputFileError(f"{path}: no pixel size in the file; give one in nm")
    quarter_turns = round(tilt_axis_deg / 90)
    images = np.rot90(stack.data, quarter_turns, axes=(1, 2)).astype(np.float32)
    return TiltSeries(
        images=np.ascontiguousarray(images),
        angles_deg=tilt_sense * angles_deg,
        pixel_nm=known_pixel_nm,
        excluded=excluded,
        name=name,
        tilt_axis_deg=tilt_axis_deg - 90 * quarter_turns,
    )


def _angle_file_beside(path: Path) -> Path | None:
    """Find the angle file in the stack's folder that has the stack's name."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    candidates = [
        path.with_name(path.name + ".mdoc"),
        plain.with_name(plain.name + ".mdoc"),
        plain.with_suffix(".mdoc"),
        plain.with_suffix(".rawtlt"),
        plain.with_suffix(".tlt"),
    ]
    return next((file for file in candidates if file.exists()), None)


def _read_angles(
    path: Path, stack: MrcStack, source: Path | None
) -> tuple[Float64, float | None, Bools]:
    """Return angles [tilt] and, from an mdoc, the pixel size (if given) and exclusions [tilt]."""
    all_usable = np.zeros(len(stack.data), bool)
    if source is None:
        if stack.angles_deg is None:
            raise InputFileError(
                f"{path}: no tilt angles: no {path.name}.mdoc or .rawtlt beside it and none in its "
                "extended header; give a file with --angles FILE"
            )
        return stack.angles_deg, None, all_usable
    if source.suffix != ".mdoc":
        return read_rawtlt(source), None, all_usable
    mdoc = read_mdoc(source)
    sections = sorted(mdoc.sections, key=lambda described: described.section)
    pixel_nm = next((s.pixel_nm for s in sections if s.pixel_nm), None) or mdoc.header.pixel_nm
    angles_deg = np.array([described.tilt_angle_deg for described in sections])
    excluded = np.array([described.excluded for described in sections], bool)
    return angles_deg, pixel_nm or None, excluded
