"""A reconstruction that grows tilt by tilt, for the eye of the operator while the series runs.

Each frame is aligned to a re-projection of the volume so far and back-projected into it at once.
`revise_alignment` takes a later, better alignment of the whole series; `move_tilts` then removes
the tilts concerned and adds them again in the right place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from processing.align.alignment import Alignment, apply_alignment, in_raw_frame, unaligned
from processing.align.coarse import centres_of_mass, cut_off
from processing.images.intensity import without_background
from processing.images.shift import Band, find_shifts
from processing.live.incremental_fbp import IncrementalVolume
from processing.series import Float32, Float64, TiltSeries

LARGEST_SIDE_PX = 640
"""Of the volume: finer images are binned, by as little as will do. A cube of this holds 1 GB."""
REPROJECTED_FROM = 4
"""Tilts that must stand before a re-projection says more than the neighbouring image."""
LEAST_SCORE = 0.2
"""An image that resembles what stands by less is shown, but not used."""
RECENT = 5
"""Tilts over which a slow disagreement is taken for the re-projection's creep."""
REACH_FRACTION = 0.2
"""Largest shift looked for, of the shorter side."""
DETAILS, OUTLINE = (1 / 160, 1 / 40), (1 / 160, 1 / 16)
"""Of the image's width: standard deviations that bound what is compared."""
WORTH_MOVING_PX = 0.25
"""A tilt that lies wrong by less, anywhere in the image, stays where it is."""


@dataclass(frozen=True)
class LiveTilt:
    """What became of one frame.

    Attributes
    ----------
    shift_px
        (y, x) of the object from the middle of the field, in pixels of the recorded image.
    residual_px
        How far two ways to find that shift disagree, and more than of late: centre of mass and
        re-projection, or the latter's details and outline where the object is cut off. Of a tilt
        that was revised, what projection matching leaves.
    used
        False where the image resembles nothing that stands.
    """

    angle_deg: float
    shift_px: tuple[float, float]
    residual_px: float
    used: bool


@dataclass(frozen=True, eq=False)
class _Tilt:
    """One image, without background, and where it lies: a series and an alignment of one."""

    image: TiltSeries
    place: Alignment

    @property
    def aligned(self) -> Float32:
        image: Float32 = apply_alignment(self.image, self.place).images[0]
        return image

    @property
    def used(self) -> bool:
        return not self.place.rejected[0]

    def off_by_px(self, place: Alignment) -> float:
        """How far anything in the image would move if it lay there instead."""
        shift = float(np.hypot(*(place.shifts_px - self.place.shifts_px)[0]))
        turn = np.deg2rad(place.tilt_axis_deg - self.place.tilt_axis_deg)
        return float(shift + abs(turn) * max(self.image.images.shape[1:]) / 2)


