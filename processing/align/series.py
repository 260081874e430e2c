"""Alignment of a complete tilt series: from raw images to shifts and tilt axis."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from scipy.interpolate import make_smoothing_spline

from processing.align.alignment import Alignment, apply_alignment, fill_non_finite, unaligned
from processing.align.axis import find_tilt_axis
from processing.align.coarse import centres_and_cut_off, centres_of_mass, neighbour_shifts
from processing.align.matching import (
    compare,
    match_details,
    match_projections,
    reduced,
    scaled,
)
from processing.device import CPU, Device
from processing.errors import ProcessingError
from processing.images.health import bad_images
from processing.images.intensity import estimate_response, linearise, without_background
from processing.progress import Progress, silent, within
from processing.reconstruct.projector import Projectors
from processing.series import Bools, Float64, TiltSeries

COARSE_COLUMNS = 64
"""Width to which images are reduced to choose the initial shifts."""
FINE_COLUMNS = 128
"""Largest width of the images in axis search and projection matching; wider ones are reduced."""
ROUNDS = 4
"""Largest number of rounds of projection matching."""
CONVERGED_PX = 0.005
"""Change at which projection matching stops, reduced pixels. At this value the result no longer
depends on the initial shifts."""
LARGEST_SLOW_ERROR = 0.01
"""Largest rms difference between centres of mass and projection matching, as a fraction of the
image's width. Beyond it the centres of mass are taken to be wrong."""
CUT_OFF_SHARE = 0.6
"""Largest fraction of images with a cut-off object for which centres of mass are used."""
FEWEST_FOR_SLOW_ERROR = 5
FEWEST_IMAGES = 3


def align_series(
    series: TiltSeries,
    *,
    start: Alignment | None = None,
    rounds: int = ROUNDS,
    device: Device = CPU,
    progress: Progress = silent,
) -> Alignment:
    """Find each image's shift and the tilt axis.

    There are three candidates for the initial shifts: none, centres of mass, and shifts between
    neighbouring images. The candidate whose reconstruction fits all images best is refined by
    projection matching. Its slow error is removed by the centres of mass; where an uneven
    background was removed, these are wrong, and the last step matches details instead. Raw counts
    are accepted: background and saturation are removed here.

    Parameters
    ----------
    start
        Earlier alignment of these images or of the first of them. Its shifts replace the
        candidates; the result is the same.
    rounds
        Largest number of rounds of projection matching where `start` is used.
    """
    linear = proportional_to_thickness(series)
    fine = max(1.0, series.images.shape[2] / FINE_COLUMNS)
    medium = reduced(linear, fine)
    progress("initial shifts", 0.0)
    centres, cut = centres_and_cut_off(linear.images)
    whole = ~(cut | linear.excluded)
    mass_in_view = (~whole & ~linear.excluded).mean() <= CUT_OFF_SHARE
    masses = centres if mass_in_view else None
    if start is None or masses is None:
        initial = _initial_alignment(linear, masses, device, within(progress, 0.1, 0.3))
        rounds = ROUNDS
    else:
        initial = _extend_alignment(start, linear, masses)
    initial = scaled(initial, 1 / fine)
    initial = find_tilt_axis(medium, initial, progress=within(progress, 0.3, 0.5))
    matched = match_projections(
        medium,
        initial,
        rounds=rounds,
        tolerance_px=CONVERGED_PX,
        device=device,
        progress=within(progress, 0.5, 0.95),
    )
    if not series.even_background:
        progress("alignment by details", 0.95)
        return scaled(match_details(medium, matched, device=device), fine)
    found = scaled(matched, fine)
    if masses is not None:
        largest_px = LARGEST_SLOW_ERROR * series.images.shape[2]
        found = _without_slow_error(found, masses, whole, largest_px)
    progress("alignment", 1.0)
    return found


def _initial_alignment(
    linear: TiltSeries, masses: Float64 | None, device: Device, progress: Progress
) -> Alignment:
    """Find shifts without an earlier alignment, in the series' own pixels."""
    coarse = max(1.0, linear.images.shape[2] / COARSE_COLUMNS)
    small = reduced(linear, coarse)
    start = _best_start(small, masses, coarse, device)
    matched = match_projections(small, start, rounds=ROUNDS, device=device, progress=progress)
    return scaled(matched, coarse)


