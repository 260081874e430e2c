"""IMOD's rawtlt files: one tilt angle a line, in degrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processing.errors import InputFileError
from processing.files.atomic import replace_text


def write_rawtlt(path: Path, angles_deg: ArrayLike) -> None:
    """Write the tilt angles with two decimals, in one step."""
    angles = np.atleast_1d(np.asarray(angles_deg, float))
    replace_text(path, "".join(f"{angle:.2f}\n" for angle in angles))


def read_rawtlt(path: Path) -> NDArray[np.float64]:
    """Read the tilt angles [tilt], degrees.

    Raises
    ------
    InputFileError
        The file does not exist, or a line is not a finite number.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    angles = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            angle = float(line.split()[0])
        except ValueError:
            angle = np.nan
        if not np.isfinite(angle):
            raise InputFileError(
                f"{path}, line {number}: '{line.strip()[:40]}' is not a tilt angle; correct it"
            )
        angles.append(angle)
    return np.array(angles, np.float64)
