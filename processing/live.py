"""A reconstruction that grows tilt by tilt, for the eye of the operator while the series runs.

Each frame is aligned to the re-projection of what stands already, filtered and smeared into a
binned volume. It is meant to show within a second that a series is good; the counts that are
reported come from the pipeline, which sees all tilts at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from processing.count.particles import plateau, typical_weight
from processing.images.shift import Band, find_shifts
from processing.reconstruct.fbp import filtered
from processing.reconstruct.projector import Projector
from processing.series import Float32, Float64

MAX_SIDE_PX = 192
"""Images are binned until no side is longer: a tilt then costs a few hundredths of a second."""
FIRST_ARC_DEG = 2.0
"""Arc the first tilt stands for, when there is no other to tell."""
REPROJECTED_FROM = 4
"""Tilts that must stand before a re-projection says more than the neighbouring image."""
BRIGHT = 0.25
"""Of an image's bright parts: above it is object, below it background."""
LEAST_SCORE = 0.2
"""An image that resembles what stands by less is shown, but not used."""
REACH_FRACTION = 0.2
"""Largest shift looked for, of the shorter side."""
BAND = Band(fine_px=1.0, coarse_px=10.0)

FIRST_PEAK_Q = 7.6
"""q times neighbour distance at the first peak of the structure factor of a dense packing:
7.695 for fcc's (111), about 7.5 for a disordered one."""
SPACING_RANGE_PX = (3.0, 24.0)
LEAST_PEAK = 1.15
"""Height of that peak over the spectrum around it, for particles to be seen at all."""
LEAST_COVERAGE_DEG = 40.0
"""A narrower range of tilts does not tell one layer of particles from the next."""


@dataclass(frozen=True)
class LiveTilt:
    """What became of one frame.

    Attributes
    ----------
    shift_px
        (y, x) of the object from the middle of the field, in pixels of the recorded image.
    residual_px
        How far two ways to find that shift disagree: along the axis the re-projection and the
        neighbouring image, across it the centre of mass and the re-projection.
    used
        False where the image resembles nothing that stands.
    """

    angle_deg: float
    shift_px: tuple[float, float]
    residual_px: float
    used: bool


