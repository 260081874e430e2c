"""Tilt series in memory, the input and output of every processing step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from processing.errors import ProcessingError
from processing.results import SeriesInputs

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class TiltSeries:
    """Projections of one specimen, tilted about the y axis.

    At tilt t a point (x, y, z) is projected to column u = x cos t + z sin t and row y. All
    coordinates count from the centre, (N - 1) / 2.

    Attributes
    ----------
    images
        Float32 [tilt, y, x]; pixels may be non-finite, `usable` replaces them. A large series as
        it is read from a file has the stored sample type and stays on the disk until processing
        crops and bins it.
    angles_deg
        Tilt angles, float64 [tilt], in any order; values may repeat.
    pixel_nm
        Pixel size (nm).
    excluded
        Bool [tilt], true for images that must not be used.
    name
        Name shown in messages, e.g. ``A``.
    tilt_axis_deg
        Known in-plane angle of the tilt axis in the images, from +y towards -x. It excludes any
        rotation that the reader has already applied. Alignment starts from it and removes it.
    notes
        One line for each oddity of the input, with what was done about it; becomes a warning.
    doubts
        One line for each reason not to trust a count of this series.
    angle_reasons
        One line for each sign that the tilt angles are wrong. They stand first among the reasons of
        a doubtful count; those that are no `doubts` make no count doubtful.
    inputs
        What was read from which file; None for images that were made in memory.
    region_px
        Column, row and radius of the object to be counted, in the least tilted image, as the
        operator gave them; by default the object is found.
    other_angles
        Angles [tilt] of other sources that have the same values in another order, by source.
    quarter_turns
        Quarter turns by which the images were turned since they were read, to the tilt axis that
        was found in them.
    sense_known
        False if the sign of the angles was chosen freely: reversed angles would mirror the volume.
    even_background
        False if film, a gradient or contamination was removed from around the object. What is left
        of it under the object shifts the object's centre of mass.
    known
        [tilt, y, x], 1 where a pixel shows the object alone and 0 where another object covers it;
        None if all do. Pixels with 0 count for nothing in the reconstruction and in the fit.
    tilt_numbers
        Number of each image's tilt, counted from 1, for messages; empty if only the places in the
        stack are known. Several images of one tilt have the same number.
    recorded_at
        [tilt], dose or time at which each image was recorded, in any unit; None if the images are
        in the order of recording, at equal distances.
    """

    images: Float32
    angles_deg: Float64
    pixel_nm: float
    excluded: Bools = field(default_factory=lambda: np.zeros(0, bool))
    name: str = "A"
    tilt_axis_deg: float = 0.0
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    angle_reasons: tuple[str, ...] = ()
    inputs: SeriesInputs | None = None
    region_px: tuple[float, float, float] | None = None
    other_angles: tuple[tuple[str, Float64], ...] = ()
    quarter_turns: int = 0
    sense_known: bool = True
    even_background: bool = True
    known: Float32 | None = None
    tilt_numbers: tuple[int, ...] = ()
    recorded_at: Float64 | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 3 or len(self.images) == 0:
            raise ProcessingError(
                f"series {self.name}: images are {self.images.shape}, "
                "expected a stack [tilt, y, x] of at least one image"
            )
        tilts = len(self.images)
        if self.excluded.size == 0:
            object.__setattr__(self, "excluded", np.zeros(tilts, bool))
        if len(self.angles_deg) != tilts or len(self.excluded) != tilts:
            raise ProcessingError(
                f"series {self.name}: {tilts} images, but {len(self.angles_deg)} angles and "
                f"{len(self.excluded)} exclusion flags; give one of each per image"
            )
        if not np.all(np.isfinite(self.angles_deg)):
            raise ProcessingError(
                f"series {self.name}: a tilt angle is not a finite number; correct the angles"
            )
        if not self.pixel_nm > 0:
            raise ProcessingError(
                f"series {self.name}: pixel size {self.pixel_nm} nm; give a positive one"
            )

    @property
    def tilts(self) -> int:
        """Number of images, including the excluded ones."""
        return len(self.images)

    @property
    def angles_rad(self) -> Float64:
        """Tilt angles in radians, [tilt]."""
        return np.deg2rad(self.angles_deg)

    @property
    def elapsed(self) -> Float64:
        """Time of recording of each image, [tilt], from 0 for the first to 1 for the last."""
        at = np.arange(self.tilts) if self.recorded_at is None else self.recorded_at
        since_first = np.asarray(at - np.min(at), np.float64)
        return since_first / max(float(since_first.max()), 1e-30)

    def usable(self) -> TiltSeries:
        """Return the images in use; the median of each replaces its non-finite pixels.

        Images with at least half of their pixels non-finite are left out.

        Raises
        ------
        ProcessingError
            Fewer than three images are usable.
        """
        finite = np.isfinite(self.images)
        keep = ~self.excluded & (finite.mean(axis=(1, 2)) > 0.5)
        if keep.sum() < 3:
            raise ProcessingError(
                f"series {self.name}: {int(keep.sum())} usable images of {self.tilts}; "
                "at least 3 are needed"
            )
        kept = self.subset(np.flatnonzero(keep))
        if finite[keep].all():
            return kept
        medians = np.nanmedian(np.where(finite[keep], kept.images, np.nan), axis=(1, 2))
        images = np.where(finite[keep], kept.images, medians[:, None, None]).astype(np.float32)
        return replace(kept, images=images)

    def subset(self, chosen: NDArray[np.intp]) -> TiltSeries:
        """Return the chosen images, in the order of their indices [n]; none is excluded."""
        return replace(
            self,
            images=self.images[chosen],
            angles_deg=self.angles_deg[chosen],
            excluded=np.zeros(len(chosen), bool),
            known=None if self.known is None else self.known[chosen],
            recorded_at=self.elapsed[chosen],
            other_angles=tuple((source, angles[chosen]) for source, angles in self.other_angles),
        )