def _extend_alignment(start: Alignment, linear: TiltSeries, masses: Float64) -> Alignment:
    """Add the newer images to an earlier alignment, shifted by their centres of mass.

    The median difference between shifts and centres of mass of the earlier images is added.
    """
    known = len(start.shifts_px)
    difference = np.median(start.shifts_px - masses[:known], axis=0)
    return replace(
        unaligned(linear),
        shifts_px=np.concatenate([start.shifts_px, masses[known:] + difference]),
        rejected=linear.excluded | np.r_[start.rejected, np.zeros(linear.tilts - known, bool)],
    )


def proportional_to_thickness(series: TiltSeries) -> TiltSeries:
    """Subtract the background and undo saturation; bad images are marked excluded."""
    return linearised(background_subtracted(series))


def background_subtracted(series: TiltSeries) -> TiltSeries:
    """Subtract the background, fill non-finite pixels and exclude bad images (`bad_images`).

    Raises
    ------
    ProcessingError
        Fewer than three good images are left.
    """
    bad = bad_images(series)
    excluded = series.excluded.copy()
    excluded[list(bad)] = True
    if (~excluded).sum() < FEWEST_IMAGES:
        reasons = ", ".join(f"{n} {reason}" for reason, n in Counter(bad.values()).most_common())
        raise ProcessingError(
            f"series {series.name}: {int((~excluded).sum())} usable images of {series.tilts} "
            f"({int(series.excluded.sum())} marked as excluded; {reasons or 'none bad'}); at least "
            f"{FEWEST_IMAGES} are needed"
        )
    clean = replace(series, images=fill_non_finite(series.images), excluded=excluded)
    return without_background(clean)


def linearised(background_free: TiltSeries) -> TiltSeries:
    """Undo the saturation of images without background; the response is estimated from them."""
    used = background_free.usable()
    response = estimate_response(used, centres_of_mass(used.images)[:, 0])
    return linearise(background_free, response)


def _best_start(
    small: TiltSeries, masses: Float64 | None, factor: float, device: Device
) -> Alignment:
    """Choose the initial shifts with the smallest misfit, in pixels of the reduced images."""
    unshifted = unaligned(small)
    neighbours = neighbour_shifts(small.images, small.angles_rad)
    candidates = [unshifted, replace(unshifted, shifts_px=neighbours)]
    if masses is not None:
        candidates.append(replace(unshifted, shifts_px=masses / factor))
    projectors = Projectors(device)

    def misfit(start: Alignment) -> float:
        return compare(apply_alignment(small, start), projectors).misfit

    return min(candidates, key=misfit)


def _without_slow_error(
    matched: Alignment, masses: Float64, whole: Bools, largest_px: float
) -> Alignment:
    """Take the smooth part of the shifts from the centres of mass, the rest from matching.

    Blur and saturation on the beam's exit side cause an error in the matched shifts that changes
    slowly with the tilt. Centres of mass do not have this error, but are noisier. The difference is
    smoothed by a spline; generalised cross-validation chooses its smoothness from the noise.
    """
    used = whole & ~matched.rejected
    angles = matched.angles_deg
    difference = matched.shifts_px - masses
    if len(np.unique(angles[used])) < FEWEST_FOR_SLOW_ERROR:
        return matched
    # a shift of the whole object is arbitrary and no sign of a wrong centre of mass
    t = np.deg2rad(angles[used])
    free = np.stack([np.ones_like(t), np.cos(t), np.sin(t)], axis=1)
    remaining = difference[used] - free @ np.linalg.lstsq(free, difference[used], rcond=None)[0]
    if np.sqrt(np.mean(remaining**2)) > largest_px:
        return matched
    slow = [_smooth(angles[used], values[used], angles) for values in difference.T]
    return replace(matched, shifts_px=matched.shifts_px - np.stack(slow, axis=1))


def _smooth(angles_deg: Float64, values: Float64, wanted_deg: Float64) -> Float64:
    """Evaluate a smoothing spline through `values` at other angles; constant beyond the ends."""
    x, index, repeats = np.unique(angles_deg, return_inverse=True, return_counts=True)
    mean = np.bincount(index, values) / repeats
    spline = make_smoothing_spline(x, mean, w=repeats.astype(np.float64))
    return np.asarray(spline(np.clip(wanted_deg, x[0], x[-1])), np.float64)
