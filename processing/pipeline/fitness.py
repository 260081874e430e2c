"""Figures of a fit on which the verdict on a count rests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from processing.fit.spheres import SphereFit
from processing.pipeline.deformed import deformations_of
from processing.series import Float64, TiltSeries

PARTICLE = 0.5
"""Smallest amplitude of a certain particle, in amplitudes of a typical one."""
AMBIGUOUS = (0.25, 0.7)
"""Amplitudes of candidates that are neither particles nor noise."""
TOO_CLOSE = 0.92
"""Distance of neighbours below which hard spheres would overlap, in diameters."""
LEAST_MISPLACED = 0.5
"""Smallest number of particles expected in a wrong place that counts: fewer round to none."""
ENOUGH = 10
"""Fewest particles that show an error of a tilt angle."""
WIDE_GAP = 4.0
"""Smallest step between tilts, in mean steps, that counts as a gap: several images are missing."""
CROWTHER_STEP = 1.0
"""Angular step times size of the object, in diameters, above which a density without prior
knowledge is not unique (Crowther et al., Proc. R. Soc. A 1970, 317, 319)."""
OBJECT_SHARE = 0.95
"""Share of the particles inside the radius that stands for the object's size."""


@dataclass(frozen=True)
class Fitness:
    """Figures on which a verdict rests."""

    noise_share: float = 0.0
    """Share of noise in the images, in the band of single particles."""
    unexplained: float = 0.0
    """Share of the images near a typical particle that spheres leave unexplained."""
    most_unexplained: float = 0.0
    """The same near the worst tenth of the particles."""
    worst_view: float = 0.0
    """The same near all particles in the worst image that is in use."""
    too_close: float = 0.0
    """Share of the particles that overlap a neighbour."""
    ambiguous: float = 0.0
    """Candidates that are neither particle nor noise, over particles."""
    ambiguous_at_entrance: float = 0.0
    """The same in the half of one series that the beam enters; of all with two series."""
    misplaced: float = 0.0
    """Share of the particles expected in a wrong place; 0 for less than half a particle."""
    missed: float = 0.0
    """Area that shows something else than the particles, over the area of all particles."""
    amplitude_spread: float = 0.0
    """Standard deviation of the particles' brightness, over its median."""
    tilt_error_deg: float = 0.0
    """Standard deviation of the tilt angles found from those given."""
    step: float = 0.0
    """Angular step times size of the object, in diameters; half as much with two series."""
    missing_range_deg: float = 0.0
    """Part of the half turn that the tilts leave out, beyond their ends and in wide gaps."""
    field_share: float = 0.0
    """Diameter over the smaller side of the field."""
    pixel_share: float = 0.0
    """Pixel size over diameter."""
    at_edge: float = 0.0
    """Share of the particles that touch the edge of the field."""
    exit_blur: float = 0.0
    """Blur of the exit side, by the beam and by wrong places, in diameters; 0 with two series."""
    size_change: float = 0.0
    """Largest change of the object's size along an axis during a series, over its size."""
    beside_places: float = 0.0
    """`ambiguous` where the tilts of both series are coarse: there, weaker spheres show particles
    beside their true places more often than particles of another size. 0 with one series, whose
    rule of wrong places tells them."""


def measure_fitness(
    fit: SphereFit,
    series: Sequence[TiltSeries],
    diameter_nm: float,
    sizes_nm: Float64 | None = None,
) -> Fitness:
    """Measure the figures of a fit to one aligned series, or to two, but for wrong places.

    Parameters
    ----------
    diameter_nm
        Diameter of the spheres, or of the largest kind.
    sizes_nm
        [n], diameter of each candidate; None for equal spheres.
    """
    if sizes_nm is None:
        sizes_nm = np.full(len(fit.amplitudes), diameter_nm)
    smallest_nm = float(sizes_nm.min()) if len(sizes_nm) else diameter_nm
    particles = fit.amplitudes > PARTICLE
    evidence = fit.evidence
    used = in_use(series, fit)
    geometry = {
        "missing_range_deg": min(_missing_deg(_angles_deg(one)) for one in used),
        "field_share": max(
            diameter_nm / one.pixel_nm / min(one.images.shape[1:]) for one in series
        ),
        "pixel_share": max(one.pixel_nm / smallest_nm for one in series),
    }
    noise_share = max(evidence.noise_share)
    if not particles.any():
        return Fitness(noise_share=noise_share, unexplained=1.0, **geometry)
    amplitudes, centres_nm = fit.amplitudes[particles], fit.centres_nm[particles]
    unexplained = evidence.unexplained[particles]
    step = min(angular_step(one, centres_nm, diameter_nm) for one in used) / len(series)
    ambiguous = _ambiguous(fit.amplitudes)
    # the beam of one series enters at large z
    entrance_nm = float(np.median(centres_nm[:, 2])) if len(series) == 1 else -np.inf
    return Fitness(
        noise_share=noise_share,
        unexplained=float(np.median(unexplained)),
        most_unexplained=float(np.quantile(unexplained, 0.9)),
        worst_view=float(evidence.view_unexplained.max()),
        too_close=_too_close(centres_nm, sizes_nm[particles]),
        ambiguous=ambiguous,
        beside_places=ambiguous if len(series) > 1 and step > CROWTHER_STEP else 0.0,
        ambiguous_at_entrance=_ambiguous(fit.amplitudes[fit.centres_nm[:, 2] >= entrance_nm]),
        missed=evidence.missed_area / len(amplitudes),
        amplitude_spread=float(np.std(amplitudes) / np.median(amplitudes)),
        tilt_error_deg=max(evidence.tilt_errors_deg) if len(amplitudes) >= ENOUGH else 0.0,
        step=step,
        # the centres are in the frame of the first series
        at_edge=_at_edge(series[0], centres_nm, sizes_nm[particles]),
        exit_blur=_exit_blur(fit, smallest_nm),
        size_change=_size_change(fit, series),
        **geometry,
    )