class LiveReconstruction:
    """A volume that takes one image at a time.

    Parameters
    ----------
    shape
        (rows, columns) of the images; rows run along the tilt axis.
    pixel_nm
        Of the images.
    """

    def __init__(
        self, shape: tuple[int, int], pixel_nm: float, largest_side_px: int = LARGEST_SIDE_PX
    ) -> None:
        self.binning = max(1, -(-max(shape) // largest_side_px))
        self.pixel_nm = pixel_nm * self.binning
        self._rows, self._columns = (side // self.binning for side in shape)
        self._volume = IncrementalVolume(self._rows, self._columns)
        self._tilts: dict[int, _Tilt] = {}
        self._wanted: dict[int, Alignment] = {}
        self._creep: deque[Float64] = deque(maxlen=RECENT)

    @property
    def tilts(self) -> int:
        """Images in the volume."""
        return self._volume.tilts

    @property
    def volume(self) -> Float32:
        """[z, y, x], a view; `pixel_nm` a voxel."""
        return self._volume.volume

    def add(self, index: int, image: Float32, angle_deg: float) -> LiveTilt:
        """Align an image [y, x] to what stands and add it to the volume.

        Parameters
        ----------
        index
            Of the image in its series; one that was there before is replaced.

        Raises
        ------
        ValueError
            The image holds values that are not finite.
        """
        if not np.isfinite(image).all():
            raise ValueError("the image holds values that are not finite")
        series = without_background(
            TiltSeries(self._binned(image)[None], np.array([angle_deg]), self.pixel_nm)
        )
        shift, residual_px, score = self._found(series)
        place = replace(
            unaligned(series),
            shifts_px=shift[None],
            tilt_axis_deg=self._axis_deg(),
            rejected=np.array([score < LEAST_SCORE]),
            residuals_px=np.array([residual_px]),
        )
        self._wanted.pop(index, None)
        self._put(index, _Tilt(series, place))
        return self._told(index)

    def remove(self, index: int) -> None:
        """Take an image out for good: it was recorded again."""
        self._wanted.pop(index, None)
        if self._tilts.pop(index, None) is not None:
            self._volume.remove(index)

    def revise_alignment(self, indices: Sequence[int], alignment: Alignment) -> None:
        """Take over an alignment of images that are there, in pixels as recorded.

        Nothing moves yet: `move_tilts` does it, as much at a time as there is time for.
        """
        for row, index in enumerate(indices):
            if index in self._tilts:
                self._wanted[index] = Alignment(
                    alignment.shifts_px[row : row + 1] / self.binning,
                    alignment.tilt_axis_deg,
                    self._tilts[index].place.angles_deg,
                    alignment.rejected[row : row + 1],
                    alignment.residuals_px[row : row + 1] / self.binning,
                )

    def move_tilts(self, most: int) -> dict[int, LiveTilt]:
        """Move up to `most` tilts, the furthest off first, to where `revise_alignment` wants them.

        Returns
        -------
        What is to be said of tilts that `revise_alignment` brought something new on.
        """
        urgency = {index: self._urgency(index) for index in self._wanted}
        told: dict[int, LiveTilt] = {}
        for index in sorted(urgency, key=lambda index: urgency[index], reverse=True):
            tilt = self._tilts[index]
            if urgency[index] < WORTH_MOVING_PX:
                place = self._wanted.pop(index)
                judged = replace(tilt.place, residuals_px=place.residuals_px)
                self._tilts[index] = replace(tilt, place=judged)
            elif most > 0:
                self._put(index, replace(tilt, place=self._wanted.pop(index)))
                most -= 1
            else:
                continue
            told[index] = self._told(index)
        return told

    def slice_xz(self) -> Float32:
        """Middle slice across the tilt axis, [z, x]."""
        return np.array(self.volume[:, self._rows // 2])

    def slice_xy(self) -> Float32:
        """Middle slice across the beam at 0 degrees, [y, x]."""
        return np.array(self.volume[self._columns // 2])

    def _told(self, index: int) -> LiveTilt:
        tilt = self._tilts[index]
        dy, dx = (float(value) * self.binning for value in tilt.place.shifts_px[0])
        residual_px = float(tilt.place.residuals_px[0]) * self.binning
        return LiveTilt(float(tilt.place.angles_deg[0]), (dy, dx), residual_px, tilt.used)

    def _put(self, index: int, tilt: _Tilt) -> None:
        self._tilts[index] = tilt
        if tilt.used:
            self._volume.put(index, tilt.aligned, float(tilt.place.angles_deg[0]))
        else:
            self._volume.remove(index)

    def _urgency(self, index: int) -> float:
        """How far off a tilt is; one that has to come in or go out is worst."""
        tilt, place = self._tilts[index], self._wanted[index]
        return np.inf if tilt.used == place.rejected[0] else tilt.off_by_px(place)

    def _axis_deg(self) -> float:
        """The tilt axis as it is known."""
        newest = next(reversed(self._tilts.values()), None)
        return newest.place.tilt_axis_deg if newest is not None else 0.0

    def _binned(self, image: Float32) -> Float32:
        b = self.binning
        whole = image[: self._rows * b, : self._columns * b].astype(np.float32)
        binned: Float32 = whole.reshape(self._rows, b, self._columns, b).mean(axis=(1, 3))
        return binned

    def _found(self, series: TiltSeries) -> tuple[Float64, float, float]:
        """Shift (y, x), disagreement and likeness of one image, in its pixels.

        A whole object lies where its mass does: correlation with what stands creeps, a tenth of a
        pixel a tilt in the same direction. It says how well that place agrees with the others'.
        """
        whole = not cut_off(series.images)[0]
        first = centres_of_mass(series.images)[0] if whole else np.zeros(2)
        standing = [tilt for tilt in self._tilts.values() if tilt.used]
        if not standing:
            return first, 0.0, 1.0
        reference = self._reference(float(series.angles_deg[0]), standing)
        axis_deg = self._axis_deg()
        place = replace(unaligned(series), shifts_px=first[None], tilt_axis_deg=axis_deg)
        placed = apply_alignment(series, place).images
        details, outline = (
            find_shifts(placed, reference[None], self._band(share), self._reach_px)
            for share in (DETAILS, OUTLINE)
        )
        away, other = in_raw_frame(np.concatenate([details.shifts_px, outline.shifts_px]), axis_deg)
        score = float(outline.scores[0])
        if whole:
            self._creep.append(away)
            usual = np.median(self._creep, axis=0)
            return first, float(np.hypot(*(away - usual))), score
        return first + away, float(np.hypot(*(away - other))), score

    def _reference(self, angle_deg: float, standing: Sequence[_Tilt]) -> Float32:
        """What the image at this angle should look like."""
        if len(standing) >= REPROJECTED_FROM:
            return self._volume.project(angle_deg)
        nearest = min(standing, key=lambda tilt: abs(tilt.place.angles_deg[0] - angle_deg))
        return nearest.aligned

    def _band(self, share: tuple[float, float]) -> Band:
        fine, coarse = (max(1.0, part * self._columns) for part in share)
        return Band(fine, coarse)

    @property
    def _reach_px(self) -> float:
        return REACH_FRACTION * min(self._rows, self._columns)
