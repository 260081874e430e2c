"""Particles of two kinds: a second fit where the brightness of equal spheres shows two groups.

If the images of the fainter group are narrower, too, its particles are smaller: they are searched
in the volume again, with their own diameter. If they are as wide, its particles are of another
material. Then all are fitted with diameter and signal of their kind. Two sizes are used only if
they explain the images better; one kind of spheres stays one kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing.combine.pose import Pose
from processing.count.particles import SMALLEST_DISTANCE, Clusters, keep_heaviest
from processing.device import CPU, Device
from processing.fit.information import explains_better
from processing.fit.mixture import Mixture, two_groups
from processing.fit.spheres import SphereFit, fit_spheres
from processing.pipeline.mixed_fit import (
    PARTICLE,
    MixedFit,
    are_kinds,
    relative_brightness,
    split_by_brightness,
)
from processing.pipeline.two_materials import fit_two_materials
from processing.progress import Progress, silent, within
from processing.series import Bools, Float64, TiltSeries

PASSES = 3
"""Largest number of searches and fits; each starts from the diameters that the one before found."""
SAME_SIZE = 0.02
"""Relative change of the diameters after which no pass follows."""
LARGEST_SIZE_RATIO = 0.92
"""Ratio of two diameters above which they are one kind with a spread."""
DENSITY_RANGE = (0.6, 1.8)
"""Range of the signal of the smaller kind, in signals that its volume predicts. Outside of it the
smaller objects are no whole spheres of the same material."""

ODD = (0.12, 0.7, 1.35)
"""Brightness of odd objects: from the first to the second, or above the third, in brightnesses of
a typical particle. Fainter ones are noise."""
LEAST_ODD_SHARE = 0.1
"""Smallest share of odd objects for which a second size is searched."""

Search = Callable[[float], Clusters]
"""Search of the volume for spheres of a diameter (nm)."""


def fit_two_kinds(
    equal: SphereFit,
    search: Search,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    diameter_nm: float,
    *,
    rounds: int,
    pixel_nm: float,
    device: Device = CPU,
    progress: Progress = silent,
) -> MixedFit | None:
    """Fit spheres of two kinds if the brightness of the equal spheres shows two groups.

    Parameters
    ----------
    equal
        Fit of equal spheres of `diameter_nm`.
    pixel_nm
        Voxel size of the searched volume.

    Returns
    -------
    None if nothing hints at two kinds, or if one kind explains the images as well.
    """
    now = _first_split(equal, diameter_nm)
    if now is not None and now.of_two_materials:
        return fit_two_materials(now, series, rounds, device, progress)
    for done in range(PASSES):
        if now is None:
            return None
        part = within(progress, done / PASSES, (done + 1) / PASSES)
        before = now
        now = _search_and_fit(before, search, series, rounds, pixel_nm, device, part)
        if now is None:
            return None
        change = np.array(now.kinds_nm) / np.array(before.kinds_nm) - 1
        if np.abs(change).max() < SAME_SIZE:
            break
    progress("sphere fit", 1.0)
    return now if now is not None and _is_better(now, equal) else None


def second_size_hint(equal: SphereFit) -> int:
    """Return how many objects may be particles of a second size; 0 if nothing hints at one."""
    if not _hints_at_two_kinds(equal):
        return 0
    faint, _, _ = ODD
    return int((equal.amplitudes > faint).sum() - (equal.amplitudes > PARTICLE).sum())


def _first_split(equal: SphereFit, diameter_nm: float) -> MixedFit | None:
    """Sort equal spheres into two kinds; None if their brightness hints at one."""
    if not _hints_at_two_kinds(equal):
        return None
    return split_by_brightness(equal, np.ones(len(equal.amplitudes)), diameter_nm)


def _hints_at_two_kinds(equal: SphereFit) -> bool:
    if _odd_share(equal.amplitudes[_well_shown(equal)]) < LEAST_ODD_SHARE:
        return False
    return two_groups(relative_brightness(equal.amplitudes)) is not None


def _well_shown(equal: SphereFit) -> Bools:
    """Return which candidates [n] the images show well: in one series, the half at the entrance.

    Where the beam leaves a thick assembly, many objects of one series are faint, whatever their
    size.
    """
    particles = equal.amplitudes > PARTICLE
    if len(equal.blurs_nm) > 1 or not particles.any():
        return np.ones(len(particles), bool)
    # the beam of one series enters at large z
    height_nm = equal.centres_nm[:, 2]
    return np.asarray(height_nm >= np.median(height_nm[particles]), bool)


def _odd_share(amplitudes: Float64) -> float:
    """Return the odd objects over the particles."""
    faint, dim, bright = ODD
    odd = ((amplitudes > faint) & (amplitudes < dim)) | (amplitudes > bright)
    return float(odd.sum() / max(1, (amplitudes >= dim).sum()))


def _search_and_fit(
    known: MixedFit,
    search: Search,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    rounds: int,
    pixel_nm: float,
    device: Device,
    progress: Progress,
) -> MixedFit | None:
    """Search the volume for the smaller kind, fit both kinds, and sort them again."""
    small_nm = known.kinds_nm[1]
    large = (known.mixture.members == 0) & (known.fit.amplitudes > PARTICLE)
    found = search(small_nm)
    centres = np.vstack([known.fit.centres_nm[large], found.centres_px * pixel_nm])
    members = np.repeat([0, 1], [int(large.sum()), len(found.weight)])
    # large spheres are filled with small ones in the search: those are no particles
    rank = np.concatenate([2 + known.fit.amplitudes[large], found.weight / found.weight.max()])
    sizes_nm = np.array(known.kinds_nm)[members]
    apart = heaviest_outside_others(centres, rank, sizes_nm)
    centres, members = centres[apart], members[apart]
    weights = np.where(members == 0, 1.0, 0.5)
    fit = fit_spheres(
        series,
        centres,
        weights,
        known.diameter_nm,
        rounds=rounds,
        mixture=Mixture(known.mixture.kinds, members),
        device=device,
        progress=progress,
    )
    signals = np.array([kind.signal for kind in known.mixture.kinds])[members]
    split = split_by_brightness(fit, signals, known.diameter_nm)
    return None if split is None or split.of_two_materials else split


def heaviest_outside_others(
    centres_nm: Float64, weight: Float64, sizes_nm: Float64
) -> NDArray[np.intp]:
    """Return indices, heaviest first, of spheres that do not lie inside a heavier kept one.

    Parameters
    ----------
    sizes_nm
        [n], diameter of each sphere.
    """
    if not len(weight):
        return np.zeros(0, np.intp)
    pairs = cKDTree(centres_nm).query_pairs(
        SMALLEST_DISTANCE * float(sizes_nm.max()), output_type="ndarray"
    )
    first, second = pairs.T
    distance = np.linalg.norm(centres_nm[first] - centres_nm[second], axis=1)
    close = distance < SMALLEST_DISTANCE * (sizes_nm[first] + sizes_nm[second]) / 2
    neighbours: list[list[int]] = [[] for _ in weight]
    for one, other in pairs[close]:
        neighbours[one].append(int(other))
        neighbours[other].append(int(one))
    return keep_heaviest(weight, neighbours)


def _is_better(mixed: MixedFit, equal: SphereFit) -> bool:
    """Return true if two sizes explain the images better than equal spheres.

    Both kinds must be spheres of the same material, and neither may be a few odd objects.
    """
    particles = mixed.fit.amplitudes > PARTICLE
    if not are_kinds(mixed) or mixed.mixture.kinds[1].size > LARGEST_SIZE_RATIO:
        return False
    if not DENSITY_RANGE[0] < mixed.density < DENSITY_RANGE[1]:
        return False
    more = 4 * max(0, int(particles.sum()) - int((equal.amplitudes > PARTICLE).sum())) + 2
    return explains_better(mixed.fit, equal, more)