@dataclass(frozen=True)
class LiveCount:
    """Particles seen so far.

    The range is what the threshold leaves open and what the tilts since the last count have
    changed; upwards it reaches to what an assembly of this size holds at this spacing, since a
    quick look at one series misses particles on its exit side.
    """

    n: int
    n_low: int
    n_high: int
    spacing_nm: float
    """Distance of neighbouring particles."""


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
        self, shape: tuple[int, int], pixel_nm: float, max_side_px: int = MAX_SIDE_PX
    ) -> None:
        self.binning = max(1, -(-max(shape) // max_side_px))
        self.pixel_nm = pixel_nm * self.binning
        self._rows, self._columns = (side // self.binning for side in shape)
        # [z * x, y]: the layout in which one tilt's system matrix applies to all slices at once
        self._block = np.zeros((self._columns**2, self._rows), np.float32)
        self._angles_deg: list[float] = []
        self._aligned: list[Float32] = []
        self._last_n: int | None = None
        self._shadows_px: list[int] = []

    @property
    def tilts(self) -> int:
        """Images in the volume."""
        return len(self._angles_deg)

    @property
    def volume(self) -> Float32:
        """[z, y, x], a view; `pixel_nm` a voxel."""
        return np.asarray(
            self._block.reshape(self._columns, self._columns, self._rows).swapaxes(1, 2),
            np.float32,
        )

    def add(self, image: Float32, angle_deg: float) -> LiveTilt:
        """Align an image [y, x] to what stands and add it to the volume.

        Raises
        ------
        ValueError
            The image holds values that are not finite.
        """
        if not np.isfinite(image).all():
            raise ValueError("the image holds values that are not finite")
        binned = self._prepare(image)
        projector = Projector(np.deg2rad([angle_deg]), self._columns)
        mass = _mass(binned)
        centre = None if mass is None else _off_centre(mass)
        shift, residual_px, score = self._align(binned, angle_deg, centre, projector)
        used = score >= LEAST_SCORE
        if used:
            if mass is not None:
                self._shadows_px.append(int(np.count_nonzero(mass)))
            self._smear(binned, shift, projector, angle_deg)
        dy, dx = (float(value) * self.binning for value in shift)
        return LiveTilt(angle_deg, (dy, dx), residual_px * self.binning, used)

    def slice_xz(self) -> Float32:
        """Middle slice across the tilt axis, [z, x]."""
        return np.array(self.volume[:, self._rows // 2])

    def slice_xy(self) -> Float32:
        """Middle slice across the beam at 0 degrees, [y, x]."""
        return np.array(self.volume[self._columns // 2])

    def count(self) -> LiveCount | None:
        """Count what the volume shows so far; None while particles cannot be told apart."""
        if not self._angles_deg or np.ptp(self._angles_deg) < LEAST_COVERAGE_DEG:
            return None
        spacing_px = neighbour_distance(self.volume)
        if spacing_px is None:
            return None
        heights = blob_heights(self.volume, spacing_px)
        if len(heights) == 0:
            return None
        found = plateau(heights / typical_weight(heights))
        change = abs(found.n - self._last_n) if self._last_n is not None else found.n // 2
        self._last_n = found.n
        highest = found.n + round(np.hypot(found.n_high - found.n, change))
        return LiveCount(
            n=found.n,
            n_low=max(0, found.n - round(np.hypot(found.n - found.n_low, change))),
            n_high=max(highest, self._capacity(spacing_px)),
            spacing_nm=spacing_px * self.pixel_nm,
        )

    def _capacity(self, spacing_px: float) -> int:
        """Close-packed particles in a ball of the assembly's mean shadow; 0 if never seen whole."""
        if not self._shadows_px:
            return 0
        # where a ball's image falls to BRIGHT of its middle, 1 - BRIGHT^2 of its shadow is inside
        shadow = float(np.mean(self._shadows_px)) / (1 - BRIGHT**2)
        ball = 4 / 3 * shadow**1.5 / np.sqrt(np.pi)
        return int(ball * np.sqrt(2) / spacing_px**3)

    def _prepare(self, image: Float32) -> Float32:
        """Bin by means and take the level of the rim away."""
        b = self.binning
        whole = image[: self._rows * b, : self._columns * b].astype(np.float32)
        binned = whole.reshape(self._rows, b, self._columns, b).mean(axis=(1, 3))
        rim = np.r_[binned[:, 0], binned[:, -1], binned[0], binned[-1]]
        return np.asarray(binned - np.median(rim), np.float32)

    def _align(
        self, binned: Float32, angle_deg: float, centre: Float64 | None, projector: Projector
    ) -> tuple[Float64, float, float]:
        """Shift (y, x), disagreement and likeness, in binned pixels."""
        if not self._aligned:
            return (np.zeros(2) if centre is None else centre), 0.0, 1.0
        references = [self._aligned[self._nearest(angle_deg)]]
        if self.tilts >= REPROJECTED_FROM:
            references.append((projector.matrix @ self._block).T)
        reach_px = REACH_FRACTION * min(binned.shape)
        images = np.stack([binned] * len(references))
        found = find_shifts(images, np.stack(references).astype(np.float32), BAND, reach_px)
        shift = found.shifts_px[-1].copy()
        if centre is not None:
            shift[1] = centre[1]
        others = np.array([found.shifts_px[0, 0], found.shifts_px[-1, 1]])
        return shift, float(np.hypot(*(shift - others))), float(found.scores.max())

    def _smear(
        self, binned: Float32, shift: Float64, projector: Projector, angle_deg: float
    ) -> None:
        aligned = ndimage.shift(binned, -shift, order=3, mode="constant").astype(np.float32)
        arc_deg = FIRST_ARC_DEG
        if self._angles_deg:
            arc_deg = abs(angle_deg - self._angles_deg[self._nearest(angle_deg)])
        rays = filtered(aligned) * np.float32(np.deg2rad(arc_deg))
        self._block += projector.transposed @ np.ascontiguousarray(rays.T)
        self._angles_deg.append(angle_deg)
        self._aligned.append(aligned)

    def _nearest(self, angle_deg: float) -> int:
        """Which tilt that stands is nearest in angle: they come in any order."""
        return int(np.argmin(np.abs(np.array(self._angles_deg) - angle_deg)))


def _mass(image: Float32) -> Float32 | None:
    """The object without its background; None where it leaves the field."""
    mass = np.where(image > BRIGHT * np.percentile(image, 99), image, 0)
    rim = max(mass[:, 0].max(), mass[:, -1].max(), mass[0].max(), mass[-1].max())
    return None if rim > 0 or not mass.any() else mass


def _off_centre(mass: Float32) -> Float64:
    """Displacement (y, x) of the mass from the middle.

    Across the axis it is the better guide while the object is whole: correlation with what stands
    creeps, a tenth of a pixel a tilt in the same direction, and nothing later takes it back.
    """
    middle = (np.array(mass.shape) - 1) / 2
    return np.array(ndimage.center_of_mass(mass)) - middle


def neighbour_distance(volume: Float32) -> float | None:
    """Distance of neighbours in a dense packing, voxels, from the structure factor's first peak.

    None where the volume [z, y, x] shows no such peak.
    """
    edge = min(volume.shape) // 2
    middle = tuple(slice((n - edge) // 2, (n + edge) // 2) for n in volume.shape)
    piece = volume[middle]
    window = np.hanning(edge)
    windowed = (piece - piece.mean()) * window[:, None, None] * window[:, None] * window
    power = np.abs(np.fft.rfftn(windowed)) ** 2
    axes = [np.fft.fftfreq(edge), np.fft.fftfreq(edge), np.fft.rfftfreq(edge)]
    q = 2 * np.pi * np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij", sparse=True)))
    step = 2 * np.pi / edge
    ring = (q / step).round().astype(int).ravel()
    radial = np.bincount(ring, power.ravel()) / np.maximum(np.bincount(ring), 1)
    rings = np.arange(len(radial)) * step
    low, high = (FIRST_PEAK_Q / spacing for spacing in reversed(SPACING_RANGE_PX))
    looked_at = np.flatnonzero((rings >= low) & (rings <= min(high, np.pi)))
    level = np.log(np.maximum(radial[looked_at], 1e-30))
    # the spectrum falls steeply: a peak is what stands above its own smooth course
    excess = level - np.polyval(
        np.polyfit(np.log(rings[looked_at]), level, 2), np.log(rings[looked_at])
    )
    best = int(excess.argmax())
    if excess[best] < np.log(LEAST_PEAK) or best in (0, len(excess) - 1):
        return None
    around = excess[best - 1 : best + 2]
    offset = 0.5 * (around[0] - around[2]) / (around[0] - 2 * around[1] + around[2])
    return float(FIRST_PEAK_Q / (rings[looked_at][best] + offset * step))


def blob_heights(volume: Float32, spacing_px: float) -> Float64:
    """Heights of the local maxima of the volume seen at the particles' own scale."""
    fine, coarse = 0.22 * spacing_px, 0.5 * spacing_px
    blobs = ndimage.gaussian_filter(volume, fine) - ndimage.gaussian_filter(volume, coarse)
    reach = 2 * max(1, round(0.35 * spacing_px)) + 1
    peaks = (blobs == ndimage.maximum_filter(blobs, reach)) & (blobs > 0)
    return np.asarray(blobs[peaks], np.float64)
