"""Alignment of a whole tilt series, from raw images to shifts and axis."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from scipy.interpolate import make_smoothing_spline

from processing.align.alignment import Alignment, apply_alignment, filled, unaligned
from processing.align.axis import find_tilt_axis
from processing.align.coarse import centres_of_mass, cut_off, neighbour_shifts
from processing.align.matching import compare, match_projections, reduced, scaled
from processing.errors import ProcessingError
from processing.images.health import bad_images
from processing.images.intensity import estimate_response, linearise, without_background
from processing.progress import Progress, silent, within
from processing.series import Bools, Float64, TiltSeries

COARSE_COLUMNS = 64
"""Width to which images are reduced for the choice of a start."""
FINE_COLUMNS = 128
"""Width above which axis search and projection matching work on reduced images."""
SETTLED_PX = 0.005
"""Of the reduced images: where the matching started from is then forgotten."""
LARGEST_DRIFT = 0.01
"""Of the image's width: centres of mass that differ by more from projection matching are wrong."""
CUT_OFF_SHARE = 0.6
"""Of the images, in which the object may reach the rim: the others' centres of mass are true."""
FEWEST_FOR_DRIFT = 5
FEWEST_IMAGES = 3


def align_series(
    series: TiltSeries, *, start: Alignment | None = None, progress: Progress = silent
) -> Alignment:
    """Find each image's shift and the tilt axis.

    Candidates for a start (the images as they are, centres of mass, neighbours against each
    other) are judged by how well one object explains all images; the best is refined by projection
    matching. Raw counts will do: background and saturation are taken out here.

    Parameters
    ----------
    start
        An alignment of these images, or of the first of them, that was found before: its shifts
        take the place of the candidates, and the result is the same.
    """
    flat = flattened(series)
    fine = max(1.0, series.images.shape[2] / FINE_COLUMNS)
    medium = reduced(flat, fine)
    progress("first shifts", 0.0)
    whole = ~(cut_off(flat.images) | flat.excluded)
    mass_in_view = (~whole & ~flat.excluded).mean() <= CUT_OFF_SHARE
    masses = centres_of_mass(flat.images) if mass_in_view else None
    if start is None or masses is None:
        first = _found_anew(flat, masses, within(progress, 0.1, 0.3))
    else:
        first = _continued(start, flat, masses)
    first = find_tilt_axis(medium, scaled(first, 1 / fine), progress=within(progress, 0.3, 0.5))
    matched = match_projections(
        medium,
        first,
        rounds=4,
        tolerance_px=SETTLED_PX,
        progress=within(progress, 0.5, 0.95),
    )
    found = scaled(matched, fine)
    if masses is not None:
        found = _without_drift(found, masses, whole, LARGEST_DRIFT * series.images.shape[2])
    progress("alignment", 1.0)
    return found


def _found_anew(flat: TiltSeries, masses: Float64 | None, progress: Progress) -> Alignment:
    """Shifts from the images alone, in the series' own pixels."""
    coarse = max(1.0, flat.images.shape[2] / COARSE_COLUMNS)
    small = reduced(flat, coarse)
    start = _best_start(small, masses, coarse)
    return scaled(match_projections(small, start, rounds=4, progress=progress), coarse)


def _continued(start: Alignment, flat: TiltSeries, masses: Float64) -> Alignment:
    """Shifts of an earlier alignment, of newer images where their masses lie beside the others'."""
    known = len(start.shifts_px)
    steady = np.median(start.shifts_px - masses[:known], axis=0)
    return replace(
        unaligned(flat),
        shifts_px=np.concatenate([start.shifts_px, masses[known:] + steady]),
        rejected=flat.excluded | np.r_[start.rejected, np.zeros(flat.tilts - known, bool)],
    )


def flattened(series: TiltSeries) -> TiltSeries:
    """Images proportional to thickness: `levelled`, and saturation undone."""
    return straightened(levelled(series))


def levelled(series: TiltSeries) -> TiltSeries:
    """Images finite and without background; bad ones (`bad_images`) are marked excluded.

    Raises
    ------
    ProcessingError
        Hardly any good image is left.
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
    clean = replace(series, images=filled(series.images), excluded=excluded)
    return without_background(clean)


def straightened(plain: TiltSeries) -> TiltSeries:
    """Saturation undone in images without background, by the response that they show."""
    used = plain.usable()
    response = estimate_response(used, centres_of_mass(used.images)[:, 0])
    return linearise(plain, response)


def _best_start(small: TiltSeries, masses: Float64 | None, factor: float) -> Alignment:
    """The candidate whose images agree best, in the reduced images' pixels."""
    still = unaligned(small)
    neighbours = neighbour_shifts(small.images, small.angles_rad)
    candidates = [still, replace(still, shifts_px=neighbours)]
    if masses is not None:
        candidates.append(replace(still, shifts_px=masses / factor))
    return min(candidates, key=lambda start: compare(apply_alignment(small, start)).misfit)


def _without_drift(
    matched: Alignment, masses: Float64, whole: Bools, largest_px: float
) -> Alignment:
    """Take the smooth part of the shifts from the centres of mass, the rest from matching.

    Blur and saturation on the side where the beam leaves draw matched shifts aside by an amount
    that changes slowly with the tilt; centres of mass do not know it, but are noisier. How much
    noisier decides how smooth the difference is taken to be: by generalised cross-validation.
    """
    used = whole & ~matched.rejected
    angles = matched.angles_deg
    away = matched.shifts_px - masses
    if len(np.unique(angles[used])) < FEWEST_FOR_DRIFT:
        return matched
    # a shift of the whole object is free, and no sign of a wrong centre
    t = np.deg2rad(angles[used])
    free = np.stack([np.ones_like(t), np.cos(t), np.sin(t)], axis=1)
    bound = away[used] - free @ np.linalg.lstsq(free, away[used], rcond=None)[0]
    if np.sqrt(np.mean(bound**2)) > largest_px:
        return matched
    drift = np.stack([_smooth(angles[used], part[used], angles) for part in away.T], axis=1)
    return replace(matched, shifts_px=matched.shifts_px - drift)


def _smooth(angles_deg: Float64, values: Float64, wanted_deg: Float64) -> Float64:
    """Smoothing spline through `values` at the angles wanted; constant beyond the ends."""
    x, place, repeats = np.unique(angles_deg, return_inverse=True, return_counts=True)
    mean = np.bincount(place, values) / repeats
    spline = make_smoothing_spline(x, mean, w=repeats.astype(np.float64))
    return np.asarray(spline(np.clip(wanted_deg, x[0], x[-1])), np.float64)
