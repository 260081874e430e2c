"""Load a tilt series: images, tilt angles and pixel size, checked against each other."""

from __future__ import annotations

from pathlib import Path

from processing.files.examine import ReadingOptions, examine_series, tilt_series_of
from processing.series import TiltSeries


def load_tilt_series(
    path: str | Path,
    *,
    angles: str | Path | None = None,
    tilt_axis_deg: float | None = None,
    tilt_sense: int = 1,
    pixel_nm: float | None = None,
    name: str = "A",
) -> TiltSeries:
    """Read a stack with its tilt angles, pixel size and exclusion marks.

    Where files disagree, `TiltSeries.notes` says what was used; docs/files.md has the rules.

    Parameters
    ----------
    path
        An MRC stack, a stack that rosettasciio reads (dm3, dm4, emd, hspy, zspy, ser, emi, tiff),
        or a folder of single images; also compressed: .gz, .bz2, .xz.
    angles
        An ``.mdoc``, ``.rawtlt`` or ``.tlt`` file. By default the one beside the stack (in that
        order), else the angles in the stack's own file.
    tilt_axis_deg
        In-plane angle of the tilt axis from the image's +y towards -x. By default the one in the
        files, else 0. Quarter turns are removed here, exactly; alignment removes the rest in its
        single interpolation.
    tilt_sense
        +1 or -1, multiplies the angles. The wrong sign exchanges the beam's entrance and exit side.
    pixel_nm
        Pixel size to use instead of the one in the files.

    Raises
    ------
    InputFileError
        A file is missing or damaged, the number of angles differs from the number of images, two
        sources contradict each other, or no pixel size is known.
    """
    angles = None if angles is None else Path(angles)
    options = ReadingOptions(angles, tilt_axis_deg, tilt_sense, pixel_nm)
    return tilt_series_of(examine_series(Path(path), options), name)