def misplaced_share(fit: SphereFit, wrong: Float64) -> float:
    """Return the share of the particles expected in a wrong place; below half a particle none.

    Parameters
    ----------
    wrong
        Chance of each candidate that its place is wrong, [n].
    """
    chances = wrong[fit.amplitudes > PARTICLE]
    expected = float(chances.sum())
    return expected / len(chances) if expected >= LEAST_MISPLACED else 0.0


def in_use(series: Sequence[TiltSeries], fit: SphereFit) -> list[TiltSeries]:
    """Return the series with the images excluded that the fit left out."""
    return [
        replace(one, excluded=one.excluded | left_out)
        for one, left_out in zip(series, fit.left_out, strict=True)
    ]


def _exit_blur(fit: SphereFit, smallest_nm: float) -> float:
    """Return the blur of the exit side, in diameters; 0 with two series."""
    return fit.blurs_nm[0] / smallest_nm if len(fit.blurs_nm) == 1 else 0.0


def _ambiguous(amplitudes: Float64) -> float:
    """Return the number of candidates that are neither particle nor noise, over particles."""
    ambiguous = (amplitudes > AMBIGUOUS[0]) & (amplitudes < AMBIGUOUS[1])
    return float(ambiguous.sum() / (amplitudes > PARTICLE).sum())


def _too_close(centres_nm: Float64, sizes_nm: Float64) -> float:
    reach_nm = TOO_CLOSE * float(sizes_nm.max())
    one, other = cKDTree(centres_nm).query_pairs(reach_nm, output_type="ndarray").T
    distance = np.linalg.norm(centres_nm[one] - centres_nm[other], axis=1)
    overlap = distance < TOO_CLOSE * (sizes_nm[one] + sizes_nm[other]) / 2
    return len(np.unique([one[overlap], other[overlap]])) / len(centres_nm)


def _at_edge(series: TiltSeries, centres_nm: Float64, sizes_nm: Float64) -> float:
    """Return the share of the particles that touch the edge of the untilted field."""
    half_nm = np.array(series.images.shape[:0:-1]) * series.pixel_nm / 2
    beyond = np.abs(centres_nm[:, :2]) + sizes_nm[:, None] / 2 > half_nm
    return float(beyond.any(axis=1).mean())


def _angles_deg(series: TiltSeries) -> Float64:
    """Return the tilt angles of the images in use."""
    return series.angles_deg[~series.excluded]


def _missing_deg(angles_deg: Float64) -> float:
    """Return the part of the half turn that tilt angles leave out, degrees."""
    steps = np.diff(np.unique(np.round(angles_deg, 1)))
    if not len(steps):
        return 180.0
    gaps = steps[steps > WIDE_GAP * steps.mean()]
    return float(180.0 - steps.sum() + gaps.sum())


def _size_change(fit: SphereFit, series: Sequence[TiltSeries]) -> float:
    """Return the largest strain that the fit follows in a series; 0 if it follows none."""
    found = deformations_of(fit, [one.name for one in series])
    return max((abs(strain) for one in found.values() for strain in one.strain), default=0.0)


def angular_step(series: TiltSeries, centres_nm: Float64, diameter_nm: float) -> float:
    """Return the largest usual angular step times the object's size, in diameters."""
    angles = np.unique(np.round(np.deg2rad(_angles_deg(series)), 4))
    if len(angles) < 2:
        return np.inf
    across = np.hypot(*(centres_nm - centres_nm.mean(axis=0))[:, [0, 2]].T)
    size_nm = 2 * float(np.quantile(across, OBJECT_SHARE)) + diameter_nm
    return float(np.mean(np.diff(angles))) * size_nm / diameter_nm
