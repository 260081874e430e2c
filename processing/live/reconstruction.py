"""Live reconstruction: a volume that shows the operator each tilt as soon as it is recorded.

Each frame is aligned to a re-projection of the volume so far and back-projected into it at once.
`revise_alignment` takes a later, better alignment of the whole series; `move_tilts` then removes
the tilts concerned and adds them again in the right place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.align.alignment import Alignment, apply_alignment, in_raw_frame, unaligned
from processing.align.coarse import centres_of_mass, cut_off
from processing.images.binning import block_mean
from processing.images.intensity import without_background
from processing.images.shift import Band, find_shifts
from processing.live.incremental_fbp import IncrementalVolume
from processing.series import Float32, Float64, TiltSeries

LARGEST_SIDE_PX = 416
"""Largest side of the volume; larger images are binned. At this side a tilt is added in half a
second; an assembly that fills the field still has about seven pixels a particle."""
TILTS_BEFORE_REPROJECTION = 4
"""Minimum number of tilts before images are aligned to re-projections.

With fewer tilts the neighbouring image is the better reference.
"""
LEAST_SCORE = 0.2
"""Smallest correlation with the reference; an image below it is shown but not used."""
DRIFT_TILTS = 5
"""Number of recent tilts whose median offset is taken as the drift of the re-projection."""
LARGEST_SHIFT_SHARE = 0.2
"""Largest shift in the search, as a fraction of the shorter side."""
DETAIL_BAND = (1 / 160, 1 / 40)
"""Band-pass sigmas for details, as fractions of the image width."""
OUTLINE_BAND = (1 / 160, 1 / 16)
"""Band-pass sigmas down to the outline of the object, as fractions of the image width."""
LEAST_MOVE_PX = 0.25
"""Smallest displacement, anywhere in the image, for which a tilt is moved."""


@dataclass(frozen=True)
class LiveTilt:
    """Alignment result of one frame.

    Attributes
    ----------
    angle_deg
        Tilt angle.
    shift_px
        Shift (y, x) of the object from the centre of the field, in pixels of the recorded image.
    residual_px
        Disagreement between two measurements of the shift along the tilt axis, in pixels of the
        volume. For a whole object: centre of mass and re-projection, relative to the recent tilts.
        For an object that is cut off: re-projection with details and with the outline. After
        `revise_alignment`: the residual of projection matching. None for the first tilts, which
        have nothing to be compared with.
    used
        False if the image resembles none of the others.
    """

    angle_deg: float
    shift_px: tuple[float, float]
    residual_px: float | None
    used: bool


@dataclass(frozen=True, eq=False)
class _Tilt:
    """One background-subtracted image and its alignment, as a series of one image."""

    image: TiltSeries
    alignment: Alignment

    @property
    def aligned(self) -> Float32:
        image: Float32 = apply_alignment(self.image, self.alignment).images[0]
        return image

    @property
    def used(self) -> bool:
        return not self.alignment.rejected[0]

    def displacement_px(self, alignment: Alignment) -> float:
        """Return the largest displacement in the image if it had this alignment instead."""
        shift = float(np.hypot(*(alignment.shifts_px - self.alignment.shifts_px)[0]))
        turn = np.deg2rad(alignment.tilt_axis_deg - self.alignment.tilt_axis_deg)
        return float(shift + abs(turn) * max(self.image.images.shape[1:]) / 2)


class LiveReconstruction:
    """Volume that takes one image at a time.

    Parameters
    ----------
    shape
        Rows and columns of the images; the tilt axis runs along the rows.
    pixel_nm
        Pixel size of the images.
    largest_side_px
        Largest side of the volume; larger images are binned.
    """

    def __init__(
        self, shape: tuple[int, int], pixel_nm: float, largest_side_px: int = LARGEST_SIDE_PX
    ) -> None:
        self.binning = max(1, -(-max(shape) // largest_side_px))
        self.pixel_nm = pixel_nm * self.binning
        self._rows, self._columns = (side // self.binning for side in shape)
        self._volume = IncrementalVolume(self._rows, self._columns)
        self._tilts: dict[int, _Tilt] = {}
        self._revised: dict[int, Alignment] = {}
        self._recent_offsets_px: deque[float] = deque(maxlen=DRIFT_TILTS)

    def clear(self) -> None:
        """Remove all images: another series begins."""
        self._volume.clear()
        self._tilts.clear()
        self._revised.clear()
        self._recent_offsets_px.clear()

    @property
    def tilts(self) -> int:
        """Number of images in the volume."""
        return self._volume.tilts

    @property
    def volume(self) -> Float32:
        """The volume [z, y, x] as a view; a voxel is `pixel_nm` wide."""
        return self._volume.volume

    def binned(self, image: NDArray[np.generic]) -> Float32:
        """Return a recorded image [y, x] in the pixels of the volume."""
        return block_mean(image, self.binning)

    def add(self, section: int, image: Float32, angle_deg: float) -> LiveTilt:
        """Align an image [y, x] to the images so far and add it to the volume.

        Parameters
        ----------
        image
            In the pixels of the volume, as `binned` returns it.
        section
            Place of the image in its stack; an earlier image of the same section is replaced.

        Raises
        ------
        ValueError
            The image holds values that are not finite.
        """
        if not np.isfinite(image).all():
            raise ValueError("the image holds values that are not finite")
        series = without_background(TiltSeries(image[None], np.array([angle_deg]), self.pixel_nm))
        shift, residual_px, score = self._measure_shift(series)
        alignment = replace(
            unaligned(series),
            shifts_px=shift[None],
            tilt_axis_deg=self._tilt_axis_deg(),
            rejected=np.array([score < LEAST_SCORE]),
            residuals_px=np.array([residual_px]),
        )
        self._revised.pop(section, None)
        self._put(section, _Tilt(series, alignment))
        return self._live_tilt(section)

    def remove(self, section: int) -> None:
        """Remove an image for good, because its tilt was recorded again."""
        self._revised.pop(section, None)
        if self._tilts.pop(section, None) is not None:
            self._volume.remove(section)

    def revise_alignment(self, sections: Sequence[int], alignment: Alignment) -> None:
        """Store a better alignment of images in the volume, in pixels of the recorded images.

        The volume does not change yet; `move_tilts` changes it, a few tilts at a time.
        """
        for row, section in enumerate(sections):
            if section in self._tilts:
                self._revised[section] = Alignment(
                    alignment.shifts_px[row : row + 1] / self.binning,
                    alignment.tilt_axis_deg,
                    self._tilts[section].alignment.angles_deg,
                    alignment.rejected[row : row + 1],
                    alignment.residuals_px[row : row + 1] / self.binning,
                )

    def move_tilts(self, at_most: int) -> dict[int, LiveTilt]:
        """Apply the revised alignment to up to `at_most` tilts, the largest displacements first.

        Returns
        -------
        Result of each section that was updated. A section displaced by less than `LEAST_MOVE_PX`
        only gets its new residual and does not count towards `at_most`.
        """
        urgency = {section: self._urgency(section) for section in self._revised}
        changed: dict[int, LiveTilt] = {}
        for section in sorted(urgency, key=lambda section: urgency[section], reverse=True):
            tilt = self._tilts[section]
            if urgency[section] < LEAST_MOVE_PX:
                residuals_px = self._revised.pop(section).residuals_px
                alignment = replace(tilt.alignment, residuals_px=residuals_px)
                self._tilts[section] = replace(tilt, alignment=alignment)
            elif at_most > 0:
                self._put(section, replace(tilt, alignment=self._revised.pop(section)))
                at_most -= 1
            else:
                continue
            changed[section] = self._live_tilt(section)
        return changed

    def slice_xz(self) -> Float32:
        """Return the middle slice across the tilt axis, [z, x]."""
        return np.array(self.volume[:, self._rows // 2])

    def slice_xy(self) -> Float32:
        """Return the middle slice across the beam at 0 degrees, [y, x]."""
        return np.array(self.volume[self._columns // 2])

    def _live_tilt(self, section: int) -> LiveTilt:
        tilt = self._tilts[section]
        dy, dx = (float(value) * self.binning for value in tilt.alignment.shifts_px[0])
        residual_px = float(tilt.alignment.residuals_px[0])
        known_px = residual_px if np.isfinite(residual_px) else None
        return LiveTilt(float(tilt.alignment.angles_deg[0]), (dy, dx), known_px, tilt.used)

    def _put(self, section: int, tilt: _Tilt) -> None:
        self._tilts[section] = tilt
        if tilt.used:
            self._volume.put(section, tilt.aligned, float(tilt.alignment.angles_deg[0]))
        else:
            self._volume.remove(section)

    def _urgency(self, section: int) -> float:
        """Return the displacement of a tilt; infinite if it must be added or removed."""
        tilt, revised = self._tilts[section], self._revised[section]
        return np.inf if tilt.used == revised.rejected[0] else tilt.displacement_px(revised)

    def _tilt_axis_deg(self) -> float:
        """Return the angle of the tilt axis, as far as it is known."""
        newest = next(reversed(self._tilts.values()), None)
        return newest.alignment.tilt_axis_deg if newest is not None else 0.0

    def _measure_shift(self, series: TiltSeries) -> tuple[Float64, float, float]:
        """Return shift (y, x), disagreement and correlation of one image, in binned pixels.

        The shift of a whole object is that of its centre of mass. Correlation with the volume is
        not used for it, because it drifts by a tenth of a pixel per tilt in one direction; it only
        shows how well the centre of mass agrees with the other images. It shows that along the tilt
        axis: across it, the angles that are not recorded yet displace the re-projection by pixels,
        or by a row of a lattice. The disagreement is NaN where there is nothing to compare with.
        """
        whole = not cut_off(series.images)[0]
        first = centres_of_mass(series.images)[0] if whole else np.zeros(2)
        used = [tilt for tilt in self._tilts.values() if tilt.used]
        if not used:
            return first, np.nan, 1.0
        reference = self._reference(float(series.angles_deg[0]), used)
        axis_deg = self._tilt_axis_deg()
        alignment = replace(unaligned(series), shifts_px=first[None], tilt_axis_deg=axis_deg)
        aligned = apply_alignment(series, alignment).images
        details, outline = (
            find_shifts(aligned, reference[None], self._band(sigmas), self._largest_shift_px)
            for sigmas in (DETAIL_BAND, OUTLINE_BAND)
        )
        score = float(outline.scores[0])
        along_px, outline_along_px = (float(each.shifts_px[0, 0]) for each in (details, outline))
        if whole:
            return first, self._beyond_drift_px(along_px), score
        (by_details,) = in_raw_frame(details.shifts_px, axis_deg)
        return first + by_details, abs(along_px - outline_along_px), score

    def _beyond_drift_px(self, offset_px: float) -> float:
        """Return the distance of an offset from the median of the recent ones; NaN before them."""
        drift_px = np.median(self._recent_offsets_px) if self._recent_offsets_px else np.nan
        self._recent_offsets_px.append(offset_px)
        return float(abs(offset_px - drift_px))

    def _reference(self, angle_deg: float, used: Sequence[_Tilt]) -> Float32:
        """Return the expected image at this angle: a re-projection, or the nearest image."""
        if len(used) >= TILTS_BEFORE_REPROJECTION:
            return self._volume.project(angle_deg)
        nearest = min(used, key=lambda tilt: abs(tilt.alignment.angles_deg[0] - angle_deg))
        return nearest.aligned

    def _band(self, sigmas: tuple[float, float]) -> Band:
        fine, coarse = (max(1.0, sigma * self._columns) for sigma in sigmas)
        return Band(fine, coarse)

    @property
    def _largest_shift_px(self) -> float:
        return LARGEST_SHIFT_SHARE * min(self._rows, self._columns)
